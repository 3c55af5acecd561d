"""How results show themselves in a notebook: tables, curves and pictures as HTML, for light and dark pages.

Jupyter, marimo, Colab and VS Code ask an object for `_repr_html_`. What they get from here takes its colours from
the page (`currentColor`), so that it fits whatever theme that has; a picture that comes in two versions shows the one
of the page. All text is escaped, every drawing has an alternative text, and long tables fold.
"""

import base64
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from excise.numerals import number

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Frame", "Html", "block", "curve", "curves", "facts", "frame_table", "picture", "table"]

_POINTS = 160
"""How many points a curve is drawn with at most: more of them than its pixels show nothing more."""

_SHOWN = 12
"""Rows a table shows before it folds."""

_SENTENCE = 28
"""Text with more characters than that, and with spaces, gets a column that is wide enough to be read."""

_STYLE = """
<style>
.excise { font-size: .9em; line-height: 1.45; max-width: 60rem; }
.excise table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .4em 0; }
.excise th, .excise td { text-align: left; padding: .15em 1em .15em 0; vertical-align: middle; white-space: nowrap;
  border-bottom: 1px solid color-mix(in srgb, currentColor 18%, transparent); background: none; }
.excise th { font-weight: 400; } .excise thead th { opacity: .72; font-weight: 500; }
.excise .n { text-align: right; } .excise .sentence { white-space: normal; min-width: min(13rem, 34vw); }
.excise .title { font-weight: 600; } .excise .muted { opacity: .72; }
.excise .wide { overflow-x: auto; } .excise summary { cursor: pointer; opacity: .72; }
.excise img { max-width: 100%; height: auto; } .excise img.dark { display: none; }
@media (prefers-color-scheme: dark) { .excise img.dark { display: block; } .excise img.light { display: none; } }
[data-jp-theme-light="false"] .excise img.dark, .dark .excise img.dark, [data-theme="dark"] .excise img.dark,
.vscode-dark .excise img.dark { display: block; }
[data-jp-theme-light="false"] .excise img.light, .dark .excise img.light, [data-theme="dark"] .excise img.light,
.vscode-dark .excise img.light { display: none; }
[data-jp-theme-light="true"] .excise img.light, .light .excise img.light, [data-theme="light"] .excise img.light,
.vscode-light .excise img.light { display: block; }
[data-jp-theme-light="true"] .excise img.dark, .light .excise img.dark, [data-theme="light"] .excise img.dark,
.vscode-light .excise img.dark { display: none; }
</style>
"""


class Html(str):
    """Text that is HTML already; any other is escaped."""

    __slots__ = ()


def block(title: str, *parts: str) -> str:
    """One object as it shows itself: a title and what stands below it."""
    content = "".join(part if isinstance(part, Html) else f"<div>{escape(part)}</div>" for part in parts)
    return f'{_STYLE}<div class="excise"><div class="title">{escape(title)}</div>{content}</div>'


def facts(pairs: Iterable[tuple[str, str]]) -> Html:
    """A line a fact: what it is, and what it is here."""
    return table((), [(name, value) for name, value in pairs])


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: Sequence[int] = ()) -> Html:
    """A table; rows beyond the first dozen are folded away.

    Args:
        headings: of the columns; empty for none.
        rows: the cells, text or `Html`.
        numbers: the columns, from 0, that hold numbers.
    """
    head = ""
    if headings:
        cells = "".join(_cell("th", text, numeric=index in numbers) for index, text in enumerate(headings))
        head = f"<thead><tr>{cells}</tr></thead>"

    def part(shown: Sequence[Sequence[str]]) -> str:
        lines = "".join(
            "<tr>"
            + "".join(
                _cell("td" if index else "th", text, numeric=index in numbers)
                for index, text in enumerate(row)
            )
            + "</tr>"
            for row in shown
        )
        return f'<div class="wide"><table>{head}<tbody>{lines}</tbody></table></div>'

    rest = rows[_SHOWN:]
    more = f"<details><summary>{len(rest)} more</summary>{part(rest)}</details>" if rest else ""
    return Html(part(rows[:_SHOWN]) + more)


@dataclass(frozen=True)
class Frame:
    """A pandas frame that shows itself like everything else here: short numbers, words for truth, long ones folded.

    Attributes:
        values: the frame; an index with a name, or of text, is its first column.
        title: what stands above.
    """

    values: "pd.DataFrame"
    title: str = ""

    def _repr_html_(self) -> str:
        return block(self.title, frame_table(self.values))


def frame_table(values: "pd.DataFrame", *, truth: tuple[str, str] = ("yes", "no")) -> Html:
    """A frame as a table: its index first, truth as a word, numbers short.

    Args:
        values: the frame.
        truth: what stands for True and for False.
    """
    named = any(name is not None for name in values.index.names) or values.index.dtype.kind not in "iu"
    flat = (
        values.rename_axis(index=lambda name: "" if name is None else name).reset_index() if named else values
    )
    numeric = [
        index
        for index, column in enumerate(flat.columns)
        if all(isinstance(value, _NUMBERS) and not isinstance(value, bool) for value in flat[column])
    ]
    rows = [tuple(_text(value, truth) for value in row) for row in flat.itertuples(index=False)]
    return table([str(name) for name in flat.columns], rows, numbers=numeric)


def curve(values: Sequence[float] | np.ndarray, alt: str, *, log: bool = False) -> Html:
    """A small curve over equal steps, in the colour of the text.

    Args:
        values: what is drawn; what is not finite leaves a gap.
        alt: what a reader who does not see it is told.
        log: whether heights are those of logarithms; what is not above 0 leaves a gap.
    """
    heights = np.asarray(values, dtype=float)
    if log:
        heights = np.log10(np.where(heights > 0, heights, np.nan))
    index = np.unique(np.linspace(0, max(len(heights) - 1, 0), _POINTS).astype(int)) if len(heights) else []
    heights = heights[index]
    finite = heights[np.isfinite(heights)]
    low, high = (finite.min(), finite.max()) if len(finite) else (0.0, 0.0)
    scale = 24 / (high - low) if high > low else 0.0
    path, pen = [], "M"
    for x, y in zip(np.linspace(2, 198, len(heights)), heights, strict=True):
        if np.isfinite(y):
            path.append(f"{pen}{x:.1f} {28 - (y - low) * scale if scale else 16:.1f}")
            pen = "L"
        else:
            pen = "M"
    return Html(
        f'<svg role="img" aria-label="{escape(alt)}" viewBox="0 0 200 32" width="200" height="32">'
        f'<path d="{" ".join(path)}" fill="none" stroke="currentColor" stroke-width="1.5"/></svg>'
    )


def curves(columns: Iterable[tuple[str, np.ndarray, bool]], over: str) -> Html:
    """A row a column of numbers: its name, its course, where it begins and ends.

    Args:
        columns: name, values, and whether its course is drawn over logarithms.
        over: what the values run over, such as "step 0 to 3000".
    """
    rows = []
    for name, values, log in columns:
        finite = values[np.isfinite(values)]
        first, last = (float(finite[0]), float(finite[-1])) if len(finite) else (None, None)
        low, high = (float(finite.min()), float(finite.max())) if len(finite) else (None, None)
        alt = (
            f"{name} goes from {number(first)} to {number(last)}, between {number(low)} and {number(high)}, "
            f"over {over}."
        )
        rows.append((name, curve(values, alt, log=log), number(first), number(last), number(high)))
    return table(("", over, "first", "last", "largest"), rows, numbers=(2, 3, 4))


def picture(light: bytes, dark: bytes, alt: str, *, width: int = 720) -> Html:
    """A picture that comes as PNG for a light and for a dark page; the page shows the one that fits it."""
    images = "".join(
        f'<img class="{theme}" width="{width}" alt="{escape(alt)}" src="data:image/png;base64,'
        f'{base64.b64encode(content).decode("ascii")}">'
        for theme, content in (("light", light), ("dark", dark))
    )
    return Html(f"<div>{images}</div>")


def _cell(tag: str, text: str, *, numeric: bool) -> str:
    if isinstance(text, Html):
        return f"<{tag}>{text}</{tag}>"
    kind = "n" if numeric else "sentence" if len(text) > _SENTENCE and " " in text else ""
    return f"<{tag}{f' class={kind}' if kind else ''}>{escape(text)}</{tag}>"


_NUMBERS = (int, float, np.integer, np.floating, type(None))


def _text(value: Any, truth: tuple[str, str]) -> str:  # noqa: ANN401 - a frame holds anything
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool | np.bool_):
        return truth[0] if value else truth[1]
    if isinstance(value, float | np.floating):
        return number(float(value))
    return str(value)
