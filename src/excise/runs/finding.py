"""Every run in a folder, and beside them plainly what could not be read."""

import os
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from excise.errors import RunError
from excise.runs.saved import SavedRun, open_saved

__all__ = ["Unreadable", "find"]

_MARKS = ("spec.json", "env.json", "results.json", "sweep.json", "metrics.jsonl", "model.safetensors")
"""Files that tell a broken run from a folder that was never one."""

_STORES = {"mlflow": "mlflow.db"}
"""Folders that trackers keep beside the runs, by what lies beside them: copies of a run's files are in there."""

_DEEPEST = 8
"""How many folders below the first one are looked into."""


@dataclass(frozen=True)
class Unreadable:
    """A folder that should be a run and cannot be read as one.

    Attributes:
        path: where it is.
        reason: why, as a sentence.
    """

    path: Path
    reason: str


def find(folder: str | PathLike[str]) -> list[SavedRun | Unreadable]:
    """All runs in a folder and the folders below it, by path.

    A sweep counts once; its seeds are in its `seeds`. A folder with no run in or below it is listed once, as
    unreadable; hidden ones, and what MLflow keeps there, are passed over.

    Raises:
        RunError: there is no such folder, or it cannot be read.
    """
    root = Path(folder)
    if not root.is_dir():
        there = "is a file" if root.exists() else "does not exist"
        raise RunError(f"{root} {there}: name a folder with runs in it, such as runs.")
    if (root / "status.json").exists():
        return [_opened(root)]
    inside, _ = _look_into(root, frozenset(), 0)
    return inside


def _look_into(folder: Path, above: frozenset[str], depth: int) -> tuple[list[SavedRun | Unreadable], bool]:
    """What is below a folder that is no run itself; and whether any of that is a run, be it a broken one."""
    above |= {os.path.realpath(folder)}
    try:
        with os.scandir(folder) as entries:
            below = sorted(entry.name for entry in entries if entry.is_dir() and entry.name[0] != ".")
    except OSError as error:
        if not above - {os.path.realpath(folder)}:
            raise RunError(f"cannot read {folder}: {error.strerror or error}.") from error
        return [Unreadable(folder, f"it cannot be read: {error.strerror or error}.")], True
    found: list[SavedRun | Unreadable] = []
    any_run = False
    for name in below:
        path = folder / name
        if os.path.realpath(path) in above:
            continue  # A link back to where we came from.
        if name in _STORES and (folder / _STORES[name]).exists():
            continue
        if (path / "status.json").exists():
            found.append(_opened(path))
            any_run = True
        elif marks := [mark for mark in _MARKS if (path / mark).exists()]:
            found.append(Unreadable(path, f"it has {marks[0]} but no status.json: part of a run is missing."))
            any_run = True
        else:
            inside, runs_inside = _look_into(path, above, depth + 1) if depth < _DEEPEST else ([], False)
            found += inside if runs_inside else [Unreadable(path, "there is no run in it.")]
            any_run |= runs_inside
    return found, any_run


def _opened(path: Path) -> SavedRun | Unreadable:
    try:
        return open_saved(path)
    except RunError as error:
        return Unreadable(path, str(error))
