"""Runs a recipe over several seeds, trained in lockstep, and sums up what held in how many of them.

Each seed is a run directory of its own inside the sweep's, the same as if it had been run alone. A sweep that was
interrupted, or killed, goes on where it stopped: what is finished is kept.
"""

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from excise.errors import RunError, SettingError
from excise.executors import Executor, Inline, Processes
from excise.executors.processes import cores
from excise.experiments.chunk import failure_of, finished_run, plan_chunks, sweep_leftovers
from excise.experiments.pipeline import check_edits
from excise.experiments.recipe import Recipe
from excise.experiments.spreading import run_chunks
from excise.experiments.summary import summarise_sweep
from excise.experiments.tracked import tracked
from excise.experiments.tracked_sweep import hand_over_sweep, log_means
from excise.record import Record, Run, new_run_path, open_run
from excise.record.environment import describe_environment
from excise.record.files import write_json
from excise.trackers import Tracker, Tracking, make_trackers
from excise.training.progress import SilentProgress

__all__ = ["open_sweep_path", "run_sweep", "summarise_sweep"]


def run_sweep(
    recipe: Recipe,
    seeds: Sequence[int],
    path: Path,
    *,
    progress: SilentProgress | None = None,
    then: Callable[[Path], object] | None = None,
    workers: int | None = None,
    executor: Executor | None = None,
    trackers: Iterable[str | Tracker] = (),
) -> dict[str, Any]:
    """Run the recipe for each seed, into the directory `path`, which may hold an unfinished sweep of it.

    Args:
        recipe: what to run.
        seeds: distinct, at least one.
        path: the sweep's directory.
        progress: shows how the sweep goes.
        then: what else belongs to the sweep, such as its report; called with `path` at the end.
        workers: how many processes train at once; None takes one a core.
        executor: where the seeds are trained instead, such as a cluster; it is left open.
        trackers: where else the sweep is shown, as one run: the mean over its seeds, and all seeds in a table.

    Returns:
        The content of `sweep.json`. A seed that failed is a row with its error; the others go on.

    Raises:
        SettingError: no seeds, or one twice, or no worker, or both workers and an executor.
        TrackerError: a tracker that is not known, or lacks its credentials; found before anything is made.
        SurgeryError: an edit of the recipe cannot be made on its model; found before the training.
        RunError: the directory cannot be written, holds a run of another recipe, or is being run by another process.
    """
    if not seeds or len(set(seeds)) != len(seeds):
        raise SettingError(f"a sweep takes at least one seed, each once; {list(seeds)} came.")
    if workers is not None and workers < 1:
        raise SettingError(f"a sweep takes at least one worker; {workers} came.")
    if workers is not None and executor is not None:
        raise SettingError(f"an executor has its own workers; leave out workers={workers}.")
    progress = progress or SilentProgress()
    spec = recipe.spec()
    environment = describe_environment()
    made = make_trackers(trackers)
    with contextlib.ExitStack() as stack:
        stack.enter_context(_held(path))
        tracking = stack.enter_context(Tracking(made))
        resume = (path / "status.json").exists()
        if resume:
            _require_same(open_run(path), spec)
        stack.enter_context(Record(path, spec, {**environment, "seeds": list(seeds)}, resume=resume))
        check_edits(recipe)
        if tracking:
            tracking.start(tracked(recipe, seeds, path, environment))
        sweep_leftovers(path)
        pending = [
            seed for seed in seeds if finished_run(path, seed) is None and failure_of(path, seed) is None
        ]
        if len(pending) < len(seeds):
            progress.stage(f"{len(seeds) - len(pending)} of {len(seeds)} seeds are finished already")
        try:
            slots = executor.slots if executor is not None else cores() if workers is None else workers
            here = executor is None or isinstance(executor, Inline | Processes)
            chunks = plan_chunks(recipe, pending, slots, here=here)
            own = Inline() if slots == 1 or len(chunks) <= 1 else Processes(slots)
            with own if executor is None else contextlib.nullcontext(executor) as opened:
                run_chunks(recipe, chunks, path, environment, executor=opened, progress=progress)
        finally:
            sweep_leftovers(path)
            sweep = summarise_sweep(recipe, seeds, path)
            write_json(path / "sweep.json", sweep)
        progress.stage("summing up")
        if then is not None:
            then(path)
        if tracking:
            log_means(tracking, seeds, path)
            hand_over_sweep(tracking, sweep, path)
    return sweep


def open_sweep_path(recipe: Recipe, seeds: Sequence[int], out: Path, *, fresh: bool = False) -> Path:
    """Where a sweep goes: on in the newest of this recipe and these seeds if that is unfinished, or a new directory.

    Args:
        recipe: what is to be run.
        seeds: over which seeds.
        out: where run directories are made.
        fresh: True starts a new directory whatever is there.

    Raises:
        SettingError: no seeds.
        RunError: the newest sweep of that name and those seeds is unfinished, but was started with another recipe, in
            which case the difference is shown, or its files are damaged.
    """
    if not seeds:
        raise SettingError("a sweep takes at least one seed; none came.")
    what = f"seeds{seeds[0]}-{seeds[-1]}"
    for directory in [] if fresh else sorted((out / recipe.name).glob("*-seeds*"), reverse=True):
        try:
            run = open_run(directory)
        except RunError as error:
            # One that was killed as it started has nothing to lose, and is passed over.
            if f"-{what}-" in f"{directory.name}-" and any(directory.glob("seed-*")):
                raise _instead(error) from None
            continue
        if run.environment.get("seeds") != list(seeds):
            continue
        if run.status["status"] == "finished":
            break
        try:
            _require_same(run, recipe.spec())
        except RunError as error:
            raise _instead(error) from None
        return directory
    return new_run_path(out, recipe.name, what)


@contextlib.contextmanager
def _held(path: Path) -> Iterator[None]:
    """Make the sweep's directory and hold it, so that no second process runs the same sweep at the same time.

    The system lets go of it when this process ends, in whatever way. Windows has no such locks on directories.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        directory = None if sys.platform == "win32" else os.open(path, os.O_RDONLY)
    except OSError as error:
        raise RunError(
            f"cannot make the run directory {path}: {error.strerror or error}. "
            f"Choose a directory that you can write to with --out."
        ) from error
    try:
        if sys.platform != "win32" and directory is not None:
            _lock(directory, path)
        yield
    finally:
        if directory is not None:
            os.close(directory)


def _lock(directory: int, path: Path) -> None:
    import fcntl

    try:
        fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise RunError(
            f"another process is running the sweep in {path}; wait for it, or start another with --fresh."
        ) from None
    except OSError:
        pass  # This file system has no locks.


def _instead(error: RunError) -> RunError:
    return RunError(f"{error} Start anew with --fresh, or remove that directory.")


def _require_same(run: Run, spec: object) -> None:
    asked = json.loads(json.dumps(spec))
    if run.spec != asked:
        raise RunError(
            f"{run.path} holds a run of another recipe, or of this recipe as it was before it changed: "
            f"{'; '.join(_differences(run.spec, asked))}."
        )


def _differences(before: object, now: object, place: str = "") -> list[str]:
    """Where two specs differ, as "place: before, now ..."; the first few places."""
    found: list[str] = []
    if isinstance(before, dict) and isinstance(now, dict):
        for key in dict.fromkeys([*before, *now]):
            if before.get(key, _MISSING) != now.get(key, _MISSING):
                inner = f"{place}.{key}" if place else str(key)
                found += _differences(before.get(key, _MISSING), now.get(key, _MISSING), inner)
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        for index, (old, new) in enumerate(zip(before, now, strict=True)):
            if old != new:
                found += _differences(old, new, f"{place}.{index}")
    else:
        found = [f"{place}: {_short(before)} there, {_short(now)} now"]
    return found if len(found) <= _SHOWN else [*found[:_SHOWN], f"and {len(found) - _SHOWN} more"]


_MISSING = object()
_SHOWN = 5


def _short(value: object) -> str:
    if value is _MISSING:
        return "nothing"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:77]}..."
