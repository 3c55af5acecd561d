"""The error of each named colour under each condition, as one table in four formats.

A `ColorTable` holds the values; `as_rich`, `as_html`, `as_markdown` and `as_latex` write the same cells for a
terminal, a page, a README and a paper. Each colour stands there as a swatch, and so does what the model draws in its
place, where that is known. An error that is missing or not finite is "n/a".
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined
from rich.table import Table
from rich.text import Text

from excise.errors import ShapeError, UnknownNameError
from excise.numerals import number

__all__ = ["ColorRow", "ColorTable", "Edited", "as_html", "as_latex", "as_markdown", "as_rich"]

BASELINE = "baseline"
"""The condition that the others are compared with."""

Rgb = tuple[float, float, float]
"""sRGB in [0, 1]; swatches show what lies outside as the nearest colour inside, and nothing for what is not finite."""

Channels = Sequence[float] | np.ndarray


@dataclass(frozen=True)
class Edited:
    """A colour under one condition: its error, None where there is none, and what the model draws, where known."""

    error: float | None
    rgb: Rgb | None = None


@dataclass(frozen=True)
class ColorRow:
    """A colour: its name, itself, its error in the baseline, and how it is under each other condition."""

    name: str
    rgb: Rgb
    baseline: float | None
    edited: tuple[Edited, ...]

    @property
    def differences(self) -> tuple[float | None, ...]:
        """Under each condition the error less that of the baseline; None where one of the two is missing."""
        before = self.baseline
        errors = [each.error for each in self.edited]
        return tuple(None if error is None or before is None else error - before for error in errors)


@dataclass(frozen=True)
class ColorTable:
    """Colours and their errors.

    Args:
        title: what is measured, in a few words.
        conditions: the conditions beside the baseline.
        rows: a colour each, with one `Edited` a condition, in their order.

    Raises:
        ShapeError: a row has more or fewer conditions than the table.
    """

    title: str
    conditions: tuple[str, ...]
    rows: tuple[ColorRow, ...]

    def __post_init__(self) -> None:
        for row in self.rows:
            asked, came = len(self.conditions), len(row.edited)
            if came != asked:
                raise ShapeError(f"each row takes the table's {asked} conditions; {row.name!r} has {came}.")

    @classmethod
    def of(
        cls,
        results: Mapping[str, Any],
        colors: Mapping[str, Channels],
        outputs: Mapping[str, Mapping[str, Channels]] | None = None,
        *,
        title: str = "",
    ) -> "ColorTable":
        """The table of one run.

        Args:
            results: the content of its `results.json`.
            colors: the colours to show by name, in the order of the rows; sRGB `[3]` in [0, 1].
            outputs: what each condition draws of each colour, sRGB `[3]`; the baseline has no swatches.
            title: in place of one that names the recipe and the seed, which stands where it is empty.

        Raises:
            UnknownNameError: there is no baseline, no condition measured a colour, or the outputs are of a
                condition that the results do not hold.
            ShapeError: a colour has not three channels.
        """
        errors = {name: measured["named_colors"] for name, measured in results["conditions"].items()}
        outputs = outputs or {}
        for condition in (BASELINE, *outputs):
            if condition not in errors:
                raise UnknownNameError(condition, errors, "among the conditions of the results")
        known = dict.fromkeys(name for measured in errors.values() for name in measured)
        conditions = tuple(name for name in errors if name != BASELINE)
        rows = []
        for name, rgb in colors.items():
            if name not in known:
                raise UnknownNameError(name, known, "among the measured colours")
            edited = []
            for condition in conditions:
                drawn = outputs.get(condition, {}).get(name)
                error = errors[condition].get(name)
                edited.append(Edited(error, None if drawn is None else _rgb(name, drawn)))
            rows.append(ColorRow(name, _rgb(name, rgb), errors[BASELINE].get(name), tuple(edited)))
        title = title or f"recipe {results['recipe']}, seed {results['seed']}: error of each colour"
        return cls(title, conditions, tuple(rows))


def as_rich(table: ColorTable, *, differences_only: bool = False) -> Table:
    """For a terminal; a swatch is two blocks of true colour. `differences_only` leaves the edited errors out."""
    shown = Table(title=Text(table.title), header_style="dim", box=None, pad_edge=False)
    for index, heading in enumerate(_headings(table, differences_only)):
        shown.add_column(Text(heading), justify="right" if index else "left", overflow="fold")
    for cells in _cells(table, differences_only):
        blocks = [[("  ", f"on {swatch}"), " "] if swatch else [] for _, swatch in cells]
        shown.add_row(*[Text.assemble(*block, text) for block, (text, _) in zip(blocks, cells, strict=True)])
    return shown


def as_html(table: ColorTable, *, differences_only: bool = False) -> str:
    """A fragment that looks right on light and dark pages alike. `differences_only` leaves the edited errors out."""
    headings, rows = _headings(table, differences_only), _cells(table, differences_only)
    return _HTML.render(title=table.title, headings=headings, rows=rows)


def as_markdown(table: ColorTable, *, differences_only: bool = False) -> str:
    """A GitHub table; a swatch is its hexadecimal code. `differences_only` leaves the edited errors out."""
    headings = _headings(table, differences_only)
    rows = [
        [(f"`{swatch}` " if swatch else "") + _in_markdown(text) for text, swatch in cells]
        for cells in _cells(table, differences_only)
    ]
    lines = [map(_in_markdown, headings), [":--", *["--:"] * (len(headings) - 1)], *rows]
    return f"**{_in_markdown(table.title)}**\n\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines)


def as_latex(table: ColorTable, *, differences_only: bool = False) -> str:
    """A table for booktabs and xcolor. `differences_only` leaves the edited errors out."""
    headings = _headings(table, differences_only)
    rows = ""
    for cells in _cells(table, differences_only):
        texts = [_in_latex(cells[0][0]), *(_number_in_latex(text) for text, _ in cells[1:])]
        swatches = [rf"\exciseswatch{{{swatch[1:].upper()}}} " if swatch else "" for _, swatch in cells]
        rows += " & ".join(map("".join, zip(swatches, texts, strict=True))) + " \\\\\n"
    return rf"""% Needs \usepackage{{booktabs}} and \usepackage{{xcolor}}.
\begin{{table}}
\newcommand{{\exciseswatch}}[1]{{{{\setlength{{\fboxsep}}{{0pt}}%
\fcolorbox[HTML]{{808080}}{{#1}}{{\rule{{0pt}}{{1.2ex}}\rule{{1.4em}}{{0pt}}}}}}}}
\centering\caption{{{_in_latex(table.title)}}}
\begin{{tabular}}{{l{"r" * (len(headings) - 1)}}}
\toprule
{" & ".join(map(_in_latex, headings))} \\
\midrule
{rows}\bottomrule
\end{{tabular}}
\end{{table}}
"""


def _headings(table: ColorTable, differences_only: bool) -> list[str]:
    kinds = ("{}, difference",) if differences_only else ("{}", "{}, difference")
    return ["colour", BASELINE, *(kind.format(name) for name in table.conditions for kind in kinds)]


def _cells(table: ColorTable, differences_only: bool) -> Iterator[list[tuple[str, str | None]]]:
    """For each row the text of each cell, and the "#rrggbb" that stands before it."""
    for row in table.rows:
        cells = [(row.name, _hex(row.rgb)), (_shown(row.baseline), None)]
        for each, difference in zip(row.edited, row.differences, strict=True):
            texts = [_shown(each.error), _shown(difference, signed=True)][differences_only:]
            cells += zip(texts, (_hex(each.rgb), None), strict=False)
        yield cells


def _shown(value: float | None, *, signed: bool = False) -> str:
    if value is None or not math.isfinite(value):
        return number(None)
    text = number(value + 0.0, 3, padded=True)  # Adding 0 turns -0 into 0.
    return f"+{text}" if signed and value > 0 else text


def _rgb(name: str, rgb: Channels) -> Rgb:
    if len(rgb) != 3:
        raise ShapeError(f"a colour has 3 channels; {len(rgb)} came for {name!r}.")
    return float(rgb[0]), float(rgb[1]), float(rgb[2])


def _hex(rgb: Rgb | None) -> str | None:
    if rgb is None or not all(map(math.isfinite, rgb)):
        return None
    return "#" + "".join(f"{round(255 * min(max(channel, 0.0), 1.0)):02x}" for channel in rgb)


_HTML = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True).from_string("""\
{% set line = "padding:.3em .9em .3em 0;border-bottom:1px solid rgb(128 128 128/.4);font-weight:normal" %}
{% set box = "display:inline-block;width:1.6em;height:1em;vertical-align:-.12em;margin-right:.5em;\
border:1px solid rgb(128 128 128/.6);print-color-adjust:exact" %}
<div style="overflow-x:auto" tabindex="0" role="region" aria-label="{{ title }}">
<table style="border-collapse:collapse;font-variant-numeric:tabular-nums">
<caption style="text-align:left">{{ title }}</caption>
<thead><tr>
{% for heading in headings %}
<th scope="col" style="text-align:{{ 'left' if loop.first else 'right' }};{{ line }}">{{ heading }}</th>
{% endfor %}
</tr></thead><tbody>{% for cells in rows %}<tr>
{% for text, swatch in cells %}
<{{ 'th scope="row"' | safe if loop.first else "td" }} style="white-space:nowrap;\
text-align:{{ 'left' if loop.first else 'right' }};{{ line }}">\
{% if swatch %}<span role="img" aria-label="{{ swatch }}" style="{{ box }};background:{{ swatch }}"></span>{% endif %}
{{ text }}</{{ "th" if loop.first else "td" }}>
{% endfor %}</tr>{% endfor %}
</tbody></table></div>
""")


def _in_markdown(text: str) -> str:
    marked = re.sub(r"([\\`*_\[\]|~$#])", r"\\\1", " ".join(text.split()))
    return marked.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


_LATEX = {each: f"\\{each}" for each in "&%$#_{}"} | {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
}  # fmt: skip
"""What has a meaning in LaTeX, or is another glyph in its first font encoding."""


def _in_latex(text: str) -> str:
    return "".join(_LATEX.get(each, each) for each in " ".join(text.split()))


def _number_in_latex(text: str) -> str:
    mantissa, mark, exponent = text.partition("e")
    power = rf"\times10^{{{exponent}}}" if mark else ""
    return text if text == number(None) else f"${mantissa}{power}$"
