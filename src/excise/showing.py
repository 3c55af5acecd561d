"""How results show themselves in a notebook: tables, curves and pictures as HTML, for light and dark pages.

Jupyter, marimo, Colab and VS Code ask an object for `_repr_html_`. What they get from here takes its colours from
the page (`currentColor`), so that it fits whatever theme that has; a picture that comes in two versions shows the one
of the page. All text is escaped, every drawing has an alternative text, and long tables fold.
"""

import base64
from collections.abc import Iterable, Sequence
from html import escape

import numpy as np

from excise.numerals import number

__all__ = ["Html", "block", "curve", "curves", "facts", "picture", "table"]

_POINTS = 160
"""How many points a curve is drawn with at most: more of them than its pixels show nothing more."""

_SHOWN = 12
"""Rows a table shows before it folds."""

_STYLE = """
<style>
.excise { font-size: .9em; line-height: 1.45; max-width: 60rem; }
.excise table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .4em 0; }
.excise th, .excise td { text-align: left; padding: .15em 1em .15em 0; vertical-align: middle;
  border-bottom: 1px solid color-mix(in srgb, currentColor 18%, transparent); background: none; }
.excise th { font-weight: 400; } .excise thead th { opacity: .72; font-weight: 500; }
.excise .n { text-align: right; white-space: nowrap; }
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
    content = text if isinstance(text, Html) else escape(text)
    return f"<{tag}{' class=n' if numeric else ''}>{content}</{tag}>"
