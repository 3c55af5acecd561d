"""Single runs beside their published errors, each with the spread over our seeds, since one seed proves nothing."""

from collections.abc import Sequence

import numpy as np

from excise.experiments import published
from excise.experiments.reproduction.criteria import (
    Judged,
    Verdict,
    could_be_one_of,
    ranges_overlap,
    same_quantile,
    share_between,
)
from excise.experiments.reproduction.rows import (
    STATISTICS,
    Row,
    Sweep,
    in_words,
    median_and_range,
    row_of,
    values_of,
)

__all__ = ["errors_of_runs", "several_seeds"]

_QUANTILES = {"q1": 1 / 4, "median": 1 / 2, "q3": 3 / 4}
_IN_WORDS = {"q1": "lower quartile", "median": "median", "q3": "upper quartile"}


def errors_of_runs(recipe: str, conditions: Sequence[str], sweep: Sweep, seed: int = 0) -> list[Row]:
    """The errors of the published single run beside our run with the same seed, and the spread over our seeds."""
    figures = published.single_runs()
    rows = []
    for condition in conditions:
        for statistic, words in STATISTICS.items():
            printed = figures.get((recipe, condition, statistic))
            quantity = f"{condition}.{statistic}"
            values = values_of(sweep, quantity)
            ours = next((row.get(quantity) for row in sweep["rows"] if row["seed"] == seed), None)
            judged = could_be_one_of(printed, values) if printed else Judged(Verdict.NOT_PUBLISHED, "")
            texts = (printed,) if printed else ()
            seeds = median_and_range(values)
            rows.append(row_of(recipe, f"{condition}, {words}", texts, (ours,), judged, seeds=seeds))
    return rows


def several_seeds(recipe: str, sweep: Sweep) -> list[Row]:
    """What is published of a recipe over many seeds: quantiles, ranges, and in which share it held."""
    rows = []
    for quantity, figures in published.figures_over_seeds(recipe).items():
        values = values_of(sweep, quantity)
        name = in_words(quantity)
        for quantile, share in _QUANTILES.items():
            if quantile in figures:
                words = {"q1": "lower quartile", "median": "median", "q3": "upper quartile"}[quantile]
                ours = float(np.quantile(values, share)) if values else None
                judged = same_quantile(figures[quantile], share, values)
                rows.append(row_of(recipe, f"{name}, {words}", (figures[quantile],), (ours,), judged))
        if "min" in figures and "max" in figures:
            ends = (min(values), max(values)) if values else (None, None)
            low, high = figures["min"], figures["max"]
            judged = ranges_overlap(low, high, values)
            rows.append(row_of(recipe, f"{name}, smallest and largest", (low, high), ends, judged))
    share = published.selective_share()
    return [*rows, _share(share, sweep)] if share.recipe == recipe else rows


def _share(theirs: published.SelectiveShare, sweep: Sweep) -> Row:
    place = f"{theirs.condition}.named_colors."
    finished = [row for row in sweep["rows"] if "failed" not in row]
    held = sum(
        all((row[place + color] or 0) < theirs.kept_below for color in theirs.kept)
        and all((row[place + color] or 0) > theirs.lost_above for color in theirs.lost)
        for row in finished
    )
    judged = share_between(theirs.share_low, theirs.share_high, held, len(finished))
    what = (
        f"{theirs.condition}, share of seeds that keep {', '.join(theirs.kept)} under {theirs.kept_below:g} "
        f"and lose {', '.join(theirs.lost)} above {theirs.lost_above:g}"
    )
    ours = held / len(finished) if finished else None
    texts = (f"{theirs.share_low:g}", f"{theirs.share_high:g}")
    return Row(recipe=theirs.recipe, what=what, published=texts, ours=(ours,), **judged._asdict())
