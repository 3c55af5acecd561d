"""Every run in a folder is found once, and what cannot be read is told and holds up nothing."""

import os
import shutil
from pathlib import Path

import pytest

import excise
from excise.errors import RunError
from excise.record import Record, open_run
from excise.runs import SavedRun, Unreadable
from excise.runs.activity import QUIET, state_of
from excise.runs.digest import digest_of
from many_runs import change_json
from tiny_recipe import make_tiny


def told(folder: Path) -> dict[str, str]:
    """What is found, by its place: the kind of a run, or why it is none."""
    return {
        found.path.relative_to(folder).as_posix(): found.kind if isinstance(found, SavedRun) else found.reason
        for found in excise.runs.find(folder)
    }


def test_every_kind_of_run_is_found_by_its_path_and_a_sweep_once(saved: Path):
    kinds = {
        "2.1/shapes": "shapes",
        "2.6/run": "run",
        "2.6/sweep": "sweep",
        "reproduction/whole": "reproduction",
    }
    assert told(saved) == kinds
    assert list(told(saved)) == sorted(kinds)
    assert told(saved / "2.6" / "run") == {".": "run"}


def test_broken_and_foreign_folders_are_told_with_the_reason_and_the_rest_is_found(
    saved: Path, tmp_path: Path
):
    folder = shutil.copytree(saved, tmp_path / "runs")
    for name in ("torn", "unfinished", "other", "gone"):
        shutil.copytree(saved / "2.6" / "run", folder / "2.6" / name)
    (folder / "2.6" / "torn" / "status.json").write_text("{", encoding="utf-8")
    (folder / "2.6" / "unfinished" / "status.json").unlink()
    (folder / "2.6" / "other" / "status.json").write_text('{"status": "online"}', encoding="utf-8")
    (folder / "2.6" / "gone" / "spec.json").unlink()
    (folder / "photos" / "summer" / "sea").mkdir(parents=True)
    (folder / ".git" / "objects").mkdir(parents=True)
    (folder / "notes.txt").write_text("not a folder", encoding="utf-8")
    found = told(folder)
    assert {name: found.pop(name) for name in told(saved)} == told(saved)
    assert "is not JSON" in found.pop("2.6/torn")
    assert "no status.json" in found.pop("2.6/unfinished")
    assert "is damaged" in found.pop("2.6/other")
    assert "cannot read" in found.pop("2.6/gone")
    assert found == {"photos": "there is no run in it."}


def test_what_mlflow_keeps_beside_the_runs_is_not_taken_for_a_broken_run(saved: Path, tmp_path: Path):
    folder = shutil.copytree(saved, tmp_path / "runs")
    artifacts = folder / "mlflow" / "0123" / "artifacts"
    artifacts.mkdir(parents=True)
    (artifacts / "spec.json").write_text("{}", encoding="utf-8")
    assert "no status.json" in told(folder)["mlflow/0123/artifacts"], (
        "without its database it is like any other"
    )
    (folder / "mlflow.db").touch()
    assert told(folder) == told(saved)


def test_links_that_lead_in_circles_end_and_names_that_are_not_text_are_read(saved: Path, tmp_path: Path):
    folder = tmp_path / "runs"
    odd = folder / os.fsdecode(b"odd-\xff\xfe-\xe2\x80\xae")
    shutil.copytree(saved / "2.6" / "run", odd)
    (folder / "again").symlink_to(folder, target_is_directory=True)
    (folder / "dead").symlink_to(folder / "nowhere")
    found = excise.runs.find(folder)
    assert [run.path for run in found] == [odd]
    assert isinstance(found[0], SavedRun)


def test_an_empty_folder_holds_nothing_and_a_missing_one_is_an_error(tmp_path: Path):
    assert excise.runs.find(tmp_path) == []
    with pytest.raises(RunError, match="does not exist"):
        excise.runs.find(tmp_path / "nowhere")
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(RunError, match="is a file"):
        excise.runs.find(tmp_path / "file")


def test_a_digest_says_what_a_line_needs(saved: Path):
    run, sweep, shapes, whole = (
        digest_of(excise.runs.open(saved / place))
        for place in ("2.6/run", "2.6/sweep", "2.1/shapes", "reproduction/whole")
    )
    results = open_run(saved / "2.6" / "run").results()
    assert (run.before, run.after) == tuple(
        results["conditions"][name]["max_mse"] for name in ("baseline", "ablated")
    )
    assert (run.edited, run.asked, run.ran, run.units) == ("ablated", 1, 1, "claims")
    assert (run.passed, run.of) == (
        sum(claim["passed"] for claim in results["claims"]),
        len(results["claims"]),
    )
    assert run.seconds is not None
    summary = (open_run(saved / "2.6" / "sweep").sweep() or {})["summary"]
    assert sweep.after == summary["ablated.max_mse"]["median"]
    assert (sweep.asked, sweep.ran, sweep.of, sweep.units) == (3, 3, 3, "seeds")
    assert sweep.numbers["ablated.red"] == summary["ablated.named_colors.red"]["median"]
    judged = open_run(saved / "2.1" / "shapes").results()["claims"]
    assert (shapes.passed, shapes.of) == (sum(claim["passed"] for claim in judged), 10)
    assert (shapes.asked, shapes.after) == (0, None)
    assert (whole.passed, whole.of, whole.units) == (2, 3, "rows")


def test_a_run_whose_numbers_are_damaged_is_unreadable_and_the_others_have_their_digests(
    saved: Path, tmp_path: Path
):
    folder = shutil.copytree(saved, tmp_path / "runs")
    change_json(folder / "2.6" / "run" / "results.json", lambda results: results.pop("claims"))
    change_json(folder / "2.1" / "shapes" / "status.json", lambda status: status.update(started="yesterday"))
    digests, unreadable = excise.runs.digests_in(folder)
    assert [digest.path.name for digest in digests] == ["sweep", "whole"]
    assert [each.path.name for each in unreadable] == ["shapes", "run"]
    assert all(isinstance(each, Unreadable) and "is damaged" in each.reason for each in unreadable)


def test_a_run_that_a_clock_set_back_ended_before_it_began_has_no_duration(saved: Path, tmp_path: Path):
    run = shutil.copytree(saved / "2.6" / "run", tmp_path / "run")
    assert (digest_of(excise.runs.open(run)).seconds or 0) > 0
    change_json(run / "status.json", lambda status: status.update(ended="1999-12-31T23:59:59+00:00"))
    assert digest_of(excise.runs.open(run)).seconds is None


def test_a_run_is_running_until_nothing_has_been_written_for_long(tmp_path: Path):
    path = tmp_path / "run"
    with Record(path, make_tiny().spec(), {"seeds": [0, 1]}):
        run = open_run(path)
        assert state_of(run) == "running"
        age(path)
        assert state_of(run) == "stopped?"
        (path / ".seed-0-1").mkdir()
        assert state_of(run) == "running"
    assert state_of(open_run(path)) == "finished"


def test_a_sweep_that_a_process_holds_is_running_however_long_it_is_silent(tmp_path: Path):
    fcntl = pytest.importorskip("fcntl")
    path = tmp_path / "run"
    with Record(path, make_tiny().spec(), {"seeds": [0, 1]}):
        age(path)
        directory = os.open(path, os.O_RDONLY)
        try:
            fcntl.flock(directory, fcntl.LOCK_EX)
            locks = Path("/proc/locks")
            if not locks.exists() or f":{path.stat().st_ino} " not in locks.read_text(encoding="utf-8"):
                pytest.skip("this system does not list its locks")
            assert state_of(open_run(path)) == "running"
        finally:
            os.close(directory)
        assert state_of(open_run(path)) == "stopped?"


def age(path: Path) -> None:
    """Make a directory look as if nothing had been written there for long."""
    long_ago = path.stat().st_mtime - 2 * QUIET
    for file in (*path.iterdir(), path):
        os.utime(file, (long_ago, long_ago))
