import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from torch import nn

from excise.errors import NonFiniteError, RunError, SettingError
from excise.experiments import chunk
from excise.experiments.recipe import Model, Recipe
from excise.experiments.sweep import open_sweep_path, run_sweep
from excise.report.page import build_report
from excise.runs import Record, open_run
from excise.runs.files import read_json


class Trained(NamedTuple):
    seed: int


class Trainer:
    """Stands in for the training: writes runs whose numbers follow from their seed, and counts them."""

    def __init__(self, genuine: dict[str, Any]):
        self.genuine = genuine
        self.ran: list[int] = []
        self.failing: set[int] = set()
        self.interrupt_at: int | None = None
        self.error: Exception | None = None

    def train(self, _recipe: Recipe, seeds: Sequence[int], *_args: Any, **_settings: Any):
        return [Trained(seed) for seed in seeds]

    def write(self, recipe: Recipe, trained: Trained, path: Path, environment: dict[str, Any]):
        seed = trained.seed
        self.ran.append(seed)
        with Record(path, recipe.spec(), environment) as record:
            record.log({"step": 0})
            if seed == self.interrupt_at:
                raise KeyboardInterrupt
            if seed in self.failing:
                raise self.error or NonFiniteError("reg-unit", 7, float("inf"))
            record.save_model(nn.Linear(1, 1))
            record.save_results(results_of(self.genuine, seed), _arrays())


def results_of(genuine: dict[str, Any], seed: int):
    """Genuine results in which each number is the seed, and the first claim holds for even seeds only."""
    conditions = {
        name: {
            "max_mse": float(seed),
            "median_mse": float(seed),
            "named_colors": dict.fromkeys(measured["named_colors"], float(seed)),
        }
        for name, measured in genuine["conditions"].items()
    }
    claims = [
        claim | {"measured": 10.0 * seed, "passed": index > 0 or seed % 2 == 0}
        for index, claim in enumerate(genuine["claims"])
    ]
    return genuine | {"seed": seed, "conditions": conditions, "claims": claims}


def _arrays():
    import xarray as xr

    return xr.Dataset({"error": ("seed", np.zeros(1, dtype=np.float32))})


@pytest.fixture
def trainer(finished: Any, monkeypatch: pytest.MonkeyPatch):
    made = Trainer(finished.returned)
    monkeypatch.setattr(chunk, "train", made.train)
    monkeypatch.setattr(chunk, "_write_run", made.write)
    return made


def test_medians_spread_and_counts_are_those_of_the_rows(
    trainer: Trainer, tiny: Callable[..., Recipe], tmp_path: Path
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


def test_one_seed_has_no_spread(trainer: Trainer, tiny: Callable[..., Recipe], tmp_path: Path):
    assert run_sweep(tiny(), [3], tmp_path)["summary"]["ablated.max_mse"]["sd"] == 0


def test_a_number_that_was_not_finite_is_left_out_of_the_spread(
    trainer: Trainer, tiny: Callable[..., Recipe], tmp_path: Path
):
    sweep_of = results_of(trainer.genuine, 1)
    sweep_of["conditions"]["ablated"]["max_mse"] = float("nan")
    with Record(tmp_path / "seed-1", tiny().spec(), {}) as record:
        record.save_model(nn.Linear(1, 1))
        record.save_results(sweep_of, _arrays())
    sweep = run_sweep(tiny(), [1, 2], tmp_path)
    assert trainer.ran == [2]
    assert sweep["summary"]["ablated.max_mse"]["median"] == 2
    assert sweep["summary"]["baseline.max_mse"]["median"] == 1.5
    assert sweep["chosen"] == 2


def test_an_interrupted_sweep_goes_on_with_the_seeds_that_are_not_finished(
    trainer: Trainer, tiny: Callable[..., Recipe], tmp_path: Path
):
    seeds = range(4)
    trainer.interrupt_at = 2
    path = open_sweep_path(tiny(), seeds, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        run_sweep(tiny(), seeds, path)
    assert trainer.ran == [0, 1, 2]
    assert open_run(path).status["status"] == "cancelled"
    assert [row["seed"] for row in read_json(path / "sweep.json")["rows"]] == [0, 1]

    trainer.interrupt_at = None
    assert open_sweep_path(tiny(), seeds, tmp_path) == path
    sweep = run_sweep(tiny(), seeds, path)
    assert trainer.ran == [0, 1, 2, 2, 3]
    assert [row["run"] for row in sweep["rows"]] == ["seed-0", "seed-1", "seed-2", "seed-3"]
    assert not list(path.glob(".*")), "what was half written is gone"
    assert open_run(path).status["status"] == "finished"
    assert open_sweep_path(tiny(), seeds, tmp_path) != path


def test_a_finished_seed_whose_results_are_damaged_is_run_again(
    trainer: Trainer, tiny: Callable[..., Recipe], tmp_path: Path
):
    run_sweep(tiny(), [0, 1], tmp_path)
    (tmp_path / "seed-1" / "results.json").write_text("{", encoding="utf-8")
    sweep = run_sweep(tiny(), [0, 1], tmp_path)
    assert trainer.ran == [0, 1, 1]
    assert [row["run"] for row in sweep["rows"]] == ["seed-0", "seed-1-again-2"]


def test_the_runs_of_seed_1_are_not_those_of_seed_10(
    trainer: Trainer, tiny: Callable[..., Recipe], tmp_path: Path
):
    run_sweep(tiny(), [10], tmp_path)
    assert [row["run"] for row in run_sweep(tiny(), [1, 10], tmp_path)["rows"]] == ["seed-1", "seed-10"]
    assert trainer.ran == [10, 1]


@pytest.mark.parametrize("change", ["more", "others"])
def test_other_seeds_start_a_new_directory(
    trainer: Trainer, tiny: Callable[..., Recipe], tmp_path: Path, change: str
):
    trainer.interrupt_at = 1
    path = open_sweep_path(tiny(), [0, 1], tmp_path)
    with pytest.raises(KeyboardInterrupt):
        run_sweep(tiny(), [0, 1], path)
    seeds = {"more": [0, 1, 2], "others": [1, 2]}[change]
    assert open_sweep_path(tiny(), seeds, tmp_path) != path
    assert open_sweep_path(tiny(), [0, 1], tmp_path) == path
    assert open_sweep_path(tiny(), [0, 1], tmp_path, fresh=True) != path


def test_a_sweep_whose_recipe_changed_is_refused_with_the_difference(
    trainer: Trainer, tiny: Callable[..., Recipe], tmp_path: Path
):
    trainer.interrupt_at = 1
    path = open_sweep_path(tiny(), [0, 1], tmp_path)
    with pytest.raises(KeyboardInterrupt):
        run_sweep(tiny(), [0, 1], path)
    changed = tiny(title="another", model=Model(latent_dim=6))
    with pytest.raises(
        RunError,
        match=r'title: "Delete the warm/cool axis" there, "another" now; model\.latent_dim: 4 there, 6 now',
    ):
        run_sweep(changed, [0, 1], path)
    with pytest.raises(RunError, match=r"there, 6 now\. Start anew with --fresh"):
        open_sweep_path(changed, [0, 1], tmp_path)
    assert open_sweep_path(changed, [0, 1], tmp_path, fresh=True) != path
    assert open_run(path).spec == tiny().spec()
    assert trainer.ran == [0, 1]


def test_a_seed_that_fails_is_a_row_with_its_error_and_the_others_go_on(
    trainer: Trainer, tiny: Callable[..., Recipe], tmp_path: Path
):
    trainer.failing = {1}
    sweep = run_sweep(tiny(), [0, 1, 2], tmp_path)
    assert trainer.ran == [0, 1, 2]
    assert sweep["rows"][1]["seed"] == 1
    assert sweep["rows"][1]["failed"].startswith("NonFiniteError: 'reg-unit' became inf at step 7.")
    assert sweep["summary"]["ablated.max_mse"]["median"] == 1
    assert [(claim["passed"], claim["seeds"]) for claim in sweep["claims"]] == [(2, 3)] * 5
    assert sweep["passed"] == 2
    assert open_run(tmp_path / "seed-1").status["status"] == "failed"
    assert open_run(tmp_path).status["status"] == "finished"
    assert run_sweep(tiny(), [0, 1, 2], tmp_path)["rows"] == sweep["rows"]
    assert trainer.ran == [0, 1, 2], "a seed that diverged would do so again"


def test_a_full_disk_ends_the_sweep_and_a_defect_of_ours_is_not_taken_for_a_failed_seed(
    trainer: Trainer, tiny: Callable[..., Recipe], tmp_path: Path
):
    trainer.failing = {0}
    for name, error in (
        ("full", RunError("cannot write: No space left on device.")),
        ("defect", AssertionError()),
    ):
        trainer.error = error
        with pytest.raises(type(error)):
            run_sweep(tiny(), [0, 1], tmp_path / name)
        assert open_run(tmp_path / name).status["status"] == "failed"
    assert trainer.ran == [0, 0]


def test_when_all_seeds_fail_there_is_still_a_sweep_file_and_a_report(
    trainer: Trainer, tiny: Callable[..., Recipe], tmp_path: Path
):
    trainer.failing = {0, 1}
    sweep = run_sweep(tiny(), [0, 1], tmp_path, then=build_report)
    assert open_run(tmp_path).sweep() == sweep
    assert (sweep["summary"], sweep["claims"], sweep["chosen"], sweep["passed"]) == ({}, [], None, 0)
    report = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert report.count("NonFiniteError: &#39;reg-unit&#39; became inf at step 7.") == 2


@pytest.mark.parametrize("seeds", [[], [1, 1]], ids=["none", "twice"])
def test_a_sweep_takes_each_seed_once_and_at_least_one(
    trainer: Trainer, tiny: Callable[..., Recipe], tmp_path: Path, seeds: list[int]
):
    with pytest.raises(SettingError, match="at least one seed, each once"):
        run_sweep(tiny(), seeds, tmp_path)
    assert trainer.ran == []
    assert not list(tmp_path.iterdir())


def test_a_sweep_of_real_runs_has_the_numbers_of_each_run_by_itself(
    finished: Any, tiny: Callable[..., Recipe], tmp_path: Path
):
    sweep = run_sweep(tiny(), [3, 4], tmp_path)
    alone = finished.returned["conditions"]["ablated"]
    assert sweep["rows"][0]["ablated.max_mse"] == alone["max_mse"]
    assert sweep["rows"][0]["ablated.named_colors.red"] == alone["named_colors"]["red"]
    assert sweep["rows"][1]["ablated.max_mse"] != alone["max_mse"]
