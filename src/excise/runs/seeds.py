"""The seeds of a sweep, each a run of its own that is opened when it is asked for."""

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from excise.errors import RunError

__all__ = ["Seeds", "directories_of"]

RunT = TypeVar("RunT")


class Seeds(Mapping[int, RunT]):
    """Seed to run, in the order of the seeds; those that have no directory yet are left out.

    Args:
        path: the sweep's directory.
        opening: opens a run directory.
    """

    def __init__(self, path: Path, opening: Callable[[Path], RunT]) -> None:
        self._path = path
        self._open = opening
        self._opened: dict[int, RunT] = {}

    def __getitem__(self, seed: int) -> RunT:
        """The run of a seed.

        Raises:
            RunError: the sweep has no such seed, or its directory cannot be read.
        """
        if seed not in self._directories:
            raise RunError(f"{self._path} has no run of seed {seed!r}; {self.in_words()}.")
        if seed not in self._opened:
            self._opened[seed] = self._open(self._directories[seed])
        return self._opened[seed]

    def __iter__(self) -> Iterator[int]:
        return iter(self._directories)

    def __len__(self) -> int:
        return len(self._directories)

    def __contains__(self, seed: object) -> bool:
        return seed in self._directories

    def __repr__(self) -> str:
        return f"<{self.in_words()}>"

    @cached_property
    def _directories(self) -> dict[int, Path]:
        return directories_of(self._path)

    def in_words(self) -> str:
        """Which seeds there are, as a clause."""
        seeds = list(self)
        if not seeds:
            return "no seed is finished"
        return f"its seeds are {seeds[0]} to {seeds[-1]} ({len(seeds)} of them)"


def directories_of(path: Path) -> dict[int, Path]:
    """For each seed the directory that counts: of one that was run again, the last."""
    found: dict[int, tuple[int, Path]] = {}
    try:
        names = [entry.name for entry in path.iterdir()]
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror or error}.") from error
    for name in names:
        seed, _, again = name.removeprefix("seed-").partition("-again-")
        if not name.startswith("seed-") or not seed.isdecimal() or not (again.isdecimal() or not again):
            continue
        attempt = int(again or 1)
        if attempt > found.get(int(seed), (0, path))[0]:
            found[int(seed)] = attempt, path / name
    return {seed: found[seed][1] for seed in sorted(found)}
