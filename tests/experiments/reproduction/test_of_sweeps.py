from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from excise.experiments.reproduction.criteria import Verdict
from excise.experiments.reproduction.of_sweeps import selectivity_of_sweep, targets_of
from excise.experiments.reproduction.rows import Row

AGREES, DIFFERS, NOT_JUDGED = Verdict.AGREES, Verdict.DIFFERS, Verdict.NOT_JUDGED
Make = Callable[..., dict[str, Any]]


def scaled(rng: np.random.Generator, mean: float, sd: float, count: int) -> np.ndarray:
    """Values with exactly that mean and standard deviation."""
    drawn = rng.normal(size=count)
    return mean + sd * (drawn - drawn.mean()) / drawn.std(ddof=1)


def anchored(make: Make, rng: np.random.Generator, mean: float = 0.9515, sd: float = 0.0236, **others: Any):
    values = scaled(rng, mean, sd, 60)
    values[0], red = 0.985, np.full(60, others.pop("red", 0.29))
    return make({"suppressed.selectivity": values, "suppressed.named_colors.red": red}, **others)


def by_what(rows: list[Row]) -> dict[str, Row]:
    return {row.what.rpartition(", ")[2]: row for row in rows}


def test_a_sweep_as_published_meets_every_target(make_sweep: Make, rng: np.random.Generator):
    rows = targets_of({"2.4.1": anchored(make_sweep, rng)})
    assert [(row.recipe, row.verdict) for row in rows] == [("2.4.1", AGREES)] * 4
    assert [row.published for row in rows] == [("0.9515",), ("0.0236",), ("0.991",), ("0.284",)]
    assert rows[2].ours == (0.985,)


@pytest.mark.parametrize(
    ("change", "missed"),
    [
        ({"mean": 0.94}, 0),
        ({"sd": 0.05}, 1),
        ({"chosen": 1}, 2),
        ({"red": 0.32}, 3),
        ({"red": 0.25}, 3),
    ],
)
def test_a_target_is_missed_beyond_its_tolerance(
    make_sweep: Make, rng: np.random.Generator, change: dict[str, Any], missed: int
):
    rows = targets_of({"2.4.1": anchored(make_sweep, rng, **change)})
    assert rows[missed].verdict is DIFFERS
    assert sum(row.verdict is DIFFERS for row in rows) == 1


def test_a_run_chosen_from_fewer_seeds_is_not_held_to_a_target(make_sweep: Make):
    few = make_sweep({"suppressed.selectivity": [0.95] * 12, "suppressed.named_colors.red": [0.1] * 12})
    rows = targets_of({"2.4.1": few})
    assert [row.verdict for row in rows] == [AGREES, DIFFERS, NOT_JUDGED, NOT_JUDGED]
    assert "chosen from 12 seeds" in rows[2].finding


def test_a_sweep_of_which_nothing_finished_is_not_judged(make_sweep: Make):
    sweep = make_sweep({"suppressed.selectivity": [1.0] * 60}, failed=range(60), chosen=None)
    rows = [
        *targets_of({"2.4.1": sweep}),
        *selectivity_of_sweep("2.4.1", "suppressed.selectivity", sweep),
    ]
    assert len(rows) == 7
    assert all(row.verdict is NOT_JUDGED and set(row.ours) == {None} for row in rows)


def test_a_recipe_without_targets_has_none(make_sweep: Make):
    assert targets_of({"2.5.1": make_sweep({"suppressed.selectivity": [0.9, 0.8]})}) == []


def test_mean_spread_range_and_front_stand_beside_the_published_ones(
    make_sweep: Make, rng: np.random.Generator
):
    sweep = anchored(make_sweep, rng, front=[0, 1, 2])
    values = [row["suppressed.selectivity"] for row in sweep["rows"]]
    rows = selectivity_of_sweep("2.4.1", "suppressed.selectivity", sweep)
    found = by_what(rows)
    assert found["mean"].ours == (np.mean(values),)
    assert found["standard deviation"].ours == (np.std(values, ddof=1),)
    assert found["smallest and largest"].published == ("0.8821", "0.9910")
    assert found["smallest and largest"].ours == (min(values), max(values))
    assert (rows[-1].what, rows[-1].published, rows[-1].ours) == ("seeds on the Pareto front", ("4",), (3,))
    assert {row.verdict for row in rows} == {AGREES}
    assert all(row.criterion for row in rows)


def test_another_distribution_differs(make_sweep: Make, rng: np.random.Generator):
    found = by_what(
        selectivity_of_sweep("2.4.1", "", anchored(make_sweep, rng, mean=0.6, sd=0.08, front=range(40)))
    )
    assert found["mean"].verdict is DIFFERS
    assert found["standard deviation"].verdict is DIFFERS
    assert found["seeds on the Pareto front"].verdict is DIFFERS


def test_fronts_among_other_numbers_of_seeds_are_not_compared(make_sweep: Make):
    few = make_sweep({"suppressed.selectivity": [0.95, 0.96, 0.92, 0.93]}, front=[0])
    assert len(selectivity_of_sweep("2.4.1", "", few)) == 3


def test_a_sweep_of_which_nothing_is_published_is_shown_as_measured(make_sweep: Make):
    sweep = make_sweep(
        {"ablated.selectivity": [0.8, 0.9, None], "ablated.named_colors.red": [0.3, 0.4, 0.5]}, chosen=1
    )
    rows = selectivity_of_sweep("2.10.1", "ablated.selectivity", sweep)
    assert {row.verdict for row in rows} == {Verdict.NOT_PUBLISHED}
    assert {row.published for row in rows} == {()}
    assert [row.ours for row in rows[2:]] == [(0.8, 0.9), (0.9,), (0.4,)]
    assert rows[0].ours == pytest.approx((0.85,), rel=1e-12)
