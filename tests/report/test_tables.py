import io
from typing import Any

import pytest
from rich.console import Console

from excise.experiments.catalogue import delete_warmth
from excise.report.tables import number, print_doctor, print_recipes, print_run, print_sweep

LONG = "hot pink is not spared: the hues orthogonal to red lie at 90 and 270 degrees, not at 330"


def claim(name: str, passed: bool) -> dict[str, Any]:
    return {
        "claim": name, "measured": 0.25, "passed": passed,
        "holds": "at least", "threshold": 0.1, "threshold_is": "0.3 x 1/3",
    }  # fmt: skip


RUN = {
    "recipe": "2.6",
    "seed": 7,
    "conditions": {
        name: {"max_mse": error, "median_mse": None, "named_colors": {"red": error, "dark gray": 0.0}}
        for name, error in {"baseline": 0.00123, "ablated": 0.275, "pruned": 0.275}.items()
    },
    "claims": [claim("dims [0] are [red]gone[/red]", True), claim(LONG, False)],
}

SPREAD = {"median": 0.3, "min": 0.1, "max": 0.5, "sd": 0.05}
SWEEP: dict[str, Any] = {
    "recipe": "2.6",
    "rows": [
        {"seed": 4, "passed": True, "failed_claims": []},
        {"seed": 5, "passed": False, "failed_claims": ["a", "b [0]"]},
        {"seed": 6, "failed": "DimsError: dims [4] are outside"},
    ],
    "summary": {"ablated.max_mse": SPREAD, "ablated.median_mse": SPREAD, "ablated.named_colors.red": SPREAD},
    "claims": [{"claim": LONG, "passed": 2, "seeds": 3, "measured": SPREAD}],
    "passed": 1,
    "chosen": 4,
}


def at_width(width: int, show: Any, content: Any) -> list[str]:
    """The lines on a terminal of that width, without trailing spaces."""
    console = Console(width=width, file=io.StringIO(), force_terminal=True, color_system=None)
    show(content, console)
    file = console.file
    assert isinstance(file, io.StringIO)
    return [line.rstrip() for line in file.getvalue().splitlines()]


def piped(capsys: pytest.CaptureFixture[str], show: Any, content: Any) -> list[str]:
    show(content)
    return [line.rstrip() for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "n/a"), (0.0, "0"), (0.27512, "0.275"), (0.01, "0.0100"), (0.00999, "0.00999"), (1.554e-6, "1.55e-6"),
     (1234.0, "1234"), (-0.5, "-0.500"), (float("nan"), "nan")],
)  # fmt: skip
def test_a_number_is_shown_with_three_digits(value: float | None, shown: str):
    assert number(value) == shown


@pytest.mark.parametrize(("show", "content"), [(print_run, RUN), (print_sweep, SWEEP)], ids=["run", "sweep"])
@pytest.mark.parametrize("width", [40, 60, 80, 150])
def test_no_line_is_wider_than_the_terminal_and_titles_do_not_wrap(width: int, show: Any, content: Any):
    lines = at_width(width, show, content)
    assert max(map(len, lines)) <= width
    what = "seed 7" if content is RUN else "3 seeds"
    title = f"recipe 2.6, {what}: reconstruction error"
    assert (title in lines) == (len(title) <= width)


def test_a_claim_stands_in_columns_where_it_fits_and_above_its_figures_where_it_does_not():
    wide, narrow = at_width(150, print_run, RUN), at_width(60, print_run, RUN)
    assert f"FAILED   {LONG}     0.250  at least 0.100 (0.3 x 1/3)" in wide
    assert "        measured 0.250, threshold at least 0.100 (0.3 x 1/3)" in narrow
    assert "FAILED  hot pink is not spared: the hues orthogonal to red" in narrow
    assert "        lie at 90 and 270 degrees, not at 330" in narrow
    assert "        median 0.300, min 0.100, max 0.500" in at_width(60, print_sweep, SWEEP)


def test_into_a_pipe_each_row_is_one_line_and_colors_stay_out(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("COLUMNS", "60")
    run, sweep = piped(capsys, print_run, RUN), piped(capsys, print_sweep, SWEEP)
    assert f"FAILED   {LONG}     0.250  at least 0.100 (0.3 x 1/3)" in run
    assert any(line.startswith(f"2 of 3   {LONG}") and line.endswith("0.500") for line in sweep)
    recipes = piped(capsys, print_recipes, [delete_warmth()])
    assert recipes == ["2.6  Delete the warm/cool axis", f"     {delete_warmth().question}"]
    assert "\x1b" not in "".join(run + sweep)


def test_a_run_shows_every_condition_loss_and_named_color():
    lines = at_width(80, print_run, RUN)
    rows = {line[:9].strip(): line[9:].split() for line in lines}
    assert ["baseline", "ablated", "pruned"] in [line.split() for line in lines]
    assert rows["largest"] == rows["red"] == ["0.00123", "0.275", "0.275"]
    assert rows["median"] == ["n/a"] * 3
    assert rows["dark gray"] == ["0"] * 3


def test_text_in_brackets_is_shown_and_not_taken_for_markup():
    text = "\n".join(at_width(150, print_run, RUN) + at_width(150, print_sweep, SWEEP))
    assert "dims [0] are [red]gone[/red]" in text
    assert "not so: a; b [0]" in text
    assert "DimsError: dims [4] are outside" in text
    assert "[/x] y" in "\n".join(at_width(80, print_doctor, {"[x]": "[/x] y"}))


def test_a_sweep_shows_spread_counts_and_the_seeds_that_failed():
    lines = at_width(150, print_sweep, SWEEP)
    assert ["ablated,", "largest", "0.300", "0.100", "0.500", "0.0500"] in [line.split() for line in lines]
    assert not any("named_colors" in line for line in lines)
    assert "1 of 3 seeds pass every claim." in lines
    assert "seed 5: not so: a; b [0]" in lines
    assert "seed 6 failed: DimsError: dims [4] are outside" in lines
    assert not any(line.startswith("seed 4") for line in lines)


def test_a_sweep_in_which_every_seed_failed_shows_the_errors_and_no_empty_table():
    failed = SWEEP | {"rows": SWEEP["rows"][2:], "summary": {}, "claims": [], "passed": 0, "chosen": None}
    assert at_width(80, print_sweep, failed) == [
        "recipe 2.6, 1 seed: reconstruction error",
        "",
        "0 of 1 seed passes every claim.",
        "seed 6 failed: DimsError: dims [4] are outside",
    ]


def test_an_unfinished_sweep_says_how_many_seeds_were_asked_for():
    said = "The sweep is unfinished: 3 of the 5 seeds asked for ran."
    assert said in at_width(120, print_sweep, SWEEP | {"seeds": [4, 5, 6, 7, 8]})
    assert said not in at_width(120, print_sweep, SWEEP | {"seeds": [4, 5, 6]})
