"""The unit of a sweep: some seeds trained in lockstep, then evaluated one by one into their run directories."""

import contextlib
import itertools
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from excise.errors import ExciseError, NonFiniteError, RunError
from excise.experiments.conditions import conditions_of
from excise.experiments.measure import measure
from excise.experiments.pipeline import Trained, train, validation_of
from excise.experiments.recipe import Recipe
from excise.record import Record, Run, open_run
from excise.seeding import generator
from excise.training import Snapshot

__all__ = ["failure_of", "finished_run", "free_path", "plan_chunks", "run_chunk", "sweep_leftovers"]

_MOST = 32
"""Seeds a chunk: more of them no longer fit a core's cache together, and cost more each."""

_FEWEST = 4
"""Seeds a chunk below which another process costs more than it saves."""

_SHARE = 0.25
"""The share of the free memory that all chunks together may take."""


def plan_chunks(recipe: Recipe, seeds: Sequence[int], workers: int, *, here: bool = True) -> list[list[int]]:
    """The seeds in groups that are trained together: as many groups as workers, or more where memory asks for it.

    Args:
        recipe: what is run.
        seeds: those to be run.
        workers: how many groups are trained at once.
        here: whether they all share the memory of this machine.
    """
    if not seeds:
        return []
    count = max(1, min(workers, len(seeds) // _FEWEST))
    at_once = min(workers, len(seeds))
    largest = _MOST
    if here:
        largest = min(_MOST, max(1, int(_SHARE * _free_memory() / at_once / _bytes_a_seed(recipe))))
    count = max(count, -(-len(seeds) // largest))
    if count > workers > 1:
        count = -(-count // workers) * workers
    count = min(count, len(seeds))
    size, longer = divmod(len(seeds), count)
    chunks, start = [], 0
    for index in range(count):
        end = start + size + (index < longer)
        chunks.append(list(seeds[start:end]))
        start = end
    return chunks


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
        _move(partial, free_path(path, trained.seed))
        on_seed(trained.seed)


def finished_run(path: Path, seed: int) -> Run | None:
    """The finished run of a seed, if it is whole: its results and weights can be read, and are this seed's."""
    for run in _runs(path, seed):
        try:
            if run.status["status"] == "finished" and run.results()["seed"] == seed and _has_weights(run):
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
    for temporary in path.glob(".*.tmp"):
        temporary.unlink(missing_ok=True)


def _write_run(recipe: Recipe, trained: Trained, path: Path, environment: Mapping[str, Any]) -> None:
    with Record(path, recipe.spec(), environment) as record:
        for snapshot in trained.outcome.snapshots:
            record.log(snapshot.row())
        if isinstance(trained.outcome.error, NonFiniteError):
            raise trained.outcome.error
        record.save_model(trained.model)
        conditions = conditions_of(recipe, trained.model)
        record.save_results(measure(recipe, trained.seed, conditions, validation_of(trained.outcome)))


def _has_weights(run: Run) -> bool:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(run.path / "model.safetensors", framework="np") as weights:
            return bool(weights.keys())
    except (OSError, SafetensorError):
        return False


def _runs(path: Path, seed: int) -> list[Run]:
    """The runs of a seed that can be opened; found by their names, since a listing would cost more the more seeds."""
    runs = []
    for directory in itertools.chain([path / f"seed-{seed}"], _again(path, seed)):
        with contextlib.suppress(RunError):
            runs.append(open_run(directory))
    return runs


def _again(path: Path, seed: int) -> Iterator[Path]:
    """Where a seed that did not finish was run again, in order."""
    return itertools.takewhile(
        Path.exists, (path / f"seed-{seed}-again-{count}" for count in itertools.count(2))
    )


def free_path(path: Path, seed: int) -> Path:
    """Where the directory of a seed goes in a sweep's: a name that nothing has yet."""
    candidate, count = path / f"seed-{seed}", 2
    while candidate.exists():
        candidate, count = path / f"seed-{seed}-again-{count}", count + 1
    return candidate


def _move(partial: Path, place: Path) -> None:
    try:
        partial.rename(place)
    except OSError as error:
        raise RunError(f"cannot make {place}: {error.strerror or error}.") from error


def _bytes_a_seed(recipe: Recipe) -> int:
    """About how much memory one seed of a stack takes: weights with their optimiser, activations, pairs of a batch."""
    model = recipe.model.build(generator(0, "init"))
    parameters = sum(parameter.numel() for parameter in model.parameters())
    widths = sum(module.out_features for module in model.modules() if isinstance(module, nn.Linear))
    batch = recipe.data.batch_size
    return 4 * (6 * parameters + 6 * batch * widths + 8 * batch * batch)


def _free_memory() -> int:
    """Bytes of memory that are free; where that cannot be told, 2 GiB."""
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return 2 * 2**30
