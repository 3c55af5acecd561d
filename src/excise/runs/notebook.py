"""How a saved run shows itself in a notebook: its claims, its numbers, and one of its figures."""

import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from excise.errors import RunError
from excise.numerals import number
from excise.showing import Html, block, table

if TYPE_CHECKING:
    import pandas as pd

    from excise.runs.figures import SavedFigure

__all__ = ["over_seeds", "run_as_html"]

_TELLING = ("error-", "selectivity", "front", "claims", "strength")
"""How the figures begin that tell most of a run, the most telling first; others are named and can be asked for."""


def run_as_html(
    title: str,
    facts: Sequence[str],
    frames: "Callable[[], Sequence[pd.DataFrame]]",
    figures: "Mapping[str, SavedFigure]",
) -> str:
    """A run as a notebook shows it; of one that is under way or failed, what there is.

    Args:
        title: what it is.
        facts: sentences that stand first.
        frames: gives its claims and its numbers; a `RunError` of it leaves them out.
        figures: those that were drawn, of which the most telling is shown.
    """
    parts: list[str] = list(facts)
    with contextlib.suppress(RunError):
        parts += [_frame(frame) for frame in frames()]
    first = next((name for start in _TELLING for name in figures if name.startswith(start)), None)
    if first is not None:
        parts.append(figures[first].as_html())
        others = ", ".join(name for name in figures if name != first)
        parts.append(f"Other figures, as .figures[name]: {others}" if others else "")
    return block(title, *filter(None, parts))


def over_seeds(frame: "pd.DataFrame") -> "pd.DataFrame":
    """The spread of each number of a sweep, a row a number."""
    numbers = frame.select_dtypes("number")
    spread = {"median": numbers.median(), "smallest": numbers.min(), "largest": numbers.max()}
    return type(frame)(spread).rename_axis("over seeds")


def _frame(frame: "pd.DataFrame") -> Html:
    """A frame as a table: its index first, truth as a word, numbers short."""
    named = any(name is not None for name in frame.index.names) or frame.index.dtype == object
    flat = frame.reset_index() if named else frame
    numeric = [
        index
        for index, name in enumerate(flat.columns)
        if flat[name].dtype.kind in "fi" or name == "measured"
    ]
    rows: list[Sequence[str]] = [tuple(map(_cell, row)) for row in flat.itertuples(index=False)]
    return table([str(name) for name in flat.columns], rows, numbers=numeric)


def _cell(value: Any) -> str:  # noqa: ANN401 - a frame holds anything
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool):
        return "passed" if value else "failed"
    if isinstance(value, float):
        return number(value)
    return str(value)
