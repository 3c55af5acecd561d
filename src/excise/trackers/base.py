"""What a tracker is told of a run: how it begins, each logged step, and how it ended.

The run directory is written whether there are trackers or not; a tracker shows the same run where its user looks
already. One is any object with `start`, `log` and `finish`.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

__all__ = ["Cell", "Ended", "Figure", "Table", "Tracked", "Tracker", "as_csv", "flat", "name_of", "plain"]

Cell = str | int | float | bool | None
"""What stands in a cell of a table."""


@dataclass(frozen=True)
class Table:
    """Rows of cells below named columns."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True)
class Figure:
    """A picture that lies on disk.

    Attributes:
        name: by which it is known.
        alt: what it shows, in words.
        light: the PNG file for a light page.
        dark: the one for a dark page; None where there is none.
    """

    name: str
    alt: str
    light: Path
    dark: Path | None = None


@dataclass(frozen=True)
class Tracked:
    """A run as it begins.

    Attributes:
        name: by which it is known among runs.
        recipe: what is run; runs of one recipe are kept together.
        path: the run directory; a tracker writes its own files below it.
        shared: a folder for what several runs have in common, such as a database; None is the run directory.
        seeds: one, or all seeds of a sweep.
        config: the settings, JSON-ready and nested as they come.
        environment: what it runs on.
        dopesheet: the schedule as it was written, a CSV; empty where there is none.
        schedule: the schedule at every step, a row each with "step" first; None where there is none.
    """

    name: str
    recipe: str
    path: Path
    seeds: tuple[int, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)
    dopesheet: str = ""
    schedule: Table | None = None
    shared: Path | None = None


@dataclass(frozen=True)
class Ended:
    """A run as it ended.

    Attributes:
        status: as in the run directory.
        error: why it failed.
        numbers: the results, by dotted names such as "ablated.max_mse".
        tables: the results as people read them.
        figures: those that were drawn.
    """

    status: Literal["finished", "failed", "cancelled"] = "finished"
    error: str = ""
    numbers: Mapping[str, float] = field(default_factory=dict)
    tables: tuple[Table, ...] = ()
    figures: tuple[Figure, ...] = ()


@runtime_checkable
class Tracker(Protocol):
    """Shows a run somewhere. Its methods are called one after the other, in a thread of its own.

    Whatever they raise drops the tracker, with a warning, and the run goes on. A `name` is used in that warning, if
    there is one; a method `abandon` is called when the tracker is dropped, and must return at once.
    """

    def start(self, run: Tracked) -> object:
        """Be told that a run begins; called once, first."""
        ...

    def log(self, row: Mapping[str, float]) -> object:
        """Be told of a logged step: "step", "loss", "lr", "term/<name>", "weight/<name>" and whatever else there is."""
        ...

    def finish(self, end: Ended) -> object:
        """Be told how the run ended; called once, last. What was logged is in its place when this returns."""
        ...


def name_of(tracker: Tracker) -> str:
    """What a user knows the tracker by."""
    return str(getattr(tracker, "name", type(tracker).__name__))


def flat(content: object, place: str = "") -> dict[str, Cell]:
    """Nested settings by dotted names: `{"grids": {"loss": [12]}}` becomes `{"grids.loss.0": 12}`."""
    if isinstance(content, Mapping):
        items = [(str(key), value) for key, value in content.items()]
    elif isinstance(content, list | tuple):
        items = [(str(index), value) for index, value in enumerate(content)]
    else:
        return {place: content if isinstance(content, str | int | float | bool | None) else str(content)}
    return {
        name: cell
        for key, value in items
        for name, cell in flat(value, f"{place}.{key}" if place else key).items()
    }


def as_csv(table: Table) -> str:
    """The table as CSV, a heading first."""
    import csv
    import io

    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([table.columns, *table.rows])
    return out.getvalue()


def plain(content: Tracked | Ended) -> dict[str, Any]:
    """What is handed over, as JSON-ready data."""
    return _plain(asdict(content))


def _plain(content: Any) -> Any:  # noqa: ANN401 - JSON may hold anything
    if isinstance(content, Mapping):
        return {str(key): _plain(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_plain(value) for value in content]
    if isinstance(content, float) and not math.isfinite(content):
        return None
    return content if isinstance(content, str | int | float | bool | None) else str(content)
