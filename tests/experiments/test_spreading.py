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

import errands
from excise.errors import RunError, SettingError
from excise.executors import Inline, Processes
from excise.executors import processes as processes_module
from excise.experiments.spreading import run_chunks
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
    made: list[subprocess.Popen[bytes]] = []
    genuine = Processes._launch

    def launch(executor: Processes):
        made.append(genuine(executor))
        return made[-1]

    monkeypatch.setattr(processes_module.Processes, "_launch", launch)
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
    assert len(started) == 2
    assert all(process.poll() is not None for process in started), "none is left behind"
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


def test_the_seeds_of_a_worker_that_is_killed_are_begun_again_and_each_counts_once(
    undisturbed: Any, tmp_path: Path, started: list[Any]
):
    told = Told(at_step=lambda: os.kill(started[0].pid, signal.SIGKILL))
    assert run_sweep(RECIPE, SEEDS, tmp_path, workers=2, progress=told) == undisturbed[1]
    assert len(started) == 3
    (note,) = told.notes
    assert "a worker process died in the middle of its work (signal 9" in note
    assert all(process.poll() is not None for process in started), "none is left behind"
    assert sorted(path.name for path in tmp_path.glob("*seed-*")) == [f"seed-{seed}" for seed in SEEDS]


class Deadly(Processes):
    """Its processes die of seed 5."""

    def _start(self, fn: Any, args: Any, kwargs: Any, on_call: Any):
        if 5 in args[0].seeds:
            return super()._start(errands.die, (), {}, None)
        return super()._start(fn, args, kwargs, on_call)


def test_a_seed_that_kills_its_worker_is_named_at_the_end_and_all_others_are_finished(
    undisturbed: Any, tmp_path: Path
):
    told = Told()
    with (
        Deadly(2) as executor,
        pytest.raises(RunError, match=r"^seed 5: a worker process died .* All other seeds are finished"),
    ):
        run_sweep(RECIPE, SEEDS, tmp_path, executor=executor, progress=told)
    assert {row["seed"] for row in read_json(tmp_path / "sweep.json")["rows"]} == {*SEEDS} - {5}
    assert open_run(tmp_path).status["status"] == "failed"
    assert run_sweep(RECIPE, SEEDS, tmp_path, workers=1) == undisturbed[1]


class Afar(Processes):
    """Processes that do not see the files of this machine, as far as the sweep knows."""

    shares_files = False


def test_workers_that_do_not_see_our_files_send_home_the_same_directories(
    undisturbed: Any, tmp_path: Path, started: list[Any]
):
    told = Told(at_seed=lambda: os.kill(started[0].pid, signal.SIGKILL))
    with Afar(2) as executor:
        assert run_sweep(RECIPE, SEEDS, tmp_path, executor=executor, progress=told) == undisturbed[1]
    assert not list(tmp_path.glob(".*"))
    for seed in SEEDS:
        for name in ("results.json", "metrics.jsonl", "model.safetensors", "spec.json"):
            file = Path(f"seed-{seed}") / name
            assert (tmp_path / file).read_bytes() == (undisturbed[0] / file).read_bytes(), file
    finished = [stage for stage in told.stages if "seeds finished" in stage]
    assert finished == [f"{count} of 8 seeds finished" for count in range(1, 9)]


def test_workers_and_an_executor_are_one_too_many(tmp_path: Path):
    with Inline() as executor, pytest.raises(SettingError, match="leave out workers=2"):
        run_sweep(RECIPE, SEEDS, tmp_path, executor=executor, workers=2)


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
    with Processes(2) as executor, pytest.raises(RunError, match="cannot make the run directory"):
        run_chunks(RECIPE, [[0], [1]], tmp_path / "file", {}, executor=executor, progress=SilentProgress())


ORPHANING = """
import json, sys
from pathlib import Path
from excise.executors import Processes
from excise.experiments.sweep import run_sweep
from excise.training.progress import SilentProgress
from tiny_recipe import make_tiny

made, genuine = [], Processes._launch

def launch(executor):
    process = genuine(executor)
    made.append(process.pid)
    return process

Processes._launch = launch

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


class Forgetful(Afar):
    """What its first function calls back with of seed 1 is lost on the way."""

    def _start(self, fn: Any, args: Any, kwargs: Any, on_call: Any):
        if 1 in args[0].seeds and len(args[0].seeds) > 1:
            heard = on_call
            on_call = lambda message: getattr(message, "seed", 0) == 1 or heard(message)  # noqa: E731 - the argument is replaced
        return super()._start(fn, args, kwargs, on_call)


def test_a_seed_that_was_run_and_did_not_arrive_is_run_again(undisturbed: Any, tmp_path: Path):
    told = Told()
    with Forgetful(2) as executor:
        assert run_sweep(RECIPE, SEEDS, tmp_path, executor=executor, progress=told) == undisturbed[1]
    assert told.stages[-2] == "8 of 8 seeds finished"
