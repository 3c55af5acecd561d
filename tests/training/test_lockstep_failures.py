"""What goes wrong in lockstep: seeds that diverge, arguments that make no training, interrupts."""

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from excise.anchoring import Anchor, Anchoring, Term, Unitarity
from excise.errors import (
    ExciseError,
    NonFiniteError,
    ScheduleError,
    SettingError,
    ShapeError,
    UnknownLabelError,
    UnknownLayerError,
)
from excise.schedule import Dopesheet
from excise.seeding import generator
from excise.stream import Batch
from excise.training import Snapshot, fit, fit_lockstep
from many_seeds import ALL, STREAM, models_of, rows_of, trained, weights_of


class Poisoned:
    """A stream whose batches, from one on, are multiplied by a factor for one seed: its targets stay as they are."""

    labels = STREAM.labels

    def __init__(self, seed: int, factor: float, batch: int = 6) -> None:
        self.poisoned = generator(seed, "data").initial_seed()
        self.factor, self.batch = factor, batch

    def batches(self, generator: torch.Generator) -> Iterator[Batch]:
        bad = generator.initial_seed() == self.poisoned
        for index, batch in enumerate(STREAM.batches(generator)):
            factor = self.factor if bad and index >= self.batch else 1.0
            yield Batch(batch.inputs * factor, batch.targets, batch.labels)


@pytest.mark.parametrize("factor", [math.nan, 1e30], ids=["objective", "term"])
def test_a_seed_that_diverges_says_where_and_the_others_do_not_notice(factor: float):
    told: list[Snapshot] = []
    found = trained([0, 1, 2], stream=Poisoned(1, factor), steps=20, log_every=1, observers=[told.append])
    error = found[1][1].error
    with pytest.raises(NonFiniteError) as caught:
        fit(models_of([1])[0], Poisoned(1, factor), ALL, seed=1, steps=20)
    assert isinstance(error, NonFiniteError)
    assert (error.term, error.step) == (caught.value.term, caught.value.step)
    assert error.step == 6
    assert error.term == ("objective" if math.isnan(factor) else "unit")
    assert [snapshot.step for snapshot in found[1][1].snapshots] == list(range(6))
    undisturbed = trained([0, 2], stream=Poisoned(1, factor), steps=20, log_every=1)
    for seed in (0, 2):
        assert found[seed][1].error is None
        assert torch.equal(found[seed][0], undisturbed[seed][0])
        assert rows_of(found[seed][1]) == rows_of(undisturbed[seed][1])
    assert [snapshot.step for snapshot in told] == list(range(20))
    assert all(math.isfinite(value) for snapshot in told for value in snapshot.row().values())


def test_a_seed_that_diverges_at_its_first_step_is_no_reason_to_train_one_after_the_other():
    found = trained([0, 1], stream=Poisoned(1, math.nan, batch=0), steps=3)
    assert found[1][1].error is not None
    assert found[1][1].snapshots == ()
    assert torch.equal(found[0][0], trained([0], steps=3)[0][0])


def test_a_sum_of_finite_terms_that_is_infinite_is_told_apart():
    heavy = Anchoring(
        [Term("unit", Unitarity(), "encoder")], Dopesheet.parse("STEP,lr,unit\n0,0.1,3e39\n5,0.1,3e39\n")
    )
    error = trained([0], anchoring=heavy)[0][1].error
    with pytest.raises(NonFiniteError) as caught:
        fit(models_of([0])[0], STREAM, heavy)
    assert isinstance(error, NonFiniteError)
    assert (error.term, error.step, error.value) == (caught.value.term, 0, math.inf)
    assert error.term == "the weighted sum of the terms"


def test_when_all_seeds_have_failed_the_training_ends():
    told: list[Snapshot] = []
    found = trained([1], stream=Poisoned(1, math.nan), steps=10**6, log_every=1, observers=[told.append])
    assert found[1][1].error is not None
    assert [snapshot.step for snapshot in told] == list(range(6))


def one_term(layer: str, label: str = "red") -> dict[str, Any]:
    return {
        "anchoring": Anchoring([Term("t", Anchor([1, 0, 0, 0]), layer, {label: 1.0})]),
        "steps": 2,
        "lr": 0.1,
    }


@pytest.mark.parametrize(
    ("settings", "error", "says"),
    [
        ({"seeds": []}, SettingError, "one model a seed.* 2 models"),
        ({"seeds": [0, 1, 2]}, SettingError, "one model a seed"),
        ({"seeds": [1, 1]}, SettingError, r"distinct seeds; .*\[1, 1\]"),
        ({"seeds": [0, -1]}, SettingError, "at least 0; -1 came"),
        ({"log_every": 0}, SettingError, "log_every is at least 1; 0 came"),
        ({"steps": 0}, SettingError, "at least 1 step; steps=0 came"),
        ({"lr": 0.1}, ScheduleError, "given twice"),
        ({"anchoring": Anchoring([])}, ScheduleError, "how long"),
        (one_term("encodr"), UnknownLayerError, "'encoder'"),
        (one_term("encoder", "rde"), UnknownLabelError, "'red'"),
        (one_term("decoder"), ShapeError, "4 coordinates, but the layer has 3"),
        ({"objective": lambda y, _batch: y}, ShapeError, "the objective is a scalar"),
        ({"objective": lambda _y, _batch: 1.0}, ShapeError, "the objective is a scalar"),
    ],
)  # fmt: skip
def test_arguments_that_make_no_training_are_refused_and_no_model_is_touched(
    settings: dict[str, Any], error: type[ExciseError], says: str
):
    models = models_of([0, 1])
    before = [weights_of(model) for model in models]
    given: dict[str, Any] = {"stream": STREAM, "anchoring": ALL, "seeds": [0, 1]} | settings
    with pytest.raises(error, match=says):
        fit_lockstep(models, **given)
    for model, weights in zip(models, before, strict=True):
        assert torch.equal(weights_of(model), weights)


def test_there_is_a_model_for_each_seed():
    with pytest.raises(SettingError, match="0 models"):
        fit_lockstep([], STREAM, ALL, seeds=[])
    with pytest.raises(SettingError, match="one model came twice"):
        fit_lockstep(models_of([0]) * 2, STREAM, ALL, seeds=[0, 1])


def test_an_interrupt_leaves_models_hooks_modes_and_torchs_generator_as_they_were():
    models, others = [model.eval() for model in models_of([0, 1])], models_of([0, 1])
    before = [weights_of(model) for model in models]
    state = torch.get_rng_state()

    def stop(_snapshot: Snapshot):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_lockstep(models, STREAM, ALL, seeds=[0, 1], observers=[stop])
    fit_lockstep(others, STREAM, ALL, seeds=[0, 1], steps=2)
    for model, weights in zip(models, before, strict=True):
        assert torch.equal(weights_of(model), weights)
        assert not any(module.training or module._forward_hooks for module in model.modules())
    assert torch.equal(torch.get_rng_state(), state)
