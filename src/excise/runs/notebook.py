"""How a saved run shows itself in a notebook: its claims, its numbers, and one of its figures."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from excise.errors import RunError
from excise.showing import block, frame_table

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
        parts += [frame_table(frame, truth=("passed", "failed")) for frame in frames()]
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
