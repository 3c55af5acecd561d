import re
from collections.abc import Callable, Mapping, Sequence
from html import unescape
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from rich.console import Console

from excise.errors import ShapeError, UnknownNameError
from excise.report.colors import ColorRow, ColorTable, Edited, as_html, as_latex, as_markdown, as_rich

COLORS = {"red": np.array([1.0, 0.0, 0.0]), "dark gray": np.array([0.25] * 3), "white": np.ones(3)}
ERRORS: dict[str, dict[str, float | None]] = {
    "baseline": {"red": 6.46e-4, "dark gray": 1.22e-4, "white": 0.0},
    "ablated": {"red": 0.284211, "dark gray": 2.5e-5, "white": 0.0},
    "pruned": {"red": 1.25, "dark gray": 0.0314, "white": 0.5},
}
OUTPUTS = {"ablated": {"red": np.array([0.5, 0.5, 0.5])}}


def results(errors: Mapping[str, Mapping[str, float | None]]) -> dict[str, Any]:
    conditions = {name: {"max_mse": 1.0, "named_colors": dict(named)} for name, named in errors.items()}
    return {"recipe": "2.6", "seed": 7, "conditions": conditions}


TABLE = ColorTable.of(results(ERRORS), COLORS, OUTPUTS)


def table_named(name: str, errors: Sequence[float | None] = (0.1, 0.2)) -> ColorTable:
    row = ColorRow(name, (1.0, 0.0, 0.0), errors[0], tuple(map(Edited, errors[1:])))
    return ColorTable("title", tuple(f"condition {each}" for each in range(len(errors) - 1)), (row,))


Grid = list[list[tuple[str, str]]]
"""Rows of cells, headings first: the swatch as "rrggbb" or "", and the text."""


def from_rich(table: ColorTable, differences_only: bool) -> Grid:
    columns = as_rich(table, differences_only=differences_only).columns
    grid = [[("", str(column.header)) for column in columns]]
    for row in zip(*(list(column.cells) for column in columns), strict=True):
        swatches = ["".join(str(span.style) for span in text.spans).removeprefix("on #") for text in row]
        texts = [text.plain[3 if swatch else 0 :] for swatch, text in zip(swatches, row, strict=True)]
        grid.append(list(zip(swatches, texts, strict=True)))
    return grid


def from_html(table: ColorTable, differences_only: bool) -> Grid:
    grid = []
    for row in ElementTree.fromstring(as_html(table, differences_only=differences_only)).iter("tr"):
        swatches = [re.findall(r"background:#(\w{6})", str(ElementTree.tostring(cell))) for cell in row]
        grid.append([("".join(at), "".join(cell.itertext())) for at, cell in zip(swatches, row, strict=True)])
    return grid


def plain(text: str, escape: str, special: str, meaning: Callable[[str], str]) -> str:
    """Text without its escapes, after a look that no special character stands without one."""
    assert not set(special) & set(re.sub(escape, "", text)), text
    return re.sub(escape, lambda found: meaning(found[0]), text)


def markdown_cell(cell: str) -> tuple[str, str]:
    swatch, text = re.findall(r"^(?:`#(\w{6})` )?(.*)$", cell)[0]
    special = "\\`*_[]|~$#<>&"
    return swatch, plain(text, r"\\.|&\w+;", special, lambda each: unescape(each.removeprefix("\\")))


def from_markdown(table: ColorTable, differences_only: bool) -> Grid:
    _, blank, headings, rule, *rows = as_markdown(table, differences_only=differences_only).splitlines()
    assert blank == ""
    assert rule == "| :-- " + "| --: " * (headings.count(" | ")) + "|"
    return [[markdown_cell(cell) for cell in line[2:-2].split(" | ")] for line in (headings, *rows)]


SPELLED = {"textbackslash{}": "\\", "textasciitilde{}": "~", "textasciicircum{}": "^",
           "textless{}": "<", "textgreater{}": ">", "textbar{}": "|"}  # fmt: skip


def latex_cell(cell: str) -> tuple[str, str]:
    swatch, text = re.findall(r"^(?:\\exciseswatch\{([0-9A-F]{6})\} )?(.*)$", cell)[0]
    if re.fullmatch(r"\$[-+\d.]+(\\times10\^\{-?\d+\})?\$", text):
        return swatch.lower(), text.strip("$").replace(r"\times10^{", "e").removesuffix("}")
    escape, special = r"\\(?:text\w+\{\}|.)", "\\&%$#_{}~^<>|"
    return swatch.lower(), plain(text, escape, special, lambda each: SPELLED.get(each[1:], each[1:]))


def from_latex(table: ColorTable, differences_only: bool) -> Grid:
    lines = as_latex(table, differences_only=differences_only).splitlines()
    rows = [line.removesuffix(r" \\") for line in lines if line.endswith(r" \\")]
    return [[latex_cell(cell) for cell in row.split(" & ")] for row in rows]


PARSERS: dict[str, Callable[[ColorTable, bool], Grid]] = {
    "rich": from_rich, "html": from_html, "markdown": from_markdown, "latex": from_latex,
}  # fmt: skip


@pytest.fixture(params=PARSERS)
def parse(request: pytest.FixtureRequest) -> Callable[..., Grid]:
    """Writes a table in one format and reads it back."""
    return lambda table, differences_only=False: PARSERS[request.param](table, differences_only)


def test_every_format_gives_back_the_errors_and_their_differences(parse: Callable[..., Grid]):
    headings, *rows = parse(TABLE)
    assert [text for _, text in headings] == [
        "colour", "baseline", "ablated", "ablated, difference", "pruned", "pruned, difference",
    ]  # fmt: skip
    assert [row[0][1] for row in rows] == list(COLORS)
    for (_, name), *cells in rows:
        before, ablated, pruned = (ERRORS[condition][name] or 0.0 for condition in ERRORS)
        expected = [before, ablated, ablated - before, pruned, pruned - before]
        # Three significant digits.
        assert [float(text) for _, text in cells] == pytest.approx(expected, rel=5e-3), name


def test_differences_alone_leave_the_edited_errors_out(parse: Callable[..., Grid]):
    both, alone = parse(TABLE), parse(TABLE, differences_only=True)
    texts = [[text for _, text in row] for row in both]
    assert [[text for _, text in row] for row in alone] == [[row[i] for i in (0, 1, 3, 5)] for row in texts]
    assert [swatch for swatch, _ in alone[1]] == ["ff0000", "", "808080", ""]


def test_swatches_show_the_colour_and_what_the_model_draws(parse: Callable[..., Grid]):
    swatches = [[swatch for swatch, _ in row] for row in parse(TABLE)]
    assert swatches == [
        [""] * 6,
        ["ff0000", "", "808080", "", "", ""],
        ["404040", "", "", "", "", ""],
        ["ffffff", "", "", "", "", ""],
    ]


def test_a_difference_shows_its_sign_and_no_difference_is_zero(parse: Callable[..., Grid]):
    row = parse(table_named("red", [0.5, 0.75, 0.25, 0.5, 0.0]))[1]
    assert [text for _, text in row[3::2]] == ["+0.250", "-0.250", "0", "-0.500"]
    assert parse(table_named("red", [-0.0, -0.0]))[1][1:] == [("", "0")] * 3


@pytest.mark.parametrize("missing", [None, float("nan"), float("inf")])
def test_what_is_missing_or_not_finite_is_not_available(parse: Callable[..., Grid], missing: float | None):
    edited = parse(table_named("red", [0.1, missing]))[1]
    assert [text for _, text in edited[1:]] == ["0.100", "n/a", "n/a"]
    baseline = parse(table_named("red", [missing, 0.1]))[1]
    assert [text for _, text in baseline[1:]] == ["n/a", "0.100", "n/a"]


def test_a_colour_that_one_condition_lacks_is_not_available_there(parse: Callable[..., Grid]):
    errors = {**ERRORS, "ablated": {"red": None}, "baseline": {"red": 0.1}}
    rows = parse(ColorTable.of(results(errors), COLORS))[1:]
    assert [text for _, text in rows[0][1:]] == ["0.100", "n/a", "n/a", "1.25", "+1.15"]
    assert [text for _, text in rows[1][1:]] == ["n/a", "n/a", "n/a", "0.0314", "n/a"]


@pytest.mark.parametrize(
    "name",
    [
        "salt & pepper <b>", "a | b", "`code` *bold* _em_ ~gone~ [link]", "50% $x$ #1 {y} ^z \\ end", "&amp;",
        '"quoted" \'too\'', "[bold]markup[/bold]", "{{ 7 * 7 }} {% raw %}", "Grün ≥ 1",
    ],
)  # fmt: skip
def test_names_and_conditions_come_through_whatever_they_hold(parse: Callable[..., Grid], name: str):
    table = ColorTable(name, (name,), (ColorRow(name, (0.0, 0.0, 1.0), 0.1, (Edited(0.2),)),))
    headings, row = parse(table)
    assert headings[2:] == [("", name), ("", f"{name}, difference")]
    assert row[0] == ("0000ff", name)
    assert [text for _, text in row[1:]] == ["0.100", "0.200", "+0.100"]


def test_a_table_without_rows_or_conditions_keeps_its_headings(parse: Callable[..., Grid]):
    (headings,) = parse(ColorTable("title", ("ablated",), ()))
    assert [text for _, text in headings] == ["colour", "baseline", "ablated", "ablated, difference"]
    headings, row = parse(table_named("red", [0.1]))
    assert len(headings) == len(row) == 2


def test_swatches_are_clipped_and_left_out_where_not_finite(parse: Callable[..., Grid]):
    outputs = {"ablated": {"red": [1.5, -0.5, 0.5], "white": [float("nan"), 0, 0]}}
    rows = parse(ColorTable.of(results(ERRORS), COLORS, outputs))[1:]
    assert [row[2][0] for row in rows] == ["ff0080", "", ""]


def test_a_terminal_shows_two_blocks_of_true_colour():
    console = Console(width=200, height=25, force_terminal=True, color_system="truecolor", no_color=False)
    with console.capture() as capture:
        console.print(as_rich(TABLE))
    title, _, red, gray, _ = capture.get().splitlines()
    assert "\x1b[48;2;255;0;0m  \x1b[0m red" in red
    assert "\x1b[48;2;128;128;128m  \x1b[0m 0.284" in red
    assert "\x1b[48;2;64;64;64m  \x1b[0m dark gray" in gray
    assert "recipe 2.6, seed 7: error of each colour" in title


def test_html_is_a_fragment_that_says_what_heads_what_and_asks_for_nothing():
    source = as_html(table_named("red & <blue>"))
    scopes = [[cell.get("scope") for cell in row] for row in ElementTree.fromstring(source).iter("tr")]
    assert scopes == [["col"] * 4, ["row", None, None, None]]
    assert "red &amp; &lt;blue&gt;" in source
    assert not re.search(r"<(?:html|head|body|style|script|link|img)\b|https?:|class=", source)
    # Text takes the page's colours: only swatches have one, and lines are gray enough for a white or a black page.
    assert set(re.findall(r"(?:^|[;\"])((?:background-)?color|background):", source)) == {"background"}
    assert 'aria-label="#ff0000"' in source


def test_titles_are_escaped_and_take_one_line():
    table = ColorTable('a "title" & <more>\n\nlines', (), ())
    assert as_html(table).count("title&#34; &amp; &lt;more&gt;") == 2
    assert as_markdown(table).splitlines()[0] == '**a "title" &amp; &lt;more&gt; lines**'
    assert r'\caption{a "title" \& \textless{}more\textgreater{} lines}' in as_latex(table)


def test_latex_names_its_packages_first_and_has_a_cell_for_each_column():
    source = as_latex(TABLE)
    assert source.splitlines()[0] == r"% Needs \usepackage{booktabs} and \usepackage{xcolor}."
    assert r"\begin{tabular}{lrrrrr}" in source
    bare = re.sub(r"\\.", "", source)
    assert bare.count("{") == bare.count("}")
    opened, closed = re.findall(r"\\begin\{(\w+)", source), re.findall(r"\\end\{(\w+)", source)
    assert opened == closed[::-1] == ["table", "tabular"]
    assert r"\exciseswatch{FF0000} red & $6.46\times10^{-4}$ & \exciseswatch{808080} $0.284$" in source


def test_a_table_shows_the_colours_that_were_asked_for_in_their_order():
    asked = {name: COLORS[name] for name in ("white", "red")}
    table = ColorTable.of(results(ERRORS), asked, title="mine")
    assert [row.name for row in table.rows] == ["white", "red"]
    assert (table.title, table.conditions) == ("mine", ("ablated", "pruned"))
    assert table.rows[1].differences == pytest.approx((0.284211 - 6.46e-4, 1.25 - 6.46e-4))
    assert ColorTable.of(results(ERRORS), {}).rows == ()


def test_unknown_colours_and_conditions_are_answered_with_the_nearest():
    with pytest.raises(UnknownNameError, match=r"'dark grey' among the measured colours\. .* 'dark gray'"):
        ColorTable.of(results(ERRORS), {"dark grey": np.zeros(3)})
    with pytest.raises(UnknownNameError, match=r"'ablate' among the conditions .* 'ablated'"):
        ColorTable.of(results(ERRORS), COLORS, {"ablate": {}})
    with pytest.raises(UnknownNameError, match="no name 'baseline' among the conditions"):
        ColorTable.of(results({"ablated": ERRORS["ablated"]}), COLORS)


def test_colours_without_three_channels_and_rows_of_other_widths_are_refused():
    with pytest.raises(ShapeError, match="3 channels; 2 came for 'red'"):
        ColorTable.of(results(ERRORS), {"red": np.zeros(2)})
    with pytest.raises(ShapeError, match="3 channels; 4 came for 'red'"):
        ColorTable.of(results(ERRORS), COLORS, {"pruned": {"red": np.zeros(4)}})
    row = ColorRow("red", (1.0, 0.0, 0.0), 0.1, (Edited(0.2),))
    with pytest.raises(ShapeError, match="the table's 2 conditions; 'red' has 1"):
        ColorTable("title", ("ablated", "pruned"), (row,))
