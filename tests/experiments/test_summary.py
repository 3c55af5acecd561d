"""What the runs of a sweep add up to."""

import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn

from excise.experiments.recipe import Recipe, Selection
from excise.experiments.summary import spread, summarise_sweep
from excise.experiments.sweep import run_sweep
from excise.record import Record, open_run
from excise.record.files import read_json


def test_medians_spread_and_counts_are_those_of_the_rows(
    trainer: Any, tiny: Callable[..., Recipe], tmp_path: Path
):
    seeds = [5, 2, 9, 4]
    sweep = run_sweep(tiny(), seeds, tmp_path)
    assert [row["seed"] for row in sweep["rows"]] == seeds
    assert [row["passed"] for row in sweep["rows"]] == [False, True, False, True]
    assert sweep["rows"][0]["failed_claims"] == [tiny().claims[0].claim]
    assert sweep["rows"][0]["ablated.named_colors.red"] == 5.0
    for key in ("baseline.max_mse", "pruned.median_mse", "ablated.named_colors.dark gray"):
        spread = sweep["summary"][key]
        assert spread["median"] == statistics.median(seeds) == 4.5
        assert (spread["min"], spread["max"]) == (2, 9)
        assert (spread["q1"], spread["q3"]) == (3.5, 6)
        assert spread["mean"] == 5
        assert spread["sd"] == pytest.approx(statistics.stdev(seeds), rel=1e-12)
    assert [(claim["passed"], claim["seeds"]) for claim in sweep["claims"]] == [(2, 4)] + [(4, 4)] * 4
    assert sweep["claims"][0]["measured"]["median"] == 45
    assert sweep["passed"] == 2
    assert sweep["chosen"] == 4  # the lower of the two in the middle
    assert read_json(tmp_path / "sweep.json") == sweep == open_run(tmp_path).sweep()
    assert open_run(tmp_path).status["status"] == "finished"
    assert open_run(tmp_path).environment["seeds"] == seeds


def test_one_seed_has_no_spread(trainer: Any, tiny: Callable[..., Recipe], tmp_path: Path):
    assert run_sweep(tiny(), [3], tmp_path)["summary"]["ablated.max_mse"]["sd"] == 0


def test_a_number_that_was_not_finite_is_left_out_of_the_spread(
    trainer: Any, tiny: Callable[..., Recipe], tmp_path: Path
):
    sweep_of = trainer.results_of(1)
    sweep_of["conditions"]["ablated"]["max_mse"] = float("nan")
    with Record(tmp_path / "seed-1", tiny().spec(), {}) as record:
        record.save_model(nn.Linear(1, 1))
        record.save_results(sweep_of)
    sweep = run_sweep(tiny(), [1, 2], tmp_path)
    assert trainer.ran == [2]
    assert sweep["summary"]["ablated.max_mse"]["median"] == 2
    assert sweep["summary"]["baseline.max_mse"]["median"] == 1.5
    assert sweep["chosen"] == 2


def test_the_spread_is_of_the_finite_values():
    values = [3.0, None, 1.0, float("nan"), 2.0, float("inf"), 10.0]
    finite = [3.0, 1.0, 2.0, 10.0]
    assert spread(values) == pytest.approx(
        {
            "median": 2.5,
            "min": 1,
            "q1": np.quantile(finite, 0.25),
            "q3": np.quantile(finite, 0.75),
            "max": 10,
            "mean": 4,
            "sd": statistics.stdev(finite),
        },
        rel=1e-12,
    )
    assert spread([None, float("nan")]) == dict.fromkeys(spread(values))


def test_seeds_that_were_not_run_have_no_row(trainer: Any, tiny: Callable[..., Recipe], tmp_path: Path):
    trainer.failing = {3}
    run_sweep(tiny(), [5, 3], tmp_path)
    sweep = summarise_sweep(tiny(), [4, 5, 3, 6], tmp_path)
    assert [(row["seed"], "failed" in row) for row in sweep["rows"]] == [(5, False), (3, True)]
    assert sweep["seeds"] == [4, 5, 3, 6]
    nothing = summarise_sweep(tiny(), [7], tmp_path)
    assert (nothing["rows"], nothing["chosen"], nothing["best"], nothing["worst"]) == ([], None, None, None)


def test_without_a_selection_the_best_and_the_worst_are_by_the_claims_that_failed(
    trainer: Any, tiny: Callable[..., Recipe], tmp_path: Path
):
    # Odd seeds fail a claim.
    sweep = run_sweep(tiny(), [7, 2, 4, 9], tmp_path)
    assert (sweep["best"], sweep["worst"], sweep["front"]) == (2, 9, [])
    assert sweep["chosen"] == 4
    assert sweep["chosen_is"].startswith("the seed whose largest error after the first edit is the median")


@pytest.mark.parametrize(
    ("low", "high", "by", "chosen", "front", "worst"),
    [
        # Every number of a made-up run is its seed.
        (("ablated.max_mse",), (), "ablated.max_mse", 2, [2], 9),
        ((), ("ablated.max_mse",), "ablated.max_mse", 9, [9], 2),
        (("baseline.max_mse",), ("ablated.max_mse",), "baseline.max_mse", 2, [5, 9, 2], 9),
        (("baseline.max_mse",), ("ablated.max_mse",), "ablated.max_mse", 9, [5, 9, 2], 2),
    ],
    ids=["low", "high", "traded-low", "traded-high"],
)
def test_the_chosen_seed_is_the_best_of_the_front(
    trainer: Any,
    tiny: Callable[..., Recipe],
    tmp_path: Path,
    *,
    low: tuple[str, ...],
    high: tuple[str, ...],
    by: str,
    chosen: int,
    front: list[int],
    worst: int,
):
    trainer.failing = {1}
    recipe = tiny(selection=Selection(low=low, high=high, by=by))
    sweep = run_sweep(recipe, [5, 1, 9, 2], tmp_path)
    assert (sweep["chosen"], sweep["best"], sweep["worst"]) == (chosen, chosen, worst)
    assert sweep["front"] == front
    assert sweep["chosen_is"].startswith(f"the best by {by} of the Pareto front over ")
    assert open_run(tmp_path).sweep() == sweep


def test_where_no_seed_has_the_numbers_of_the_selection_a_typical_one_is_shown(
    trainer: Any, tiny: Callable[..., Recipe], tmp_path: Path
):
    recipe = tiny(selection=Selection(low=("validation.objective",), by="validation.objective"))
    sweep = run_sweep(recipe, [5, 9, 2], tmp_path)
    assert sweep["chosen"] == 5
    assert sweep["chosen_is"].startswith("the seed whose largest error")
