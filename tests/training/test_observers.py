import math

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from excise.anchoring import Anchor, Anchoring, Term
from excise.color import NormalizedMLP, WeakLabel, hsv_stream
from excise.schedule import Dopesheet
from excise.seeding import generator
from excise.training import Snapshot, fit

LABELS = {"red": WeakLabel("redness", 10.0, 0.5)}
RED = Term("red", Anchor([1, 0, 0, 0]), layer="bottleneck", affinities={"red": 1.0})


def mlp():
    return NormalizedMLP(generator=generator(0, "init"))


@pytest.mark.parametrize(
    ("steps", "log_every", "logged"),
    [(25, 10, [0, 10, 20, 24]), (21, 10, [0, 10, 20]), (3, 1, [0, 1, 2]), (1, 10, [0]), (5, 100, [0, 4])],
    ids=["rest", "exact", "each", "one", "rare"],
)
def test_observers_see_the_first_each_nth_and_the_last_step_once_and_in_order(
    steps: int, log_every: int, logged: list[int]
):
    told: list[tuple[str, Snapshot]] = []
    observers = [lambda s: told.append(("first", s)), lambda s: told.append(("second", s))]
    history = fit(mlp(), hsv_stream({}), steps=steps, lr=0.01, log_every=log_every, observers=iter(observers))
    assert [(name, s.step) for name, s in told] == [(n, step) for step in logged for n in ("first", "second")]
    assert history.table["step"].tolist() == logged
    assert history.num_steps == steps == told[-1][1].num_steps
    assert history.table["loss"].tolist() == [s.loss for name, s in told if name == "first"]


def test_a_logged_loss_is_the_objective_plus_weight_times_term():
    sheet = Dopesheet.parse("STEP,PHASE,ACTION,lr,red\n0,,,0.01,0.5\n40,,,0.01,0\n")
    told: list[Snapshot] = []
    history = fit(mlp(), hsv_stream(LABELS), Anchoring([RED], sheet), log_every=1, observers=[told.append])
    for s in told:
        terms = sum(s.weights[name] * value for name, value in s.terms.items())
        assert s.loss == pytest.approx(s.objective + terms, rel=1e-5)
    pulled = [s for s in told if s.terms]
    assert 2 < len(pulled) < 40, "some batches carry no red, and skip the term too"
    assert told[-1].weights == {"red": 0.0}
    assert "red" not in told[-1].terms
    expected = [s.terms.get("red", math.nan) for s in told]
    assert_array_equal(history.table["term/red"], expected)
    assert set(history.table) == {"step", "loss", "objective", "lr", "term/red"}
    assert all(column.dtype == np.float64 for column in history.table.values())


def test_a_snapshot_tells_speed_time_left_and_a_flat_row():
    s = Snapshot(
        step=9,
        num_steps=40,
        loss=0.5,
        objective=0.4,
        lr=0.1,
        terms={"a": 2.0},
        weights={"a": 0.05},
        seconds=2.0,
    )
    assert s.steps_per_second == 5
    assert s.seconds_left == 6
    assert s.row() == {
        "step": 9, "loss": 0.5, "objective": 0.4, "lr": 0.1, "term/a": 2.0, "weight/a": 0.05,
    }  # fmt: skip


def test_the_time_left_and_the_seconds_are_of_this_training():
    told: list[Snapshot] = []
    history = fit(mlp(), hsv_stream({}), steps=30, lr=0.01, observers=[told.append])
    seconds = [s.seconds for s in told]
    assert seconds == sorted(seconds)
    assert seconds[0] > 0
    assert seconds[-1] <= history.seconds
    assert told[-1].seconds_left == 0 < told[0].seconds_left


def test_an_observer_that_raises_ends_the_training_with_its_own_error():
    class Stop(Exception):
        pass

    def stop_at_20(s: Snapshot):
        if s.step == 20:
            raise Stop

    told: list[Snapshot] = []
    with pytest.raises(Stop):
        fit(mlp(), hsv_stream({}), steps=99, lr=0.01, observers=[told.append, stop_at_20])
    assert [s.step for s in told] == [0, 10, 20]
