from collections.abc import Callable
from typing import Any

import numpy as np

from excise.experiments import published
from excise.experiments.reproduction.criteria import Verdict
from excise.experiments.reproduction.of_runs import errors_of_runs, several_seeds
from excise.experiments.reproduction.rows import Row

AGREES, DIFFERS = Verdict.AGREES, Verdict.DIFFERS
Make = Callable[..., dict[str, Any]]

COLORS = {
    "red": 0.30, "cyan": 0.28, "orange": 0.17, "pink": 0.16, "azure": 0.13, "teal": 0.12, "yellow": 0.056,
    "magenta": 0.054, "blue": 0.035, "green": 0.032, "lime": 0.0015, "purple": 0.0011, "white": 0.0008,
    "gray": 0.0005, "black": 0.0005,
}  # fmt: skip


def around(center: float, spread: float = 0.2, count: int = 8) -> np.ndarray:
    """Values on both sides of `center`."""
    return center * np.linspace(1 - spread, 1 + spread, count)


def like_published(make: Make, **others: Any) -> dict[str, Any]:
    """A sweep of 2.6 whose seeds lie around all that is published of it."""
    values = {
        "baseline.max_mse": around(0.00076, 0.5),
        "baseline.median_mse": around(1.5e-5, 0.5),
        "ablated.max_mse": np.array([0.26, 0.28, 0.3, 0.31, 0.325, 0.33, 0.35, 0.4]),
        "ablated.median_mse": around(0.0024, 0.3),
        "pruned.max_mse": around(0.3),
        "pruned.median_mse": around(0.0024, 0.3),
        **{f"ablated.named_colors.{color}": around(error) for color, error in COLORS.items()},
    }
    return make(values | others.pop("values", {}), **others)


def by_what(rows: list[Row]) -> dict[str, Row]:
    return {row.what: row for row in rows}


def test_each_published_figure_stands_beside_our_seed_0_and_the_spread_over_seeds(make_sweep: Make):
    rows = by_what(errors_of_runs("2.6", ("baseline", "ablated", "pruned"), like_published(make_sweep)))
    assert len(rows) == 6
    row = rows["ablated, largest error"]
    assert (row.published, row.ours, row.seeds) == (("0.27",), (0.26,), (0.3175, 0.26, 0.4))
    assert {row.verdict for row in rows.values()} == {AGREES}


def test_a_figure_far_from_all_our_seeds_differs_and_says_by_what_factor(make_sweep: Make):
    sweep = like_published(make_sweep, values={"ablated.max_mse": around(0.9, 0.05)})
    row = by_what(errors_of_runs("2.6", ("ablated",), sweep))["ablated, largest error"]
    assert row.verdict is DIFFERS
    assert row.finding.startswith("3.11 times below our smallest")  # 0.9 x 0.95 / 0.275


def test_what_is_not_published_is_shown_as_measured(make_sweep: Make):
    names = ("baseline.max_mse", "baseline.median_mse", "suppressed.max_mse", "suppressed.median_mse")
    sweep = make_sweep({name: around(0.3) for name in names})
    rows = by_what(errors_of_runs("2.3-sigmoid", ("baseline", "suppressed"), sweep))
    assert rows["suppressed, largest error"].verdict is Verdict.NOT_PUBLISHED
    assert rows["suppressed, largest error"].published == ()
    assert rows["suppressed, largest error"].ours == (around(0.3)[0],)
    assert rows["baseline, largest error"].verdict is DIFFERS


def test_seed_0_may_have_failed_or_not_been_measured(make_sweep: Make):
    row = errors_of_runs("2.6", ("baseline",), like_published(make_sweep, failed=[0]))[0]
    assert row.ours == (None,)
    assert row.verdict is AGREES
    nothing = errors_of_runs("2.6", ("baseline",), like_published(make_sweep, failed=range(8)))[0]
    assert (nothing.verdict, nothing.seeds) == (Verdict.NOT_JUDGED, (None, None, None))


def test_quantiles_and_ranges_over_many_seeds_agree_with_seeds_around_them(make_sweep: Make):
    rows = by_what(several_seeds("2.6", like_published(make_sweep)))
    figures = published.figures_over_seeds("2.6")
    assert len(rows) == sum(len(each) - ("min" in each) for each in figures.values()) + 1
    assert {row.verdict for row in rows.values()} == {AGREES}
    assert rows["ablated, error of pink, median"].published == ("0.16",)
    assert rows["ablated, largest error, smallest and largest"].ours == (0.26, 0.4)


def test_a_colour_that_is_kept_in_all_our_seeds_differs_from_one_that_was_lost(make_sweep: Make):
    rows = by_what(
        several_seeds("2.6", like_published(make_sweep, values={"ablated.named_colors.red": around(0.01)}))
    )
    assert rows["ablated, error of red, median"].verdict is DIFFERS
    (share,) = (row for what, row in rows.items() if "share of seeds" in what)
    assert (share.ours, share.verdict) == ((0.0,), DIFFERS)
    assert share.published == ("0.92", "0.94")


def test_a_seed_that_lost_what_it_should_keep_is_not_selective(make_sweep: Make):
    black = around(0.0005)
    black[3] = 0.06
    rows = several_seeds("2.6", like_published(make_sweep, values={"ablated.named_colors.black": black}))
    assert rows[-1].ours == (7 / 8,)
    assert rows[-1].verdict is AGREES


def test_a_recipe_that_was_not_published_over_many_seeds_has_no_such_row(make_sweep: Make):
    assert several_seeds("2.7", like_published(make_sweep)) == []
