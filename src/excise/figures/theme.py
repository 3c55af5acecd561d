"""Two looks for every picture, one for a light page and one for a dark, and the picture itself.

A `Picture` is drawn twice, once a theme, with the same data; nothing about colours of the page is known elsewhere.
Figures are made with matplotlib's objects, never with pyplot, so nothing global changes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from excise.runs.files import write_atomically

__all__ = ["DARK", "DPI", "LIGHT", "THEMES", "Picture", "Theme", "new_figure"]

DPI = 150
"""Pixels an inch: pictures are 8.4 inches wide, 1260 pixels, sharp at 900 CSS pixels and above."""

WIDTH = 8.4

FONT_SIZE = 9.5


@dataclass(frozen=True)
class Theme:
    """The colours of a page.

    Attributes:
        name: "light" or "dark".
        page: behind everything.
        panel: behind curves that may themselves be white or black.
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
    panel="#e4e3df",
    ink="#1d1d1f",
    muted="#5c5c61",
    hairline="#b9b8b3",
    accents=("#1d1d1f", "#0067a8", "#b2500a", "#007a58", "#9a3f83", "#7a6a00", "#6b4fb3"),
    warning="#b3261e",
)

DARK = Theme(
    name="dark",
    page="#17181b",
    panel="#303238",
    ink="#ededee",
    muted="#a6a7ad",
    hairline="#54565d",
    accents=("#ededee", "#6bb8f0", "#f09a55", "#4fcba2", "#e38fce", "#d9c64f", "#b5a0f0"),
    warning="#ff8a80",
)

THEMES = (LIGHT, DARK)


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

        The same data gives the same bytes.

        Raises:
            RunError: a file cannot be written.
        """
        paths = (folder / f"{self.name}.png", folder / f"{self.name}.dark.png")
        for path, theme in zip(paths, THEMES, strict=True):
            figure = self.draw(theme)
            write_atomically(
                path,
                lambda temporary, figure=figure: figure.savefig(
                    temporary,
                    format="png",
                    dpi=DPI,
                    facecolor=figure.get_facecolor(),
                    metadata={"Software": None},
                    pil_kwargs={"compress_level": 3},
                ),
            )
        return paths


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
    axes.tick_params(colors=theme.muted, labelsize=FONT_SIZE - 1.5, length=2.5, width=0.8, pad=3)
    axes.tick_params(which="minor", length=0)
    axes.xaxis.label.set(color=theme.muted, fontsize=FONT_SIZE - 0.5)
    axes.yaxis.label.set(color=theme.muted, fontsize=FONT_SIZE - 0.5)
