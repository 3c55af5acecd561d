"""A sweep spread over processes is the sweep of one process, and ends when it is told to."""

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
from excise.experiments import workers
from excise.experiments.sweep import run_sweep
from excise.record import open_run
from excise.record.files import read_json
from excise.training import Snapshot
from excise.training.progress import SilentProgress
from tiny_recipe import make_tiny

RECIPE = make_tiny(steps=12)
SEEDS = range(8)  # Two chunks of four.


class Told(SilentProgress):
    """Keeps what it is told, and calls a function at the first step or the first seed that has finished."""

    def __init__(
        self, at_step: Callable[[], object] = lambda: None, at_seed: Callable[[], object] = lambda: None
    ) -> None:
        self.snapshots: list[Snapshot] = []
        self.stages: list[str] = []
        self.notes: list[str] = []
        self.at_step, self.at_seed = at_step, at_seed

    def __call__(self, snapshot: Snapshot):
        self.snapshots.append(snapshot)
        if len(self.snapshots) == 1:
            self.at_step()

    def stage(self, name: str):
        self.stages.append(name)
        if name.startswith("1 of"):
            self.at_seed()

    def note(self, text: str):
        self.notes.append(text)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory):
    """The directory of a sweep that one process carried out, and its sweep.json."""
    path: Path = tmp_path_factory.mktemp("one")
    return path, run_sweep(RECIPE, SEEDS, path, workers=1)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch):
    """The worker processes that were started."""
    made: list[subprocess.Popen[str]] = []
    genuine = workers._Worker.__init__

    def start(worker: Any, *args: Any):
        genuine(worker, *args)
        made.append(worker.process)

    monkeypatch.setattr(workers._Worker, "__init__", start)
    return made


def test_two_processes_give_the_same_bits_as_one_and_one_progress(
    undisturbed: Any, tmp_path: Path, started: list[Any]
):
    told = Told()
    sweep = run_sweep(RECIPE, SEEDS, tmp_path, workers=2, progress=told)
    assert sweep == undisturbed[1]
    assert read_json(tmp_path / "sweep.json") == sweep
    for seed in SEEDS:
        for name in ("results.json", "metrics.jsonl", "model.safetensors", "spec.json", "env.json"):
            file = Path(f"seed-{seed}") / name
            assert (tmp_path / file).read_bytes() == (undisturbed[0] / file).read_bytes(), file
    assert [process.returncode for process in started] == [0, 0]
    done = [snapshot.step + 1 for snapshot in told.snapshots]
    assert done == sorted(done)
    assert done[-1] == told.snapshots[-1].num_steps == 12 * 8
    assert [stage for stage in told.stages if "seeds finished" in stage] == [
        f"{count} of 8 seeds finished" for count in range(1, 9)
    ]


@pytest.mark.parametrize("processes", [1, 2])
def test_a_note_is_told_once_as_a_note_which_stays(tmp_path: Path, processes: int):
    told = Told()
    recipe = make_tiny(
        dopesheet="STEP,lr,reg-separate,reg-anchor,reg-unit\n0,0.01,0.1,0.1,0.1\n2,0.01,0,0,0\n"
    )
    run_sweep(recipe, SEEDS, tmp_path, workers=processes, progress=told)
    assert len(told.notes) == 1
    assert "'reg-planar' has no column" in told.notes[0]
    assert not set(told.notes) & set(told.stages)


def test_a_worker_that_is_killed_ends_the_sweep_which_then_goes_on(
    undisturbed: Any, tmp_path: Path, started: list[Any]
):
    told = Told(at_step=lambda: os.kill(started[0].pid, signal.SIGKILL))
    with pytest.raises(
        RunError, match=r"a worker process of the sweep died \(exit status -9\); the same command"
    ):
        run_sweep(RECIPE, SEEDS, tmp_path, workers=2, progress=told)
    assert open_run(tmp_path).status["status"] == "failed"
    assert [process.poll() is not None for process in started] == [True, True], "none is left behind"
    assert not list(tmp_path.glob(".*"))
    assert run_sweep(RECIPE, SEEDS, tmp_path, workers=1) == undisturbed[1]


def test_ctrl_c_cancels_the_sweep_and_keeps_what_was_finished(
    undisturbed: Any, tmp_path: Path, started: list[Any]
):
    told = Told(at_seed=lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        run_sweep(RECIPE, SEEDS, tmp_path, workers=2, progress=told)
    assert open_run(tmp_path).status["status"] == "cancelled"
    assert [process.poll() is not None for process in started] == [True, True], "none is left behind"
    finished = {row["seed"] for row in read_json(tmp_path / "sweep.json")["rows"]}
    assert 1 <= len(finished) < 8
    before = {seed: (tmp_path / f"seed-{seed}" / "status.json").read_bytes() for seed in finished}
    told = Told()
    assert run_sweep(RECIPE, SEEDS, tmp_path, workers=1, progress=told) == undisturbed[1]
    assert told.stages[0] == f"{len(finished)} of 8 seeds are finished already"
    assert open_run(tmp_path).status["status"] == "finished"
    for seed, status in before.items():
        assert (tmp_path / f"seed-{seed}" / "status.json").read_bytes() == status, "not run again"


def test_what_a_worker_cannot_go_on_with_is_an_error_here(tmp_path: Path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(RunError, match="RunError: cannot make the run directory"):
        workers.run_chunks(RECIPE, [[0], [1]], tmp_path / "file", {}, workers=2, progress=SilentProgress())


ORPHANING = """
import json, sys
from pathlib import Path
from excise.experiments import workers
from excise.experiments.sweep import run_sweep
from excise.training.progress import SilentProgress
from tiny_recipe import make_tiny

made, genuine = [], workers._Worker.__init__

def start(worker, *args):
    genuine(worker, *args)
    made.append(worker.process.pid)

workers._Worker.__init__ = start

class Tell(SilentProgress):
    def __call__(self, snapshot):
        print(json.dumps(made), flush=True)

run_sweep(make_tiny(steps=50_000), range(8), Path(sys.argv[1]), workers=2, progress=Tell())
"""


def python(script: str, *arguments: object):
    """A process that runs a script and can import what tests share; its standard error is a pipe."""
    support = Path(__file__).parent.parent / "support"
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(support), os.environ.get("PYTHONPATH", "")])},
    )


def test_workers_end_when_the_process_that_started_them_is_killed(tmp_path: Path):
    parent = python(ORPHANING, tmp_path / "sweep")
    assert parent.stdout is not None
    pids = json.loads(parent.stdout.readline())
    assert len(pids) == 2
    for pid in pids:
        os.kill(pid, 0)  # It runs.
    parent.kill()
    # The workers hold its standard error too: this returns when the last of them has ended.
    _, errors = parent.communicate(timeout=60)
    assert errors == ""
