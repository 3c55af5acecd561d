import json
from pathlib import Path
from typing import Literal

import pytest

from excise.errors import RunError
from excise.experiments.catalogue import draw_shapes
from excise.experiments.shapes import run_shapes
from excise.numerals import number
from excise.report.colors_of_run import color_table_of, print_colors


def test_the_table_holds_the_errors_of_the_results_and_what_each_condition_draws(run: Path):
    table = color_table_of(run)
    results = json.loads((run / "results.json").read_text(encoding="utf-8"))
    assert table.conditions == ("ablated", "pruned")
    for row in table.rows:
        assert row.baseline == results["conditions"]["baseline"]["named_colors"][row.name]
        assert [each.error for each in row.edited] == [
            results["conditions"][condition]["named_colors"][row.name] for condition in table.conditions
        ]
        assert all(each.rgb is not None for each in row.edited)
    assert [row.rgb for row in table.rows if row.name in ("red", "white")] == [(1, 0, 0), (1, 1, 1)]


@pytest.mark.parametrize(
    ("form", "mark"), [("terminal", ""), ("markdown", "|"), ("html", "<table"), ("latex", "\\begin{tabular}")]
)
def test_each_format_prints_every_colour(
    run: Path,
    capsys: pytest.CaptureFixture[str],
    form: Literal["terminal", "markdown", "html", "latex"],
    mark: str,
):
    table = color_table_of(run)
    print_colors(table, form)
    printed = capsys.readouterr().out
    assert mark in printed
    assert all(row.name in printed for row in table.rows)
    if form == "terminal":
        assert number(table.rows[0].edited[0].error, 3, padded=True) in printed


def test_a_sweep_and_a_run_of_shapes_have_no_such_table(sweep: Path, tmp_path: Path):
    with pytest.raises(RunError, match="is a sweep: name one of its seeds' directories, such as seed-"):
        color_table_of(sweep)
    run_shapes(draw_shapes(), tmp_path / "shapes")
    with pytest.raises(RunError, match="no errors of colours"):
        color_table_of(tmp_path / "shapes")
