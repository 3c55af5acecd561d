"""The sweeps beside their published mean, spread and range, and the targets that were set for them."""

from collections.abc import Mapping

import numpy as np

from excise.experiments import published
from excise.experiments.published import SweepFigures, Target
from excise.experiments.reproduction.criteria import (
    Verdict,
    ranges_overlap,
    same_count,
    same_mean,
    same_sd,
)
from excise.experiments.reproduction.rows import (
    Row,
    Sweep,
    chosen_row,
    deviation,
    in_words,
    row_of,
    values_of,
)

__all__ = ["selectivity_of_sweep", "targets_of"]


def targets_of(sweeps: Mapping[str, Sweep]) -> list[Row]:
    """The targets of this project, of the sweeps that were run."""
    return [
        _target(target, sweeps[target.recipe]) for target in published.targets() if target.recipe in sweeps
    ]


def _target(target: Target, sweep: Sweep) -> Row:
    if target.statistic == "chosen":
        ours = chosen_row(sweep).get(target.quantity)
        of = "in the chosen run"
    else:
        values = values_of(sweep, target.quantity)
        ours = (
            (float(np.mean(values)) if target.statistic == "mean" else deviation(values)) if values else None
        )
        of = {"mean": "mean over seeds", "sd": "standard deviation over seeds"}[target.statistic]
    exact = target.value.value
    if target.tolerance is None:
        met = ours is not None and ours >= exact
        criterion = f"at least {target.value.text}"
    else:
        met = ours is not None and abs(ours - exact) <= target.tolerance
        criterion = f"within {target.tolerance:g} of {target.value.text}"
    verdict = Verdict.NOT_JUDGED if ours is None else Verdict.AGREES if met else Verdict.DIFFERS
    finding = ""
    theirs = published.sweeps()[target.recipe]
    asked = len(sweep["seeds"])
    if target.statistic == "chosen" and asked < theirs.seeds:
        # The best of few seeds is no rival of the best of many.
        verdict = Verdict.NOT_JUDGED
        finding = f"chosen from {asked} seeds, the published one from {theirs.seeds}"
    # A bound was set below the figure that was published.
    printed = theirs.chosen if target.tolerance is None else target.value
    return Row(
        recipe=target.recipe, what=f"{in_words(target.quantity)}, {of}", published=(printed.text,), ours=(ours,),
        verdict=verdict, criterion=criterion, finding=finding,
    )  # fmt: skip


def selectivity_of_sweep(recipe: str, quantity: str, sweep: Sweep) -> list[Row]:
    """Mean, standard deviation and range of a sweep's selectivity, and what was chosen.

    Args:
        recipe: its name.
        quantity: the selectivity that the recipe selects by; a published sweep names its own.
        sweep: what was run.
    """
    theirs = published.sweeps().get(recipe)
    quantity = theirs.quantity if theirs else quantity
    values = values_of(sweep, quantity)
    name = in_words(quantity)
    mean = float(np.mean(values)) if values else None
    ends = (min(values), max(values)) if values else (None, None)
    ours = {
        f"{name}, mean": (mean,),
        f"{name}, standard deviation": (deviation(values),),
        f"{name}, smallest and largest": ends,
    }
    if theirs is None:
        chosen = chosen_row(sweep)
        edit = quantity.partition(".")[0]
        ours |= {
            f"{name}, in the chosen run": (chosen.get(quantity),),
            f"{edit}, error of red, in the chosen run": (chosen.get(f"{edit}.named_colors.red"),),
        }
        return [Row(recipe=recipe, what=what, ours=figures) for what, figures in ours.items()]
    printed = ((theirs.mean,), (theirs.sd,), (theirs.min, theirs.max))
    judged = (
        same_mean(theirs.mean, theirs.sd, theirs.seeds, values),
        same_sd(theirs.sd, theirs.seeds, values),
        ranges_overlap(theirs.min, theirs.max, values),
    )
    rows = [
        row_of(recipe, what, texts, figures, found)
        for (what, figures), texts, found in zip(ours.items(), printed, judged, strict=True)
    ]
    return [*rows, *_front(theirs, sweep, len(values))]


def _front(theirs: SweepFigures, sweep: Sweep, seeds: int) -> list[Row]:
    """How many seeds the selection chose from; only between as many seeds does that compare."""
    if seeds != theirs.seeds:
        return []
    ours = len(sweep["front"])
    what = "seeds on the Pareto front"
    judged = same_count(theirs.front, ours, seeds)
    return [
        Row(recipe=theirs.recipe, what=what, published=(str(theirs.front),), ours=(ours,), **judged._asdict())
    ]
