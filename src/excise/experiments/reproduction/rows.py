"""Published figures beside ours, in sections of rows: the content of `reproduction.json`.

A row holds what was published, as it was printed, what we measured, and the verdict that a criterion gave. Nothing is
typed in: numbers come from sweeps, and from the data of `published`.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from excise.experiments.frozen import Frozen
from excise.experiments.published import Printed
from excise.experiments.reproduction.criteria import Judged, Verdict

__all__ = [
    "STATISTICS",
    "Row",
    "Section",
    "Sweep",
    "chosen_row",
    "deviation",
    "in_words",
    "median_and_range",
    "row_of",
    "values_of",
]

Sweep = Mapping[str, Any]
"""The content of a `sweep.json`."""

STATISTICS = {"max_mse": "largest error", "median_mse": "median error"}
"""Of the errors over the loss grid, in words."""


class Row(Frozen):
    """One comparison.

    Attributes:
        recipe: of which experiment.
        what: what is compared.
        published: as printed: one figure, or the two ends of a range, or none.
        ours: the same of ours; None where there is none.
        seeds: the median, the smallest and the largest over our seeds, where these stand beside `ours`.
        verdict: what the comparison came to.
        criterion: by what it was judged.
        finding: what the criterion found on the way.
    """

    recipe: str
    what: str
    published: tuple[str, ...] = ()
    ours: tuple[float | None, ...]
    seeds: tuple[float | None, float | None, float | None] | None = None
    verdict: Verdict = Verdict.NOT_PUBLISHED
    criterion: str = ""
    finding: str = ""


class Section(Frozen):
    """Rows of one kind.

    Attributes:
        title: in a few words.
        text: what is compared and how it is judged.
        sources: where the published figures come from.
        ours: the heading of our figures: of which runs they are.
        rows: at least one.
    """

    title: str
    text: str
    sources: tuple[str, ...] = ()
    ours: str
    rows: tuple[Row, ...]


def values_of(sweep: Sweep, quantity: str) -> list[float]:
    """A quantity in each seed that finished and measured it."""
    found = [row.get(quantity) for row in sweep["rows"]]
    return [value for value in found if value is not None and math.isfinite(value)]


def row_of(
    recipe: str,
    what: str,
    printed: Sequence[Printed],
    ours: tuple[float | None, ...],
    judged: Judged,
    *,
    seeds: tuple[float | None, float | None, float | None] | None = None,
) -> Row:
    """A row from what was printed, measured and judged."""
    texts = tuple(each.text for each in printed)
    return Row(recipe=recipe, what=what, published=texts, ours=ours, seeds=seeds, **judged._asdict())


def chosen_row(sweep: Sweep) -> Mapping[str, Any]:
    """The row of the chosen seed; empty where none finished."""
    return next((row for row in sweep["rows"] if row["seed"] == sweep["chosen"]), {})


def median_and_range(values: Sequence[float]) -> tuple[float | None, float | None, float | None]:
    """The median, the smallest and the largest; None where there is no value."""
    return (float(np.median(values)), min(values), max(values)) if values else (None, None, None)


def in_words(quantity: str) -> str:
    """A quantity of a sweep's rows for people: "ablated.named_colors.red" is "ablated, error of red"."""
    condition, _, rest = quantity.partition(".")
    if rest.startswith("named_colors."):
        return f"{condition}, error of {rest.removeprefix('named_colors.')}"
    return f"{condition}, {STATISTICS.get(rest, rest)}"


def deviation(values: Sequence[float]) -> float | None:
    """The standard deviation (n - 1); None of fewer than two."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else None
