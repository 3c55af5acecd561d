"""Processes are started for real: what is tested is that they work together, and that none is left."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from excise.errors import RunError
from excise.experiments.recipe import Recipe
from excise.experiments.reproduction import Part, at_once
from excise.experiments.reproduction.at_once import run_at_once
from excise.experiments.sweep import run_sweep
from excise.record import open_run
from excise.record.files import read_json
from excise.training import Snapshot
from excise.training.progress import SilentProgress

Popen = subprocess.Popen
"""The real one, which tests stand something before."""


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
    tiny: Callable[..., Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: Any, **settings: Any) -> subprocess.Popen[str]:
        started.append(Popen(*arguments, **settings))
        return started[-1]

    monkeypatch.setattr(at_once.subprocess, "Popen", start)
    entries = [
        (Part(tiny(steps=steps, name=name), (0, 1), is_sweep=False), tmp_path / name)
        for name, steps in (("short", 10), ("long", 30), ("middle", 20))
    ]
    progress = Noting()
    run_at_once(entries, processors=2, progress=progress)
    assert len(started) == 2
    assert [process.poll() for process in started] == [0, 0]
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


class Dead:
    """Stands in for processes that die at once, or that tell of an error first."""

    def __init__(self, script: str) -> None:
        self.script = script
        self.started: list[subprocess.Popen[str]] = []

    def __call__(self, _command: list[str], **settings: Any) -> subprocess.Popen[str]:
        self.started.append(Popen([sys.executable, "-c", self.script], **settings))
        return self.started[-1]


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("raise SystemExit(3)", r"a process of the reproduction died \(exit status 3\)"),
        (
            "import json, sys; sys.stdin.readline();"
            "print(json.dumps({'kind': 'error', 'error': 'the disk is full'}), flush=True); sys.stdin.read()",
            "the disk is full",
        ),
    ],
    ids=["died", "error"],
)
def test_a_process_that_fails_ends_the_others(
    tiny: Callable[..., Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, said: str
):
    dead = Dead(script)
    monkeypatch.setattr(at_once.subprocess, "Popen", dead)
    entries = [(Part(tiny(name=name), (0,), is_sweep=False), tmp_path / name) for name in ("a", "b")]
    with pytest.raises(RunError, match=said):
        run_at_once(entries, processors=2)
    assert len(dead.started) == 2
    codes = [process.poll() for process in dead.started]
    assert None not in codes
    if said == "the disk is full" and os.name == "posix":
        assert set(codes) == {-signal.SIGTERM}  # asked to end, not killed


def test_a_process_that_is_left_alone_writes_down_that_its_sweep_was_cancelled(
    tiny: Callable[..., Recipe], tmp_path: Path
):
    task = {
        "part": 0,
        "recipe": tiny(steps=1_000_000).spec(),
        "seeds": [0],
        "path": str(tmp_path / "sweep"),
        "workers": 1,
    }
    with Popen(
        [sys.executable, "-m", "excise.experiments.reproduction.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(task) + "\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["kind"] == "step"  # it trains
        process.stdin.close()
        process.stdout.read()
        assert process.wait() == 1
    assert open_run(tmp_path / "sweep").status["status"] == "cancelled"
