from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from excise.errors import RunError, SettingError
from excise.experiments.recipe import Model, Recipe
from excise.experiments.sweep import open_sweep_path, run_sweep
from excise.record import open_run
from excise.record.files import read_json
from excise.report.page import build_report


def test_an_interrupted_sweep_goes_on_with_the_seeds_that_are_not_finished(
    trainer: Any, tiny: Callable[..., Recipe], tmp_path: Path
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
    trainer: Any, tiny: Callable[..., Recipe], tmp_path: Path
):
    run_sweep(tiny(), [0, 1], tmp_path)
    (tmp_path / "seed-1" / "results.json").write_text("{", encoding="utf-8")
    sweep = run_sweep(tiny(), [0, 1], tmp_path)
    assert trainer.ran == [0, 1, 1]
    assert [row["run"] for row in sweep["rows"]] == ["seed-0", "seed-1-again-2"]


def test_the_runs_of_seed_1_are_not_those_of_seed_10(
    trainer: Any, tiny: Callable[..., Recipe], tmp_path: Path
):
    run_sweep(tiny(), [10], tmp_path)
    assert [row["run"] for row in run_sweep(tiny(), [1, 10], tmp_path)["rows"]] == ["seed-1", "seed-10"]
    assert trainer.ran == [10, 1]


@pytest.mark.parametrize("change", ["more", "others"])
def test_other_seeds_start_a_new_directory(
    trainer: Any, tiny: Callable[..., Recipe], tmp_path: Path, change: str
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
    trainer: Any, tiny: Callable[..., Recipe], tmp_path: Path
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
    trainer: Any, tiny: Callable[..., Recipe], tmp_path: Path
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
    trainer: Any, tiny: Callable[..., Recipe], tmp_path: Path
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
    trainer: Any, tiny: Callable[..., Recipe], tmp_path: Path
):
    trainer.failing = {0, 1}
    sweep = run_sweep(tiny(), [0, 1], tmp_path, then=build_report)
    assert open_run(tmp_path).sweep() == sweep
    assert (sweep["summary"], sweep["claims"], sweep["chosen"], sweep["passed"]) == ({}, [], None, 0)
    report = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert report.count("NonFiniteError: &#39;reg-unit&#39; became inf at step 7.") == 2


@pytest.mark.parametrize("seeds", [[], [1, 1]], ids=["none", "twice"])
def test_a_sweep_takes_each_seed_once_and_at_least_one(
    trainer: Any, tiny: Callable[..., Recipe], tmp_path: Path, seeds: list[int]
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


def test_an_older_unfinished_sweep_is_passed_over_when_a_newer_one_has_finished(
    trainer: Any, tiny: Callable[..., Recipe], tmp_path: Path
):
    trainer.interrupt_at = 1
    old = open_sweep_path(tiny(title="another"), [0, 1], tmp_path)
    with pytest.raises(KeyboardInterrupt):
        run_sweep(tiny(title="another"), [0, 1], old)
    trainer.interrupt_at = None
    new = open_sweep_path(tiny(), [0, 1], tmp_path, fresh=True)
    run_sweep(tiny(), [0, 1], new)
    assert open_sweep_path(tiny(), [0, 1], tmp_path) not in (old, new)


@pytest.mark.parametrize("name", ["status.json", "spec.json", "env.json"])
def test_a_sweep_that_was_damaged_is_not_begun_anew_in_silence(
    trainer: Any, tiny: Callable[..., Recipe], tmp_path: Path, name: str
):
    trainer.interrupt_at = 1
    path = open_sweep_path(tiny(), [0, 1], tmp_path)
    with pytest.raises(KeyboardInterrupt):
        run_sweep(tiny(), [0, 1], path)
    (path / name).write_text("{", encoding="utf-8")
    with pytest.raises(
        RunError, match=rf"{name} is not JSON.* Start anew with --fresh, or remove that directory"
    ):
        open_sweep_path(tiny(), [0, 1], tmp_path)
    assert open_sweep_path(tiny(), [0, 1], tmp_path, fresh=True) != path
    assert open_sweep_path(tiny(), [0, 1, 2], tmp_path) != path, "other seeds have nothing to lose there"


def test_one_that_was_killed_as_it_started_is_passed_over(
    trainer: Any, tiny: Callable[..., Recipe], tmp_path: Path
):
    path = open_sweep_path(tiny(), [0, 1], tmp_path)
    path.mkdir(parents=True)
    (path / "status.json").write_text("", encoding="utf-8")
    assert open_sweep_path(tiny(), [0, 1], tmp_path) != path


def test_two_processes_cannot_run_one_sweep_at_the_same_time(
    trainer: Any, tiny: Callable[..., Recipe], tmp_path: Path
):
    def again(path: Path):
        with pytest.raises(RunError, match="another process is running the sweep in"):
            run_sweep(tiny(), [0, 1], path)
        assert open_run(path).status["status"] == "started"

    run_sweep(tiny(), [0, 1], tmp_path, then=again)
    assert open_run(tmp_path).status["status"] == "finished"
    run_sweep(tiny(), [0, 1], tmp_path)


def test_a_directory_that_cannot_be_made_is_refused(
    trainer: Any, tiny: Callable[..., Recipe], tmp_path: Path
):
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(RunError, match=r"cannot make the run directory .*--out"):
        run_sweep(tiny(), [0], tmp_path / "file")


def test_at_least_one_worker_and_one_seed_are_needed(
    trainer: Any, tiny: Callable[..., Recipe], tmp_path: Path
):
    with pytest.raises(SettingError, match="at least one worker; 0 came"):
        run_sweep(tiny(), [0], tmp_path, workers=0)
    with pytest.raises(SettingError, match="at least one seed; none came"):
        open_sweep_path(tiny(), [], tmp_path)
