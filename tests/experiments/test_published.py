import csv
import json
from importlib.resources import files

import pytest

from excise.color import NAMES
from excise.experiments import published
from excise.experiments.catalogue import find_recipe
from excise.experiments.published import Printed
from excise.experiments.recipe import Recipe

DATA = files("excise.experiments") / "published"


def recipe(name: str) -> Recipe:
    found = find_recipe(name)
    assert isinstance(found, Recipe)
    return found


@pytest.mark.parametrize(
    ("text", "value", "low", "high"),
    [
        ("0.0011", 0.0011, 0.00105, 0.00115),
        ("6e-5", 6e-5, 5.5e-5, 6.5e-5),
        ("0.8e-5", 0.8e-5, 0.75e-5, 0.85e-5),
        ("0.9910", 0.991, 0.99095, 0.99105),
        ("0.000000", 0.0, -5e-7, 5e-7),
        ("20", 20.0, 19.5, 20.5),
    ],
)
def test_a_printed_number_stands_for_all_that_are_printed_so(
    text: str, value: float, low: float, high: float
):
    printed = Printed.read(text)
    assert (printed.text, printed.value) == (text, value)
    assert (printed.low, printed.high) == pytest.approx((low, high), rel=1e-12)  # decimal to binary


def test_the_nearest_of_what_is_printed_so_is_between_its_ends():
    printed = Printed.read("0.30")
    assert printed.nearest(0.2) == printed.low
    assert printed.nearest(0.4) == printed.high
    assert printed.nearest(0.301) == 0.301


def test_single_runs_are_as_published():
    runs = {key: printed.text for key, printed in published.single_runs().items()}
    assert len(runs) == 24 * 2 - 3  # three largest errors of 2.2 have no median beside them
    assert runs["2.6", "ablated", "max_mse"] == "0.27"
    assert runs["2.6", "pruned", "median_mse"] == "0.0031"
    assert runs["2.2", "repelled", "max_mse"] == "0.29"
    assert runs["2.3-sigmoid", "baseline", "median_mse"] == "6.3e-5"
    assert runs["2.10", "ablated", "max_mse"] == "0.073"
    assert ("2.2", "baseline", "median_mse") not in runs


def test_sweeps_are_as_published():
    first, second = (published.sweeps()[name] for name in ("2.4.1", "2.9.1"))
    assert (first.mean.value, first.sd.value, first.min.value, first.max.value) == (
        0.9515,
        0.0236,
        0.8821,
        0.991,
    )
    assert (second.mean.value, second.sd.value, second.min.value, second.max.value) == (
        0.857,
        0.154,
        0.0615,
        0.9848,
    )
    assert [(each.seeds, each.front, each.chosen.text, each.red.text) for each in (first, second)] == [
        (60, 4, "0.991", "0.284"),
        (60, 22, "0.985", "0.343"),
    ]


def test_the_tables_of_colours_are_as_published():
    anchored, isolated = published.color_errors("2.4.1"), published.color_errors("2.9.1")
    assert list(anchored) == ["baseline", "suppressed", "repelled", "ablated"]
    assert list(isolated) == ["baseline", "ablated", "suppressed"]
    assert all(list(column) == list(NAMES) for table in (anchored, isolated) for column in table.values())
    assert anchored["suppressed"]["red"].value == 0.283565
    assert anchored["repelled"]["gray"].value == -0.000057
    assert anchored["ablated"]["cyan"].value == 0.341103
    assert isolated["ablated"]["red"].value == 0.34318
    assert isolated["suppressed"]["white"].value == 0.000634
    assert published.color_errors("2.10.1") == {}


def test_the_chosen_run_is_the_same_in_the_table_of_colours_and_in_the_summary():
    for name, theirs in published.sweeps().items():
        condition = theirs.quantity.partition(".")[0]
        table = published.color_errors(name)
        after = table["baseline"]["red"].value + table[condition]["red"].value
        assert theirs.red.low <= after <= theirs.red.high


def test_figures_over_seeds_are_as_published():
    figures = published.figures_over_seeds("2.6")
    assert {key: printed.text for key, printed in figures["ablated.max_mse"].items()} == {
        "min": "0.25",
        "q1": "0.29",
        "median": "0.32",
        "q3": "0.34",
        "max": "0.45",
    }
    assert figures["ablated.named_colors.orange"]["median"].value == 0.17
    assert "median" not in figures["baseline.median_mse"]
    assert published.figures_over_seeds("2.7") == {}


def test_the_share_of_selective_seeds_and_the_times_are_as_published():
    share = published.selective_share()
    assert (share.seeds, share.share_low, share.share_high, share.kept_below, share.lost_above) == (
        128,
        0.92,
        0.94,
        0.05,
        0.1,
    )
    assert set(share.kept) == {"black", "white", "gray", "lime", "purple"}
    assert share.lost == ("red", "cyan")
    times = published.times()
    assert (times.sweep, times.single_run) == ((402, 477), 20)


def test_targets_are_the_projects():
    rows = {
        (each.recipe, each.quantity, each.statistic): (each.holds, each.value.value, each.tolerance)
        for each in published.targets()
    }
    assert rows == {
        ("2.4.1", "suppressed.selectivity", "mean"): ("within", 0.9515, 0.01),
        ("2.4.1", "suppressed.selectivity", "sd"): ("within", 0.0236, 0.01),
        ("2.4.1", "suppressed.selectivity", "chosen"): ("at least", 0.98, None),
        ("2.4.1", "suppressed.named_colors.red", "chosen"): ("within", 0.284, 0.03),
        ("2.9.1", "ablated.selectivity", "mean"): ("within", 0.857, 0.05),
        ("2.9.1", "ablated.selectivity", "chosen"): ("at least", 0.98, None),
        ("2.9.1", "ablated.named_colors.red", "chosen"): ("within", 0.343, 0.05),
    }


def test_every_file_of_figures_names_its_source():
    names = {entry.name for entry in DATA.iterdir()} - {"sources.json"}
    assert names == set(published.sources())
    assert all(len(source.split()) > 5 for source in published.sources().values())


def test_no_file_is_damaged_and_none_points_outside_the_package():
    for entry in DATA.iterdir():
        text = entry.read_text(encoding="utf-8")
        assert ".." not in text
        if entry.name.endswith(".json"):
            json.loads(text)
        else:
            rows = list(csv.reader(text.splitlines()))
            assert {len(row) for row in rows} == {len(rows[0])}


def test_what_is_published_is_of_recipes_and_conditions_that_exist():
    for name, condition, _ in published.single_runs():
        assert condition in recipe(name).conditions
    for name, theirs in published.sweeps().items():
        selection = recipe(name).selection
        assert selection is not None
        assert selection.by == theirs.quantity
        assert set(published.color_errors(name)) <= set(recipe(name).conditions)
