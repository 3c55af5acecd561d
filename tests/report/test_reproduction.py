import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from excise.errors import RunError
from excise.experiments.reproduction import Carried, Reproduction, Row, Section, Verdict
from excise.record import Record
from excise.record.files import write_json
from excise.report.reproduction import (
    build_reproduction,
    cells_of,
    headings_of,
    print_reproduction,
    summary_of,
)
from excise.report.reproduction_markdown import as_markdown, docs_of_checkout, write_markdown

NASTY = "<b>red</b> & a|b *_`x`"

AGREEING = Row(
    recipe="2.6", what=NASTY, published=("0.27",), ours=(0.2734,), seeds=(0.28, 0.25, 0.31), verdict=Verdict.AGREES,
    criterion="inside our range", finding="inside <our> range",
)  # fmt: skip
DIFFERING = Row(
    recipe="2.10", what="ablated, largest error", published=("0.073",), ours=(0.53,), seeds=(0.5, 0.4, None),
    verdict=Verdict.DIFFERS, criterion="inside our range", finding="5.44 times below our smallest",
)  # fmt: skip
UNPUBLISHED = Row(recipe="2.5.1", what="suppressed, smallest and largest", ours=(0.88654, None))
UNJUDGED = Row(
    recipe="2.4.1", what="red", published=("0.000000",), ours=(0.0,), verdict=Verdict.NOT_JUDGED, criterion="few seeds"
)  # fmt: skip


def made(*rows: Row, quick: bool = False, finished: int = 8) -> Reproduction:
    sections = (
        Section(title="Single runs", text="How & why <judged>.", sources=("a|source",), ours="our seed 0", rows=rows),
        Section(title="2.4.1, baseline", text="Colours.", ours="our chosen run", rows=(UNJUDGED,)),
    )  # fmt: skip
    carried = Carried(
        recipe="2.6", title=NASTY, seeds=8, finished=finished, directory="2.6/x", reused=True, seconds=None
    )
    return Reproduction(
        quick=quick, carried=(carried, carried.model_copy(update={"seconds": 61.4})), sections=sections
    )


@pytest.fixture
def write(tmp_path: Path) -> Callable[[Reproduction], Path]:
    """Writes a reproduction's directory."""

    def lay(reproduction: Reproduction) -> Path:
        path = tmp_path / "reproduction"
        with Record(path, {}, {"packages": {"torch": "9.9"}, "git_commit": "<abc>"}):
            write_json(path / "reproduction.json", reproduction.model_dump(mode="json"))
        return path

    return lay


def page_of(path: Path, read_page: Any) -> Any:
    return read_page(build_reproduction(path))


def terminal(reproduction: Reproduction, width: int = 200) -> str:
    out = io.StringIO()
    print_reproduction(reproduction, Console(file=out, width=width))
    return out.getvalue()


def test_the_summary_counts_verdicts_and_says_what_is_weak():
    said = summary_of(made(AGREEING, DIFFERING, UNPUBLISHED, quick=True, finished=7))
    assert said[0] == "1 of 2 comparisons differ, 1 agree."
    assert said[1] == "1 could not be judged with so few seeds."
    assert said[2] == "Beside 1 of our figures nothing is published."
    assert any("quick" in sentence for sentence in said)
    assert "Of 2.6, 1 of 8 seeds did not finish." in said
    assert len(summary_of(made(AGREEING))) == 2  # the second section's row was not judged


def test_a_row_has_a_cell_for_each_heading():
    for section in made(AGREEING, UNPUBLISHED).sections:
        for row in section.rows:
            assert len(cells_of(section, row)) == len(headings_of(section))
    first, second = made(AGREEING, UNPUBLISHED).sections
    assert cells_of(first, AGREEING)[2:] == [
        "0.27", "0.273", "0.280", "0.250", "0.310", "agrees", "inside <our> range",
    ]  # fmt: skip
    assert cells_of(first, UNPUBLISHED)[2:] == ["", "0.887 to n/a", "", "", "", "not published", ""]
    # Of one experiment alone, neither its name nor a spread stands in a column; the criterion fills in.
    assert cells_of(second, UNJUDGED) == ["red", "0.000000", "0", "not judged", "few seeds"]


def test_a_figure_that_misses_a_target_by_little_is_not_shown_as_if_it_met_it():
    row = Row(recipe="2.4.1", what="chosen", published=("0.98",), ours=(0.9781,), verdict=Verdict.DIFFERS)
    section = Section(title="Targets", text="", ours="ours", rows=(row,))
    assert cells_of(section, row)[3] == "0.978"


def test_a_count_has_no_decimals():
    row = Row(recipe="2.4.1", what="seeds on the Pareto front", published=("4",), ours=(9,))
    section = Section(title="Sweeps", text="", ours="ours", rows=(row,))
    assert cells_of(section, row)[2:4] == ["4", "9"]


def test_the_page_shows_every_row_and_says_at_the_top_where_they_differ(
    write: Callable[[Reproduction], Path], read_page: Any
):
    reproduction = made(AGREEING, DIFFERING, UNPUBLISHED)
    page = page_of(write(reproduction), read_page)
    header, *rows = page.tables["Single runs"]
    assert header == [heading for heading, _ in headings_of(reproduction.sections[0])]
    assert rows == [cells_of(reproduction.sections[0], row) for row in reproduction.sections[0].rows]
    assert page.tables["2.4.1, baseline"][1:] == [cells_of(reproduction.sections[1], UNJUDGED)]
    top = page.text.partition("How & why <judged>.")[0]
    assert "1 of 2 comparisons differ" in top
    assert "Single runs, 2.10: ablated, largest error: published 0.073, ours 0.530 (5.44 times" in top
    assert page.tables["What was run"][1][3:] == ["8", "in parts", "2.6/x (was finished already)"]
    assert page.tables["What was run"][2][4] == "61"
    assert page.tables["Environment"] == [["commit", "<abc>"], ["torch", "9.9"]]
    assert "excise reproduce" in page.pres


def test_where_nothing_differs_the_page_lists_nothing(write: Callable[[Reproduction], Path], read_page: Any):
    page = page_of(write(made(AGREEING)), read_page)
    assert "Where they differ" not in page.text
    assert [tag["class"] for tag in page.all("strong")] == ["passed"]
    assert not page.all("li")


def test_the_page_escapes_names_needs_no_network_and_has_a_dark_side(
    write: Callable[[Reproduction], Path], read_page: Any
):
    page = page_of(write(made(AGREEING, DIFFERING, quick=True)), read_page)
    assert not page.all("b")
    assert NASTY in page.text
    addresses = [tag.get("src", tag.get("href", "")) for _, tag in page.elements]
    assert all(address.startswith(("#", "data:")) for address in addresses if address)
    assert not page.all("script")
    assert "http" not in page.source
    assert "prefers-color-scheme: dark" in page.source
    assert "excise reproduce --quick" in page.pres
    ids = [tag["id"] for _, tag in page.elements if "id" in tag]
    assert len(ids) == len(set(ids))
    assert {tag["href"] for tag in page.all("a")} == {f"#{each}" for each in ids}


def test_a_directory_without_a_comparison_has_no_page(tmp_path: Path):
    with pytest.raises(RunError):
        build_reproduction(tmp_path)
    with Record(tmp_path / "run", {}, {}), pytest.raises(RunError, match=r"reproduction\.json"):
        build_reproduction(tmp_path / "run")


def test_markdown_holds_the_same_cells_and_escapes_them(write: Callable[[Reproduction], Path]):
    reproduction = made(AGREEING, DIFFERING, UNPUBLISHED)
    text = as_markdown(write(reproduction))
    rows = [line for line in text.splitlines() if line.startswith("|")]
    widths = [len(re.findall(r"(?<!\\)\|", line)) for line in rows]
    assert widths[:5] == [len(headings_of(reproduction.sections[0])) + 1] * 5
    assert r"&lt;b&gt;red&lt;/b&gt; &amp; a\|b \*\_\`x\`" in rows[2]
    assert "| 0.27 | 0.273 | 0.280 | 0.250 | 0.310 | agrees |" in rows[2]
    assert "\n- Single runs, 2.10: ablated, largest error: published 0.073, ours 0.530" in text
    assert r"Source: a\|source." in text
    assert "Do not edit" in text
    assert text.endswith("|\n")


def test_markdown_is_written_where_it_is_asked_for(write: Callable[[Reproduction], Path], tmp_path: Path):
    path = write(made(AGREEING))
    file = write_markdown(path, tmp_path / "docs" / "reproduction.md")
    assert file.read_text(encoding="utf-8") == as_markdown(path)
    (tmp_path / "taken").touch()
    with pytest.raises(RunError, match="cannot make"):
        write_markdown(path, tmp_path / "taken" / "reproduction.md")


@pytest.mark.parametrize(
    ("project", "docs", "found"),
    [
        ('[project]\nname = "excise"\n', True, True),
        ('[project]\nname = "excise"\n', False, False),
        ('[project]\nname = "another"\n', True, False),
        ("[tool]\n", True, False),
        ("[project", True, False),
        (None, True, False),
    ],
    ids=["checkout", "no-docs", "another-project", "no-project", "damaged", "no-file"],
)
def test_documentation_is_that_of_a_checkout_of_excise_alone(
    tmp_path: Path, project: str | None, docs: bool, found: bool
):
    if project is not None:
        (tmp_path / "pyproject.toml").write_text(project, encoding="utf-8")
    if docs:
        (tmp_path / "docs").mkdir()
    assert docs_of_checkout(tmp_path) == (tmp_path / "docs" if found else None)


def test_the_terminal_shows_every_row_and_ends_with_what_differs():
    text = terminal(made(AGREEING, DIFFERING, UNPUBLISHED))
    assert NASTY in text
    assert re.search(r"2\.10 +ablated, largest error +0\.073 +0\.530 +0\.500 +0\.400 +n/a +differs", text)
    assert "0.887 to n/a" in text
    assert text.rstrip().splitlines()[-1].startswith("differs: Single runs, 2.10: ablated, largest error")


def test_the_terminal_keeps_its_width():
    assert max(map(len, terminal(made(AGREEING, DIFFERING), width=70).splitlines())) <= 70
