"""What a reproduction consists of: a sweep of each recipe, and where it lies.

A sweep that `excise run` made counts as well. Finished, it is taken as it is; unfinished, it goes on; but only one of
this very recipe, these seeds, and this version of excise.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import excise
from excise.errors import RunError
from excise.experiments import published
from excise.experiments.catalogue import find_recipe
from excise.experiments.chunk import failure_of, finished_run
from excise.experiments.recipe import Recipe
from excise.record import Run, new_run_path, open_run

__all__ = ["SWEEPS", "Part", "find_sweep", "finished_sweep", "parts_of", "seconds_of"]

SWEEPS = ("2.4.1", "2.5.1", "2.7.1", "2.9.1", "2.10.1")
"""The recipes that are run over many seeds; the others of the series are single runs with their spread."""

_LONG = "2.2"
"""The recipe of 20,001 steps, run over fewer seeds than the others."""

_NOT_QUICK = (_LONG, "2.3", "2.3-sigmoid", "2.4", "2.5", "2.7")
"""What a quick reproduction leaves out: 2.4 and 2.7 train as 2.6 does, the others nearly so."""

_SEEDS_OF_SWEEPS, _QUICK_SEEDS_OF_SWEEPS = 60, 12
_SEEDS_OF_RUNS, _QUICK_SEEDS_OF_RUNS, _SEEDS_OF_LONG = 8, 2, 4

_APART = {"report", "figures"}
"""Rooms whose code does not change what is measured."""


@dataclass(frozen=True)
class Part:
    """A recipe and the seeds, from 0 on, that it is run with; `is_sweep` says how its figures are compared."""

    recipe: Recipe
    seeds: tuple[int, ...]
    is_sweep: bool

    @property
    def steps(self) -> int:
        """Optimiser steps of all seeds together."""
        return len(self.seeds) * self.recipe.schedule().timeline().num_steps


def parts_of(*, quick: bool = False) -> tuple[Part, ...]:
    """What the published figures are of, in the order of the series; `quick` is some of it, over fewer seeds."""
    runs = dict.fromkeys(recipe for recipe, _, _ in published.single_runs())
    parts = []
    for name in runs:
        if name in _NOT_QUICK and quick:
            continue
        seeds = _SEEDS_OF_LONG if name == _LONG else _QUICK_SEEDS_OF_RUNS if quick else _SEEDS_OF_RUNS
        parts.append(_part(name, seeds, is_sweep=False))
    seeds = _QUICK_SEEDS_OF_SWEEPS if quick else _SEEDS_OF_SWEEPS
    return (*parts, *(_part(name, seeds, is_sweep=True) for name in SWEEPS))


def find_sweep(part: Part, out: Path, environment: Mapping[str, Any]) -> Path:
    """Where the part's sweep lies, a finished one before an unfinished one, or else a new path.

    Args:
        part: what is asked for.
        out: where run directories are made.
        environment: what this process runs on.

    Raises:
        RunError: nothing can be at a new path.
    """
    asked = json.loads(json.dumps(part.recipe.spec()))
    unfinished: Path | None = None
    for directory in sorted((out / part.recipe.name).glob("*-seeds*"), reverse=True):
        try:
            run = open_run(directory)
        except RunError:
            continue
        if run.spec != asked or run.environment.get("seeds") != list(part.seeds):
            continue
        if not _same_code(run, environment):
            continue
        if run.status["status"] == "finished":
            return directory
        unfinished = unfinished or directory
    return unfinished or new_run_path(out, part.recipe.name, f"seeds{part.seeds[0]}-{part.seeds[-1]}")


def finished_sweep(part: Part, path: Path) -> dict[str, Any] | None:
    """The content of the part's `sweep.json`; None where there is work left, or a file is damaged."""
    if not path.exists():
        return None
    try:
        run = open_run(path)
        sweep = run.sweep()
    except RunError:
        return None
    if run.status["status"] != "finished":
        return None
    whole = all(finished_run(path, seed) or failure_of(path, seed) for seed in part.seeds)
    return sweep if whole else None


def seconds_of(path: Path) -> float | None:
    """How long a sweep took from start to end; None where it was interrupted in between."""
    status = open_run(path).status
    if "continued" in status or "ended" not in status:
        return None
    began, ended = (datetime.fromisoformat(status[key]) for key in ("started", "ended"))
    return (ended - began).total_seconds()


def _part(name: str, seeds: int, *, is_sweep: bool) -> Part:
    recipe = find_recipe(name)
    assert isinstance(recipe, Recipe), f"{name} trains nothing"
    return Part(recipe, tuple(range(seeds)), is_sweep)


def _same_code(run: Run, environment: Mapping[str, Any]) -> bool:
    """Whether a sweep ran with the code and the packages of this process, as far as can be told."""
    same = all(
        run.environment.get(key) == environment.get(key) for key in ("packages", "git_commit", "python")
    )
    commit = environment.get("git_commit")
    if same and (commit is None or str(commit).endswith("-dirty")):
        # Nothing names the state of the source: it must be older than the sweep.
        began = run.status.get("continued", run.status["started"])
        return _last_change(Path(excise.__file__).parent) < datetime.fromisoformat(began)
    return same


def _last_change(source: Path) -> datetime:
    """When a file that bears on what is measured was last written."""
    files: Sequence[Path] = [
        path
        for path in (*source.rglob("*.py"), *source.rglob("dopesheets/*.csv"))
        if path.relative_to(source).parts[0] not in _APART
    ]
    return datetime.fromtimestamp(max(path.stat().st_mtime for path in files), UTC)
