"""Judges a published figure beside ours: each criterion gives a verdict, and says what it found.

A criterion asks whether the published figure could be one of ours, not whether two numbers look alike: `LEVEL` is the
chance with which it says "differs" although nothing does. A figure that was printed in few digits stands for every
number that is printed so, and the one nearest to ours is judged.
"""

import math
from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

import numpy as np
from scipy import stats

from excise.experiments.published import Printed
from excise.numerals import number

__all__ = [
    "LEVEL",
    "RANK_LEVEL",
    "Judged",
    "Verdict",
    "could_be_one_of",
    "inside_range",
    "no_stranger",
    "ranges_overlap",
    "same_count",
    "same_mean",
    "same_quantile",
    "same_sd",
    "share_between",
    "where_it_lies",
]

LEVEL = 0.01
"""A p-value below this counts as a difference."""

RANK_LEVEL = 0.05
"""The same where a p-value is a rank among our seeds, of which there are too few for a lower one."""

_ANYWHERE = 10.0
"""By how many times one more seed of ours may lie away from the middle before the criterion says nothing."""

_INSIDE = "inside our range"
_TOO_FEW = "too few seeds of ours to tell"


class Verdict(StrEnum):
    """What a comparison came to."""

    AGREES = "agrees"
    DIFFERS = "differs"
    NOT_PUBLISHED = "not published"
    NOT_JUDGED = "not judged"
    """Too few seeds finished for the criterion."""


class Judged(NamedTuple):
    """A verdict, the criterion that gave it, and what was found on the way."""

    verdict: Verdict
    criterion: str
    finding: str = ""


def could_be_one_of(published: Printed, values: Sequence[float]) -> Judged:
    """Whether one run's figure lies among ours, or could be of one more seed: Student's t on logarithms.

    Seeds so few, or so far apart, that one more could lie anywhere give no verdict on what lies outside their range.

    Args:
        published: the figure of one run.
        values: ours, one a seed, positive.
    """
    criterion = f"inside our range, or one more seed by Student's t on logs: p of at least {LEVEL:g}"
    if len(values) < 2 or min(values) <= 0:
        return Judged(Verdict.NOT_JUDGED, criterion, _TOO_FEW)
    place = where_it_lies(published, values)
    if place == _INSIDE:
        return Judged(Verdict.AGREES, criterion, place)
    logs = np.log(values)
    center = float(np.mean(logs))
    scale = float(np.std(logs, ddof=1)) * math.sqrt(1 + 1 / len(logs))
    reach = float(stats.t.isf(LEVEL / 2, len(logs) - 1)) * scale
    if reach > math.log(_ANYWHERE):
        return Judged(Verdict.NOT_JUDGED, criterion, f"{place}; {_TOO_FEW}")
    near = published.nearest(math.exp(center))
    agrees = near > 0 and abs(math.log(near) - center) <= reach
    between = f"{number(math.exp(center - reach))} and {number(math.exp(center + reach))}"
    return Judged(_verdict(agrees), criterion, f"{place}; one more seed of ours lies between {between}")


def inside_range(published: Printed, values: Sequence[float]) -> Judged:
    """Whether one run's figure lies between the smallest and the largest of ours.

    One more seed of n + 1 that are alike lies outside the others with a chance of 2 in n + 1: with so few seeds that
    this is likely, what lies outside is not judged.
    """
    criterion = f"inside our range, where that had a chance of at least {1 - RANK_LEVEL:g}"
    if not values:
        return Judged(Verdict.NOT_JUDGED, criterion, _TOO_FEW)
    place = where_it_lies(published, values)
    if place == _INSIDE:
        return Judged(Verdict.AGREES, criterion, place)
    if 2 / (len(values) + 1) > RANK_LEVEL:
        return Judged(Verdict.NOT_JUDGED, criterion, f"{place}; {_TOO_FEW}")
    return Judged(Verdict.DIFFERS, criterion, place)


def where_it_lies(published: Printed, values: Sequence[float]) -> str:
    """Where a figure lies against the smallest and the largest of ours, and by what factor outside, as words."""
    low, high = min(values), max(values)
    if published.low > high:
        return f"{number(published.low / high, 3)} times our largest" if high > 0 else "above our largest"
    if published.high < low:
        factor = f"{number(low / published.high, 3)} times " if published.high > 0 else ""
        return f"{factor}below our smallest"
    return _INSIDE


def same_mean(mean: Printed, sd: Printed, count: int, values: Sequence[float]) -> Judged:
    """Whether two means agree, of theirs only mean, standard deviation and count are known: Welch's t-test."""
    criterion = f"Welch's t-test: p of at least {LEVEL:g}"
    if len(values) < 2:
        return Judged(Verdict.NOT_JUDGED, criterion, _TOO_FEW)
    ours, spread = float(np.mean(values)), float(np.std(values, ddof=1))
    found = stats.ttest_ind_from_stats(
        mean.nearest(ours), sd.value, count, ours, spread, len(values), equal_var=False
    )
    t, p = float(found.statistic), float(found.pvalue)
    return Judged(_verdict(p >= LEVEL), criterion, f"t = {number(t)}, p = {number(p)}")


def same_sd(sd: Printed, count: int, values: Sequence[float]) -> Judged:
    """Whether two standard deviations agree, of theirs only it and the count are known.

    An F-test whose degrees of freedom are divided by 1 + excess kurtosis / 2 (Box and Andersen 1955), since it takes
    values with long tails, as selectivities have, for a difference of spreads. Assumes that theirs have the kurtosis
    of ours.
    """
    criterion = f"F-test, its degrees of freedom corrected for our kurtosis: p of at least {LEVEL:g}"
    if len(values) < 4 or np.ptp(values) == 0:
        return Judged(Verdict.NOT_JUDGED, criterion, _TOO_FEW)
    ours = float(np.std(values, ddof=1))
    excess = max(0.0, float(stats.kurtosis(values, bias=False)))
    fewer = 1 + excess / 2
    ratio = (sd.nearest(ours) / ours) ** 2
    law = stats.f((count - 1) / fewer, (len(values) - 1) / fewer)
    p = min(1.0, 2 * min(float(law.cdf(ratio)), float(law.sf(ratio))))
    finding = f"F = {number(ratio)}, p = {number(p)}, excess kurtosis {number(excess)}"
    return Judged(_verdict(p >= LEVEL), criterion, finding)


def ranges_overlap(low: Printed, high: Printed, values: Sequence[float]) -> Judged:
    """Whether the range from their smallest to their largest has a point in common with ours."""
    criterion = "the two ranges overlap"
    if not values:
        return Judged(Verdict.NOT_JUDGED, criterion, "no seed of ours finished")
    shared = min(high.high, max(values)) - max(low.low, min(values))
    within = sum(low.low <= value <= high.high for value in values)
    return Judged(_verdict(shared >= 0), criterion, f"{within} of our {len(values)} seeds lie in theirs")


def same_quantile(published: Printed, share: float, values: Sequence[float]) -> Judged:
    """Whether a published quantile could be that of ours: a sign test on how many of ours lie below it.

    Args:
        published: the quantile, taken as exact.
        share: of how much lies below it, 1/2 for a median.
        values: ours, one a seed.
    """
    criterion = f"sign test: p of at least {LEVEL:g}"
    lowest = min(
        (stats.binomtest(below, len(values), share).pvalue for below in (0, len(values)) if values), default=1
    )
    if lowest >= LEVEL:
        return Judged(Verdict.NOT_JUDGED, criterion, _TOO_FEW)
    exact = published.nearest(float(np.quantile(values, share)))
    below = sum(value < exact for value in values)
    p = float(stats.binomtest(below, len(values), share).pvalue)
    finding = f"{below} of our {len(values)} seeds lie below it, p = {number(p)}"
    return Judged(_verdict(p >= LEVEL), criterion, finding)


def share_between(low: float, high: float, held: int, count: int) -> Judged:
    """Whether something that held in `held` of our `count` seeds may hold in a share of [low, high] of all."""
    criterion = f"binomial test of the nearest published share: p of at least {LEVEL:g}"
    if not count:
        return Judged(Verdict.NOT_JUDGED, criterion, "no seed of ours finished")
    nearest = min(max(held / count, low), high)
    p = float(stats.binomtest(held, count, nearest).pvalue)
    return Judged(_verdict(p >= LEVEL), criterion, f"in {held} of our {count} seeds, p = {number(p)}")


def same_count(theirs: int, ours: int, seeds: int) -> Judged:
    """Whether a count among their `seeds` agrees with ours among as many: Fisher's exact test."""
    p = float(stats.fisher_exact([[theirs, seeds - theirs], [ours, seeds - ours]]).pvalue)  # pyright: ignore[reportAttributeAccessIssue] - scipy's stubs miss the named result
    criterion = f"Fisher's exact test: p of at least {LEVEL:g}"
    return Judged(_verdict(p >= LEVEL), criterion, f"p = {number(p)}")


def no_stranger(likeness: float, ours: Sequence[float]) -> Judged:
    """Whether something is as like our chosen run as our other seeds are, by its rank among them.

    Args:
        likeness: of the published run to our chosen one, the larger the more alike.
        ours: the likeness of each of our other seeds to it.
    """
    criterion = f"as like our chosen run as our other seeds are, by rank: p of at least {RANK_LEVEL:g}"
    if (len(ours) + 1) * RANK_LEVEL < 1 or math.isnan(likeness):
        return Judged(Verdict.NOT_JUDGED, criterion, _TOO_FEW)
    stranger = sum(each <= likeness for each in ours)
    p = (stranger + 1) / (len(ours) + 1)
    finding = f"{stranger} of our {len(ours)} other seeds are no more like it, p = {number(p)}"
    return Judged(_verdict(p >= RANK_LEVEL), criterion, finding)


def _verdict(agrees: bool) -> Verdict:
    return Verdict.AGREES if agrees else Verdict.DIFFERS
