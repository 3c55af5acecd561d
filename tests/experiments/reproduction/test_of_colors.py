from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from excise.experiments import published
from excise.experiments.reproduction.criteria import Verdict
from excise.experiments.reproduction.of_colors import colors_of_sweep
from excise.experiments.reproduction.rows import Section

AGREES, DIFFERS = Verdict.AGREES, Verdict.DIFFERS
Make = Callable[..., dict[str, Any]]


def like_published(
    make: Make, rng: np.random.Generator, count: int = 60, changes: dict[str, Any] | None = None
):
    """A sweep of 2.4.1 whose chosen seed has the published table, and whose others lie around it."""
    table = published.color_errors("2.4.1")
    values: dict[str, np.ndarray] = {}
    for condition, column in table.items():
        for color, printed in column.items():
            baseline = table["baseline"][color].value if condition != "baseline" else 0.0
            noise = rng.normal(0, 0.01, count)
            noise[0] = 0.0
            values[f"{condition}.named_colors.{color}"] = baseline + printed.value + noise
    return make(values | (changes or {}))


def section(sections: list[Section], condition: str) -> Section:
    (found,) = (each for each in sections if each.title == f"2.4.1, {condition}, each colour")
    return found


def test_a_chosen_run_as_published_agrees_in_every_colour(make_sweep: Make, rng: np.random.Generator):
    sections = colors_of_sweep("2.4.1", like_published(make_sweep, rng))
    assert len(sections) == 4
    for each in sections:
        assert len(each.rows) == 17 + 2
        assert {row.verdict for row in each.rows} == {AGREES}
    red = section(sections, "suppressed").rows[0]
    assert (red.what, red.published) == ("red", ("0.283565",))
    assert red.ours == pytest.approx((0.283565,), rel=1e-12)  # a difference of two sums
    correlation, difference = section(sections, "repelled").rows[-2:]
    assert correlation.ours == pytest.approx((1.0,), abs=1e-12)
    assert difference.ours == pytest.approx((0.0,), abs=1e-12)


def test_the_spread_is_of_the_differences_of_all_seeds(make_sweep: Make, rng: np.random.Generator):
    sweep = like_published(make_sweep, rng)
    rows = sweep["rows"]
    expected = [row["ablated.named_colors.cyan"] - row["baseline.named_colors.cyan"] for row in rows]
    cyan = section(colors_of_sweep("2.4.1", sweep), "ablated").rows[6]
    assert cyan.what == "cyan"
    assert cyan.seeds == (np.median(expected), min(expected), max(expected))


def test_a_colour_that_no_seed_of_ours_draws_as_published_differs(make_sweep: Make, rng: np.random.Generator):
    other = {"ablated.named_colors.lime": np.full(60, 0.4)}
    rows = section(colors_of_sweep("2.4.1", like_published(make_sweep, rng, changes=other)), "ablated").rows
    assert [row.what for row in rows if row.verdict is DIFFERS] == [
        "lime",
        "correlation of the two columns",
        "largest difference of the two columns, at lime",
    ]


def test_a_chosen_run_unlike_the_published_one_is_told_from_ours(make_sweep: Make, rng: np.random.Generator):
    shuffled = published.color_errors("2.4.1")["ablated"]
    reversed_order = dict(
        zip(shuffled, reversed([printed.value for printed in shuffled.values()]), strict=True)
    )
    other = {
        f"ablated.named_colors.{color}": value + rng.normal(0, 0.01, 60)
        for color, value in reversed_order.items()
    }
    rows = section(colors_of_sweep("2.4.1", like_published(make_sweep, rng, changes=other)), "ablated").rows
    assert [row.verdict for row in rows[-2:]] == [DIFFERS, DIFFERS]


def test_few_seeds_find_no_colour_that_differs(make_sweep: Make, rng: np.random.Generator):
    other = {"ablated.named_colors.lime": np.full(12, 0.4)}
    sections = colors_of_sweep("2.4.1", like_published(make_sweep, rng, 12, other))
    rows = [row for each in sections for row in each.rows]
    assert not any(row.verdict is DIFFERS for row in rows)
    assert {row.verdict for each in sections for row in each.rows[-2:]} == {Verdict.NOT_JUDGED}


def test_a_sweep_without_a_chosen_run_has_its_spread_and_no_likeness(
    make_sweep: Make, rng: np.random.Generator
):
    sweep = like_published(make_sweep, rng) | {"chosen": None}
    rows = section(colors_of_sweep("2.4.1", sweep), "baseline").rows
    assert len(rows) == 17
    assert all(row.ours == (None,) and row.seeds is not None for row in rows)


def test_an_error_that_is_missing_is_left_out(make_sweep: Make, rng: np.random.Generator):
    sweep = like_published(make_sweep, rng)
    sweep["rows"][5]["ablated.named_colors.red"] = None
    sweep["rows"][6] = {"seed": 6, "failed": "it diverged"}
    rows = section(colors_of_sweep("2.4.1", sweep), "ablated").rows
    assert rows[0].verdict is AGREES
    assert len(rows) == 19


def test_what_has_no_published_table_has_no_section(make_sweep: Make):
    assert colors_of_sweep("2.10.1", make_sweep({"ablated.selectivity": [1.0]})) == []
