"""Processes are started for real: what is tested is that they work together, and that none is left."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import tiny_recipe
from excise.errors import RunError
from excise.executors import Processes
from excise.experiments.recipe import Recipe
from excise.experiments.reproduction import Part
from excise.experiments.reproduction.at_once import run_at_once
from excise.experiments.sweep import run_sweep
from excise.record import open_run
from excise.record.files import read_json
from excise.training import Snapshot
from excise.training.progress import SilentProgress


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """The processes that were started."""
    made: list[subprocess.Popen[bytes]] = []
    genuine = Processes._launch

    def launch(executor: Processes) -> subprocess.Popen[bytes]:
        made.append(genuine(executor))
        return made[-1]

    monkeypatch.setattr(Processes, "_launch", launch)
    return made


class Noting(SilentProgress):
    def __init__(self) -> None:
        self.snapshots: list[Snapshot] = []
        self.stages: list[str] = []
        self.notes: list[str] = []

    def __call__(self, snapshot: Snapshot) -> None:
        self.snapshots.append(snapshot)

    def stage(self, name: str) -> None:
        self.stages.append(name)

    def note(self, text: str) -> None:
        self.notes.append(text)


def test_sweeps_in_processes_have_the_numbers_of_sweeps_alone_and_none_is_left(
    tiny: Callable[..., Recipe], tmp_path: Path, started: list[subprocess.Popen[bytes]]
):
    entries = [
        (Part(tiny(steps=steps, name=name), (0, 1), is_sweep=False), tmp_path / name)
        for name, steps in (("short", 10), ("long", 30), ("middle", 20))
    ]
    progress = Noting()
    run_at_once(entries, processors=2, progress=progress)
    assert len(started) == 2
    assert None not in [process.poll() for process in started]
    for part, path in entries:
        alone = run_sweep(part.recipe, part.seeds, tmp_path / "alone" / part.recipe.name, workers=1)
        assert read_json(path / "sweep.json") == alone
    steps = [snapshot.step for snapshot in progress.snapshots]
    assert steps == sorted(steps)
    assert {snapshot.num_steps for snapshot in progress.snapshots} == {2 * (10 + 30 + 20)}
    assert steps[-1] == 2 * (10 + 30 + 20) - 1
    assert [stage for stage in progress.stages if "3 of 3" in stage]


def test_a_note_is_told_once_a_recipe_as_a_note_which_stays(tiny: Callable[..., Recipe], tmp_path: Path):
    dopesheet = "STEP,lr,reg-separate,reg-anchor,reg-unit\n0,0.01,0.1,0.1,0.1\n2,0.01,0,0,0\n"
    entries = [
        (Part(tiny(name=name, dopesheet=dopesheet), (seed,), is_sweep=False), tmp_path / f"{name}-{seed}")
        for name in ("a", "b")
        for seed in (0, 1)
    ]
    progress = Noting()
    run_at_once(entries, processors=2, progress=progress)
    told = "note: term 'reg-planar' has no column in the schedule: its weight is 1 at every step"
    assert sorted(progress.notes) == [f"a, {told}", f"b, {told}"]
    assert not set(progress.notes) & set(progress.stages)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda path: path.write_text("", encoding="utf-8"), "cannot make the run directory"),
        (None, r"a worker process died in the middle of its work \(signal 9.* The same command goes on"),
    ],
    ids=["error", "died"],
)
def test_a_sweep_that_fails_ends_the_others_which_say_that_they_were_cancelled(
    tiny: Callable[..., Recipe],
    tmp_path: Path,
    started: list[subprocess.Popen[bytes]],
    change: Callable[[Path], object] | None,
    said: str,
):
    def endless(name: str) -> tuple[Part, Path]:
        return Part(tiny(name=name, steps=50_000), (0,), is_sweep=False), tmp_path / name

    class Killing(Noting):
        def __call__(self, snapshot: Snapshot) -> None:
            super().__call__(snapshot)
            if change is None and len(self.snapshots) == 1:
                started[1].kill()

    if change is not None:
        change(tmp_path / "b")
    with pytest.raises(RunError, match=said):
        run_at_once([endless("a"), endless("b")], processors=2, progress=Killing())
    assert len(started) == 2
    assert None not in [process.poll() for process in started]
    if change is None:  # The one that was not killed had begun.
        assert "cancelled" in statuses(tmp_path / "a", tmp_path / "b")


def statuses(*paths: Path) -> set[str]:
    return {
        open_run(path).status["status"] for path in paths if path.is_dir() and (path / "status.json").exists()
    }


LEFT_ALONE = """
import sys
from pathlib import Path
from excise.experiments.reproduction import Part
from excise.experiments.reproduction.at_once import run_at_once
from excise.training.progress import SilentProgress
from tiny_recipe import make_tiny

class Tell(SilentProgress):
    def __call__(self, snapshot):
        print("it trains", flush=True)

parts = [(Part(make_tiny(steps=50_000), (seed,), is_sweep=False), Path(sys.argv[1]) / str(seed)) for seed in (0, 1)]
run_at_once(parts, processors=2, progress=Tell())
"""


def test_a_process_that_is_left_alone_writes_down_that_its_sweep_was_cancelled(tmp_path: Path):
    support = str(Path(tiny_recipe.__file__).parent)
    with subprocess.Popen(
        [sys.executable, "-c", LEFT_ALONE, str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([support, os.environ.get("PYTHONPATH", "")])},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "it trains\n"
        process.kill()
        # The workers hold its standard error too: this returns when the last of them has ended.
        _, errors = process.communicate(timeout=60)
    assert errors == ""
    assert "cancelled" in statuses(tmp_path / "0", tmp_path / "1")
