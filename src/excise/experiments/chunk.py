"""The unit of a sweep: some seeds trained in lockstep, then evaluated one by one into their run directories."""

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from excise.errors import ExciseError, NonFiniteError, RunError
from excise.experiments.conditions import conditions_of
from excise.experiments.measure import measure
from excise.experiments.pipeline import Trained, train, validation_of
from excise.experiments.recipe import Recipe
from excise.runs import Record, Run, open_run
from excise.training import Snapshot

__all__ = ["failure_of", "finished_run", "run_chunk", "sweep_leftovers"]


def run_chunk(
    recipe: Recipe,
    seeds: Sequence[int],
    path: Path,
    environment: Mapping[str, Any],
    *,
    log_every: int = 10,
    on_step: Callable[[Snapshot], object] = lambda _snapshot: None,
    on_seed: Callable[[int], object] = lambda _seed: None,
    notify: Callable[[str], object] = lambda _note: None,
) -> None:
    """Train the seeds in lockstep and write the run directory of each into the sweep's directory `path`.

    A seed's directory appears when it is whole. A seed that diverged, or could not be measured, gets one too, with
    the status failed.

    Raises:
        RunError: a directory cannot be written.
    """
    for trained in train(recipe, seeds, [on_step], notify=notify, log_every=log_every):
        partial = path / f".seed-{trained.seed}-{os.getpid()}"
        shutil.rmtree(partial, ignore_errors=True)
        try:
            _write_run(recipe, trained, partial, {**environment, "seed": trained.seed})
        except (KeyboardInterrupt, RunError):
            shutil.rmtree(partial, ignore_errors=True)
            raise
        except ExciseError:
            pass  # Its status says so.
        _move(partial, _free_path(path, trained.seed))
        on_seed(trained.seed)


def finished_run(path: Path, seed: int) -> Run | None:
    """The finished run of a seed, if its results can be read."""
    for run in _runs(path, seed):
        try:
            if run.status["status"] == "finished" and run.results():
                return run
        except RunError:
            continue
    return None


def failure_of(path: Path, seed: int) -> str | None:
    """Why a seed failed, if it did in a way that it would again: it diverged, or its edits cannot be made."""
    for run in _runs(path, seed):
        error = run.status.get("error")
        if run.status["status"] == "failed" and isinstance(error, str) and not error.startswith("RunError"):
            return error
    return None


def sweep_leftovers(path: Path) -> None:
    """Remove what a sweep that was killed had not finished writing."""
    for partial in path.glob(".seed-*"):
        shutil.rmtree(partial, ignore_errors=True)


def _write_run(recipe: Recipe, trained: Trained, path: Path, environment: Mapping[str, Any]) -> None:
    with Record(path, recipe.spec(), environment) as record:
        for snapshot in trained.outcome.snapshots:
            record.log(snapshot.row())
        if isinstance(trained.outcome.error, NonFiniteError):
            raise trained.outcome.error
        record.save_model(trained.model)
        conditions = conditions_of(recipe, trained.model)
        record.save_results(measure(recipe, trained.seed, conditions, validation_of(trained.outcome)))


def _runs(path: Path, seed: int) -> list[Run]:
    runs = []
    for directory in sorted(path.glob(f"seed-{seed}*")):
        if directory.name != f"seed-{seed}" and not directory.name.startswith(f"seed-{seed}-again-"):
            continue
        try:
            runs.append(open_run(directory))
        except RunError:
            continue
    return runs


def _free_path(path: Path, seed: int) -> Path:
    candidate, count = path / f"seed-{seed}", 2
    while candidate.exists():
        candidate, count = path / f"seed-{seed}-again-{count}", count + 1
    return candidate


def _move(partial: Path, place: Path) -> None:
    try:
        partial.rename(place)
    except OSError as error:
        raise RunError(f"cannot make {place}: {error.strerror or error}.") from error
