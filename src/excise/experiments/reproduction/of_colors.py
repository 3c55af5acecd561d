"""The per-colour tables of chosen runs beside the published ones: each colour, and how alike the columns are."""

import numpy as np

from excise.experiments import published
from excise.experiments.published import Printed
from excise.experiments.recipe import BASELINE
from excise.experiments.reproduction.criteria import Judged, inside_range, no_stranger
from excise.experiments.reproduction.rows import Row, Section, Sweep, median_and_range, row_of

__all__ = ["colors_of_sweep"]


def colors_of_sweep(recipe: str, sweep: Sweep) -> list[Section]:
    """A section for each condition of the published table of a sweep's chosen run.

    Args:
        recipe: its name; one without a published table has no section.
        sweep: what was run.
    """
    return [
        _section(recipe, condition, figures, sweep)
        for condition, figures in published.color_errors(recipe).items()
    ]


def _section(recipe: str, condition: str, figures: dict[str, Printed], sweep: Sweep) -> Section:
    columns = _columns(condition, list(figures), sweep)
    chosen = columns.get(sweep["chosen"])
    rows = []
    for index, (color, printed) in enumerate(figures.items()):
        values = [float(column[index]) for column in columns.values() if np.isfinite(column[index])]
        ours = None if chosen is None else float(chosen[index])
        judged = inside_range(printed, values)
        rows.append(row_of(recipe, color, (printed,), (ours,), judged, seeds=median_and_range(values)))
    if chosen is not None:
        others = [column for column in columns.values() if column is not chosen]
        theirs = np.array([printed.value for printed in figures.values()])
        rows += _likeness(recipe, list(figures), theirs, chosen, others)
    outside = len(figures) * 2 / (len(columns) + 1)
    quantity = "error" if condition == BASELINE else "error less that of the baseline"
    text = (
        f"The {quantity}, {condition}, of the published chosen run and of ours, with the spread over our seeds: of a "
        f"single run no more can be asked than that it lies between our smallest and our largest. Were colours "
        f"independent, {outside:.1f} of these {len(figures)} would lie outside by chance alone; where that is much, "
        f"none is said to differ. The last rows say how alike the two columns are, beside how alike our other seeds "
        f"are to our chosen run."
    )
    return Section(
        title=f"{recipe}, {condition}, each colour",
        text=text,
        sources=(published.sources()[f"colors_{recipe}.csv"],),
        ours="our chosen run",
        rows=tuple(rows),
    )


def _columns(condition: str, colors: list[str], sweep: Sweep) -> dict[int, np.ndarray]:
    """For each seed that finished the errors, or the differences from the baseline, `[color]`."""
    columns = {}
    for row in sweep["rows"]:
        if "failed" in row:
            continue
        errors, before = (
            np.array([row[f"{name}.named_colors.{color}"] for color in colors], dtype=float)
            for name in (condition, BASELINE)
        )
        columns[row["seed"]] = errors if condition == BASELINE else errors - before
    return columns


def _likeness(
    recipe: str, colors: list[str], theirs: np.ndarray, chosen: np.ndarray, others: list[np.ndarray]
) -> list[Row]:
    """How like the published column is to ours: their correlation, and the largest difference with its colour."""
    correlations = [_correlation(other, chosen) for other in others]
    correlation = _correlation(theirs, chosen)
    largest = [float(np.abs(other - chosen).max()) for other in others]
    apart = np.abs(theirs - chosen)
    place = colors[int(np.argmax(apart))]
    difference = float(apart.max())

    def row(what: str, value: float, values: list[float], judged: Judged) -> Row:
        finite = [each for each in values if np.isfinite(each)]
        ours = value if np.isfinite(value) else None
        return row_of(recipe, what, (), (ours,), judged, seeds=median_and_range(finite))

    return [
        row(
            "correlation of the two columns",
            correlation,
            correlations,
            no_stranger(correlation, correlations),
        ),
        row(
            f"largest difference of the two columns, at {place}",
            difference,
            largest,
            no_stranger(-difference, [-each for each in largest]),
        ),
    ]


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Pearson's; NaN where a column is constant or holds what is not finite."""
    if not (np.isfinite(first) & np.isfinite(second)).all() or np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    return float(np.corrcoef(first, second)[0, 1])
