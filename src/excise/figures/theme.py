"""Two looks for every picture, one for a light page and one for a dark, and the picture itself.

A `Picture` is drawn twice, once a theme, with the same data; the colours of the page are known nowhere else.
Figures are made with matplotlib's objects, never with pyplot.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Literal

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from excise.numerals import number
from excise.record.files import write_atomically
from excise.showing import block, picture

__all__ = [
    "DARK",
    "DPI",
    "LIGHT",
    "THEMES",
    "Picture",
    "Theme",
    "log_ticks",
    "new_figure",
    "number_ticks",
    "style",
]

DPI = 150
"""Pixels an inch: pictures are 7.2 inches wide, 1080 pixels."""

WIDTH = 7.2

TEXT = 10.0
"""Points. On a page 900 CSS pixels wide this is 17 of them, on a phone of 390 it is still 7.5."""

SMALL = 9.0


@dataclass(frozen=True)
class Theme:
    """The colours of a page.

    Attributes:
        name: "light" or "dark".
        page: behind everything.
        panel: behind curves and dots that may themselves be white or black; both can be told from it.
        ink: text and the lines that matter.
        muted: text of ticks, and what matters less.
        hairline: frames and grids.
        accents: for series that have no colour of their own, told apart by all kinds of colour vision.
        warning: what failed.
    """

    name: Literal["light", "dark"]
    page: str
    panel: str
    ink: str
    muted: str
    hairline: str
    accents: tuple[str, ...]
    warning: str


LIGHT = Theme(
    name="light",
    page="#fdfdfc",
    panel="#dad9d4",
    ink="#1d1d1f",
    muted="#5c5c61",
    hairline="#b0afaa",
    accents=("#1d1d1f", "#0067a8", "#b2500a", "#007a58", "#9a3f83", "#7a6a00", "#6b4fb3"),
    warning="#a8201a",
)

DARK = Theme(
    name="dark",
    page="#17181b",
    panel="#3d3f46",
    ink="#ededee",
    muted="#a6a7ad",
    hairline="#5d5f67",
    accents=("#ededee", "#6bb8f0", "#f09a55", "#4fcba2", "#e38fce", "#d9c64f", "#b5a0f0"),
    warning="#ff9a90",
)

THEMES = (LIGHT, DARK)

# matplotlib's settings are one global dict: two threads that exchange it in turn would leave the wrong one.
_SETTINGS = threading.Lock()


@dataclass(frozen=True)
class Picture:
    """A figure before it is drawn.

    Attributes:
        name: the stem of its files.
        title: a short heading.
        alt: the takeaway in a sentence or two, built from the measured values.
        caption: how to read it.
        draw: makes the matplotlib figure in a theme.
    """

    name: str
    title: str
    alt: str
    caption: str
    draw: Callable[[Theme], Figure]

    def save(self, folder: Path) -> tuple[Path, Path]:
        """Draw it in both themes: `name.png` for a light page, `name.dark.png` for a dark one.

        The same data gives the same bytes, whatever matplotlib's global settings are; they are left as they
        were.

        Raises:
            RunError: a file cannot be written.
        """
        paths = (folder / f"{self.name}.png", folder / f"{self.name}.dark.png")
        for path, theme in zip(paths, THEMES, strict=True):
            content = self.png(theme)
            write_atomically(path, lambda temporary, content=content: temporary.write_bytes(content))
        return paths

    def png(self, theme: Theme) -> bytes:
        """The picture for a page of that theme, as the content of a PNG file."""
        content = BytesIO()
        with _SETTINGS, matplotlib.style.context(["default", {"text.parse_math": False}]):
            figure = self.draw(theme)
            figure.savefig(
                content,
                format="png",
                dpi=DPI,
                facecolor=figure.get_facecolor(),
                metadata={"Software": None},
                pil_kwargs={"compress_level": 3},
            )
        return content.getvalue()

    def _repr_html_(self) -> str:
        return block(self.title, picture(self.png(LIGHT), self.png(DARK), self.alt), self.caption)


def new_figure(theme: Theme, height: float) -> Figure:
    """An empty figure of the common width, `height` inches high, on the theme's page."""
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, facecolor=theme.page)
    FigureCanvasAgg(figure)
    return figure


def style(axes: Axes, theme: Theme, *, frame: tuple[str, ...] = ("left", "bottom")) -> None:
    """Give axes the theme's ink, and only the sides of the frame that are named; call it last."""
    axes.patch.set_alpha(1 if axes.get_facecolor() == to_rgba(theme.panel) else 0)
    for side, spine in axes.spines.items():
        spine.set_visible(side in frame)
        spine.set_color(theme.hairline)
        spine.set_linewidth(0.8)
    axes.tick_params(colors=theme.muted, labelsize=SMALL, length=2.5, width=0.8, pad=3)
    axes.tick_params(which="minor", length=0)
    axes.xaxis.label.set(color=theme.muted, fontsize=TEXT)
    axes.yaxis.label.set(color=theme.muted, fontsize=TEXT)


def number_ticks(axes: Axes) -> None:
    """Few ticks on a linear y axis whose limits are set; small numbers are short ("5e-4")."""
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    small = max(map(abs, axes.get_ylim())) < 0.01

    def text(value: float, _: int | None) -> str:
        if not small or value == 0:
            return number(value, 4)
        mantissa, exponent = f"{value:.2e}".split("e")
        return f"{float(mantissa):g}e{int(exponent)}"

    axes.yaxis.set_major_formatter(FuncFormatter(text))


def log_ticks(axes: Axes) -> None:
    """Make the y axis logarithmic, its ticks plain numbers: superscripts would be lost on a small screen."""
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
    axes.yaxis.set_major_locator(LogLocator(numticks=6))
    axes.yaxis.set_minor_locator(NullLocator())
