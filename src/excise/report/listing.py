"""Many runs in the terminal, a line each; into a file or a pipe, plain lines that a search finds."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from excise.errors import SettingError, UnknownRecipeError
from excise.report.tables import number, plain_console, visible
from excise.runs import Digest, digests_in

__all__ = ["SHOWN", "Sort", "State", "duration", "list_runs", "natural", "pick_runs", "when"]

State = Literal["finished", "failed", "cancelled", "running", "stopped", "unreadable"]
Sort = Literal[
    "recipe", "run", "status", "seeds", "claims", "before", "after", "selectivity", "started", "took"
]

SHOWN = 30
"""How many runs a terminal shows if nothing else is asked."""

_STYLES = {
    "finished": "green",
    "failed": "red",
    "cancelled": "yellow",
    "running": "cyan",
    "stopped?": "yellow",
}
_SPARED = ("took", "selectivity", "seeds", "started", "before")
"""Columns that a narrow terminal does without, in this order."""

_BEST_FIRST = ("claims", "selectivity", "started")
"""What is sorted from the largest to the smallest."""

_COLUMNS = ("recipe", "run", "status", "seeds", "claims", "before", "after", "selectivity", "started", "took")
_WORDS = ("recipe", "run", "status", "started")

_KEYS: dict[str, Callable[[Digest], Any]] = {
    "recipe": lambda digest: natural(digest.run.recipe),
    "run": lambda digest: natural(digest.path.name),
    "status": lambda digest: digest.state,
    "seeds": lambda digest: digest.ran,
    "claims": lambda digest: digest.passed / digest.of if digest.of else None,
    "before": lambda digest: digest.before,
    "after": lambda digest: digest.after,
    "selectivity": lambda digest: digest.selectivity,
    "started": lambda digest: digest.run.started.timestamp(),
    "took": lambda digest: digest.seconds,
}


def pick_runs(
    digests: Sequence[Digest],
    folder: Path,
    *,
    recipe: str | None = None,
    status: State | None = None,
    sort: Sort = "started",
) -> list[Digest]:
    """Those runs that were asked for, in the order asked for; what lacks the value comes last.

    Raises:
        UnknownRecipeError: no run is of that recipe.
    """
    recipes = sorted({digest.run.recipe for digest in digests}, key=natural)
    if recipe is not None and recipe not in recipes:
        raise UnknownRecipeError(recipe, recipes, f"among the runs in {folder}")
    picked = [
        digest
        for digest in digests
        if recipe in (None, digest.run.recipe) and status in (None, digest.state.rstrip("?"))
    ]
    key = _KEYS[sort]
    there = [digest for digest in picked if key(digest) is not None]
    return [
        *sorted(there, key=key, reverse=sort in _BEST_FIRST),
        *(digest for digest in picked if key(digest) is None),
    ]


def list_runs(
    folder: Path,
    *,
    recipe: str | None = None,
    status: State | None = None,
    sort: Sort = "started",
    limit: int | None = None,
    console: Console | None = None,
) -> None:
    """A line for each run in a folder that was asked for, then one for each folder that could not be read.

    Args:
        folder: where the runs are, at any depth.
        recipe: only runs of this recipe.
        status: only runs that stand so.
        sort: by which column.
        limit: how many to show; None shows `SHOWN` in a terminal, all in a pipe.
        console: where to print.

    Raises:
        RunError: there is no such folder.
        UnknownRecipeError: no run is of that recipe.
        SettingError: the limit is below 1.
    """
    if limit is not None and limit < 1:
        raise SettingError(f"--limit is a whole number of at least 1; {limit} came.")
    console = console or plain_console()
    digests, unreadable = digests_in(folder)
    picked = pick_runs(digests, folder, recipe=recipe, status=status, sort=sort)
    most = SHOWN if limit is None and console.is_terminal else limit
    if picked:
        console.print(_fitting(picked[:most], console))
    elif status != "unreadable":
        console.print(f"no such run in {folder}" if digests else f"no run in {folder}", markup=False)
    if status == "unreadable" or (status is None and recipe is None):
        for each in unreadable[:most]:
            told = visible(" ".join(f"{each.path}: {each.reason}".split()))
            console.print(Text.assemble(("unreadable", "red"), "  ", told))
    elif unreadable:
        folders = "1 folder" if len(unreadable) == 1 else f"{len(unreadable)} folders"
        _note(console, f"{folders} could not be read; --status unreadable lists them")
        return
    longest = max(len(picked), len(unreadable))
    if most is not None and longest > most:
        _note(console, f"not all are shown: {longest - most} more; --limit {longest} shows them")


def duration(seconds: float | None) -> str:
    """A time for people: "11 s", "4 min", "2.5 h"; nothing where it is not known."""
    if seconds is None:
        return ""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 100 * 60 else f"{seconds / 3600:.1f} h"


def when(digest: Digest) -> str:
    """When a run started, in UTC, to the minute."""
    return f"{digest.run.started:%Y-%m-%d %H:%M}"


def natural(text: str) -> list[tuple[int, str]]:
    """A key that sorts names as people do: 2.9 before 2.10."""
    pieces, digits = [], ""
    for character in f"{text}\0":
        if character.isdecimal():
            digits += character
            continue
        if digits:
            pieces.append((int(digits), ""))
            digits = ""
        pieces.append((-1, character))
    return pieces


def _note(console: Console, text: str) -> None:
    console.print(Text(text, "dim"))


def _fitting(digests: Sequence[Digest], console: Console) -> Table:
    """The table, without the columns that the terminal is too narrow for."""
    columns = list(_COLUMNS)
    for spared in _SPARED:
        table = _table(digests, columns)
        wide = Measurement.get(console, console.options.update(max_width=10_000), table).maximum
        if wide <= console.width:
            return table
        columns.remove(spared)
    return _table(digests, columns)


def _table(digests: Sequence[Digest], columns: Sequence[str]) -> Table:
    table = Table(header_style="dim", box=None, pad_edge=False)
    for name in columns:
        table.add_column(name, justify="left" if name in _WORDS else "right", overflow="fold")
    for digest in digests:
        cells = _cells(digest)
        table.add_row(*(cells[name] for name in columns))
    return table


def _cells(digest: Digest) -> dict[str, Text]:
    """What a run's line shows, by column; nothing where there is nothing to say."""
    whole = digest.of and digest.passed == digest.of
    seeds = str(digest.asked or "")
    if digest.ran != digest.asked and digest.kind == "sweep":
        seeds = f"{digest.ran} of {digest.asked}"
    plain = {
        "recipe": digest.run.recipe,
        "run": str(digest.path),
        "seeds": seeds,
        "before": _shown(digest.before),
        "after": _shown(digest.after),
        "selectivity": _shown(digest.selectivity),
        "started": when(digest),
        "took": duration(digest.seconds),
    }
    claims = f"{digest.passed}/{digest.of} {digest.units}" if digest.of else ""
    return {name: Text(visible(" ".join(text.split()))) for name, text in plain.items()} | {
        "status": Text(digest.state, _STYLES.get(digest.state, "")),
        "claims": Text(claims, "green" if whole else "yellow"),
    }


def _shown(value: float | None) -> str:
    return "" if value is None else number(value)
