from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats

from excise.experiments.published import Printed
from excise.experiments.reproduction.criteria import (
    LEVEL,
    Judged,
    Verdict,
    could_be_one_of,
    inside_range,
    no_stranger,
    ranges_overlap,
    same_count,
    same_mean,
    same_quantile,
    same_sd,
    share_between,
    where_it_lies,
)

AGREES, DIFFERS, NOT_JUDGED = Verdict.AGREES, Verdict.DIFFERS, Verdict.NOT_JUDGED


def printed(number: float) -> Printed:
    return Printed.read(f"{number:.9f}")


def share_differing(judged: Sequence[Judged]) -> float:
    assert all(each.verdict is not NOT_JUDGED for each in judged)
    return float(np.mean([each.verdict is DIFFERS for each in judged]))


def test_a_published_run_that_is_one_more_seed_seldom_differs_and_another_often_does():
    rng = np.random.default_rng(0)

    def judge(shift: float) -> list[Judged]:
        runs = np.exp(rng.normal(-7, 0.3, size=(1000, 9)))
        return [could_be_one_of(printed(run[0] * np.exp(shift)), run[1:].tolist()) for run in runs]

    # At most LEVEL of 1,000, and four standard deviations of that count for the draw.
    assert share_differing(judge(0.0)) <= LEVEL + 4 * np.sqrt(LEVEL / 1000)
    assert share_differing(judge(3.0)) > 0.9


def test_the_run_that_is_judged_may_be_any_that_is_printed_so():
    ours = [0.0010, 0.00101, 0.00102, 0.00099, 0.00098]
    assert could_be_one_of(Printed.read("0.0011"), ours).verdict is AGREES  # 0.00105 is printed so too
    assert could_be_one_of(Printed.read("0.00110"), ours).verdict is DIFFERS


def test_a_run_outside_a_few_seeds_that_lie_far_apart_is_not_judged():
    assert could_be_one_of(printed(0.5), [0.1, 0.2]).verdict is NOT_JUDGED
    assert could_be_one_of(printed(0.15), [0.1, 0.2]).verdict is AGREES
    assert could_be_one_of(printed(0.15), [0.1]).verdict is NOT_JUDGED
    assert could_be_one_of(printed(0.15), [0.0, 0.1]).verdict is NOT_JUDGED
    assert could_be_one_of(printed(0.15), []).verdict is NOT_JUDGED


def test_where_a_figure_lies_says_by_what_factor_outside():
    ours = [0.2, 0.4]
    assert where_it_lies(Printed.read("0.300000"), ours) == "inside our range"
    assert where_it_lies(Printed.read("0.800000"), ours) == "2 times our largest"
    assert where_it_lies(Printed.read("0.050000"), ours) == "4 times below our smallest"
    assert where_it_lies(Printed.read("-0.050000"), ours) == "below our smallest"
    assert where_it_lies(Printed.read("0.050000"), [-0.4, -0.2]) == "above our largest"


def test_a_colour_outside_the_range_differs_only_where_that_is_unlikely():
    many, few = np.linspace(0.1, 0.2, 60).tolist(), np.linspace(0.1, 0.2, 12).tolist()
    assert inside_range(printed(0.2), many).verdict is AGREES
    assert inside_range(printed(0.21), many).verdict is DIFFERS
    assert inside_range(printed(0.09), many).verdict is DIFFERS
    assert inside_range(printed(0.21), few).verdict is NOT_JUDGED
    assert inside_range(printed(0.15), few).verdict is AGREES
    assert inside_range(printed(0.15), []).verdict is NOT_JUDGED


def test_a_difference_that_was_rounded_to_zero_may_be_a_little_below_it():
    ours = np.linspace(-4e-7, -3e-7, 60).tolist()
    assert inside_range(Printed.read("0.000000"), ours).verdict is AGREES
    assert inside_range(Printed.read("0.0000000"), ours).verdict is DIFFERS


def test_means_are_compared_by_welch():
    rng = np.random.default_rng(1)
    theirs, ours = rng.normal(0.95, 0.02, 60), rng.normal(0.94, 0.05, 40)
    p = tuple(stats.ttest_ind(theirs, ours, equal_var=False))[1]
    judged = same_mean(printed(theirs.mean()), printed(theirs.std(ddof=1)), 60, ours.tolist())
    assert judged.finding.endswith(f"p = {p:.2g}")
    assert same_mean(printed(0.95), printed(0.02), 60, rng.normal(0.95, 0.02, 60).tolist()).verdict is AGREES
    assert same_mean(printed(0.95), printed(0.02), 60, rng.normal(0.93, 0.02, 60).tolist()).verdict is DIFFERS
    assert same_mean(printed(0.95), printed(0.02), 60, [0.9]).verdict is NOT_JUDGED


def test_spreads_of_values_with_long_tails_seldom_differ_by_chance_and_others_do():
    rng = np.random.default_rng(2)

    def judge(times: float) -> list[Judged]:
        pairs = rng.laplace(size=(400, 2, 60))
        return [same_sd(printed(times * pair[0].std(ddof=1)), 60, pair[1].tolist()) for pair in pairs]

    # The kurtosis is estimated from sixty values, mostly too low, so that the test is not exact.
    assert share_differing(judge(1.0)) <= 4 * LEVEL
    assert share_differing(judge(3.0)) > 0.9
    # Control: without the correction for kurtosis the same data differ more often than that.
    pairs = np.random.default_rng(2).laplace(size=(400, 2, 60)).var(axis=2, ddof=1)
    plain = 2 * np.minimum(*(tail(pairs[:, 0] / pairs[:, 1], 59, 59) for tail in (stats.f.cdf, stats.f.sf)))
    assert np.mean(plain < LEVEL) > 4 * LEVEL


def test_the_spread_of_equal_values_is_not_judged():
    assert same_sd(printed(0.1), 60, [0.5] * 10).verdict is NOT_JUDGED
    assert same_sd(printed(0.1), 60, [0.5, 0.6, 0.7]).verdict is NOT_JUDGED


@pytest.mark.parametrize(
    ("ours", "verdict", "inside"),
    [([0.1, 0.6], AGREES, 1), ([0.8, 0.95], AGREES, 1), ([0.95, 0.99], DIFFERS, 0), ([0.1, 0.2], DIFFERS, 0)],
)
def test_ranges_overlap_where_they_have_a_point_in_common(ours: list[float], verdict: Verdict, inside: int):
    judged = ranges_overlap(Printed.read("0.50"), Printed.read("0.90"), ours)
    assert judged.verdict is verdict
    assert judged.finding == f"{inside} of our 2 seeds lie in theirs"


def test_a_median_differs_when_all_of_eight_seeds_lie_on_one_side_of_it_and_not_when_seven_do():
    ours = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]
    assert same_quantile(Printed.read("0.90"), 0.5, ours).verdict is DIFFERS
    assert same_quantile(Printed.read("0.05"), 0.5, ours).verdict is DIFFERS
    assert same_quantile(Printed.read("0.75"), 0.5, ours).verdict is AGREES
    assert same_quantile(Printed.read("0.90"), 0.5, ours[:2]).verdict is NOT_JUDGED
    assert same_quantile(Printed.read("0.90"), 0.5, []).verdict is NOT_JUDGED


def test_a_share_of_seeds_is_judged_against_the_nearest_published_share():
    assert share_between(0.92, 0.94, 93, 100) == Judged(
        AGREES,
        "binomial test of the nearest published share: p of at least 0.01",
        "in 93 of our 100 seeds, p = 1",
    )
    assert share_between(0.92, 0.94, 7, 8).verdict is AGREES
    assert share_between(0.92, 0.94, 4, 8).verdict is DIFFERS
    assert share_between(0.92, 0.94, 0, 0).verdict is NOT_JUDGED


def test_counts_are_compared_exactly():
    assert same_count(4, 4, 60).verdict is AGREES
    assert same_count(4, 22, 60).verdict is DIFFERS


def test_the_published_run_is_a_stranger_when_hardly_any_of_ours_is_less_like_the_chosen_one():
    ours = np.linspace(0.9, 1, 59).tolist()
    assert no_stranger(0.95, ours).verdict is AGREES
    assert no_stranger(0.5, ours).verdict is DIFFERS
    assert no_stranger(float("nan"), ours).verdict is NOT_JUDGED
    assert no_stranger(0.5, ours[:11]).verdict is NOT_JUDGED
