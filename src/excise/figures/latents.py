"""Latents on the unit sphere, seen along its axes."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from matplotlib.path import Path

from excise.errors import ShapeError
from excise.figures.arrays import finite
from excise.figures.theme import TEXT, WIDTH, Picture, Theme, new_figure, style
from excise.numerals import number

__all__ = ["draw_view", "latent_views", "reach_in_words"]

# At the size of a dot an octagon is a circle, and is drawn in half the time.
_DOT = Path.unit_regular_polygon(8)

_PER_LINE = 3


def latent_views(
    latents: np.ndarray,
    rgb: np.ndarray,
    reconstructed: np.ndarray,
    *,
    views: Sequence[tuple[int, ...]],
    name: str,
    title: str,
) -> Picture:
    """One panel a view: every sample at the place of its latent, its ring in the colour that the model draws.

    A view (i, j, k) is an orthographic projection: coordinate i runs across, j upward, k towards the viewer.

    Args:
        latents: on or near the unit sphere, `[sample, latent]`.
        rgb: the true colours, `[sample, 3]` in [0, 1]: the centre of each dot.
        reconstructed: what the model draws, `[sample, 3]` in [0, 1]: its ring.
        views: which coordinates each panel shows, counted from 0.
        name: the stem of the picture's files.
        title: a short heading.

    Raises:
        ShapeError: samples do not match, or a view names a coordinate that the latents lack.
        SettingError: a value is not finite.
    """
    _check(latents, rgb, reconstructed, views)
    error = ((rgb - reconstructed) ** 2).mean(axis=1)
    alt = (
        f"Drawn back from its latent, the worst of {len(latents)} colours has an error of "
        f"{number(float(error.max()))}, the median colour {number(float(np.median(error)))}. "
        f"{reach_in_words(latents)}"
    )
    caption = (
        "Each dot lies at its latent; its centre is the true colour, its ring what the model draws from it. "
        "The circle is the outline of the unit sphere; dots on its far side are smaller."
    )

    def draw(theme: Theme) -> Figure:
        columns = min(max(len(views), 2), _PER_LINE)
        rows = -(-len(views) // columns)
        side = WIDTH / columns
        height = side + 0.2
        figure = new_figure(theme, rows * height)
        for index, view in enumerate(views):
            row, column = divmod(index, columns)
            left, bottom = (column + 0.1) * side, (rows - 1 - row) * height + 0.26
            axes = figure.add_axes(
                (left / WIDTH, bottom / (rows * height), 0.87 * side / WIDTH, 0.87 * side / (rows * height))
            )
            draw_view(axes, theme, latents, (rgb, reconstructed), view)
        return figure

    return Picture(name, title, alt, caption, draw)


def _check(
    latents: np.ndarray, rgb: np.ndarray, reconstructed: np.ndarray, views: Sequence[tuple[int, ...]]
) -> None:
    if latents.ndim != 2 or 0 in latents.shape:
        raise ShapeError(f"latents are [sample, latent] with at least one of each; {latents.shape} came.")
    samples, width = latents.shape
    for what, colors in (("true", rgb), ("reconstructed", reconstructed)):
        if colors.shape != (samples, 3):
            raise ShapeError(
                f"the {what} colours are [sample, 3], here {(samples, 3)} as there are {samples} latents; "
                f"{colors.shape} came."
            )
    if not views:
        raise ShapeError("latent_views takes at least one view, such as (0, 1, 2); none came.")
    for view in views:
        if len(view) != 3 or not all(0 <= axis < width for axis in view):
            raise ShapeError(
                f"a view names three coordinates of the latents, each from 0 to {width - 1}; {view} came."
            )
    finite(latents, "latents")
    finite(rgb, "true colours")
    finite(reconstructed, "reconstructed colours")


def reach_in_words(latents: np.ndarray) -> str:
    """Along which coordinates latents `[sample, latent]` reach furthest and least, as a sentence."""
    lengths = np.sqrt((latents**2).mean(axis=0))
    most, least = int(lengths.argmax()), int(lengths.argmin())
    return (
        f"The latents reach furthest along coordinate {most} (root mean square {lengths[most]:.2f}) and "
        f"least along {least} ({lengths[least]:.2f})."
    )


def draw_view(
    axes: Axes,
    theme: Theme,
    latents: np.ndarray,
    colors: tuple[np.ndarray, np.ndarray],
    view: tuple[int, ...],
) -> None:
    """One view of the latents, as `latent_views` describes it, in axes that are already in their place.

    Args:
        axes: square; the size of the dots follows its width.
        theme: the colours of the page.
        latents: `[sample, latent]`.
        colors: the true and the reconstructed colours, each `[sample, 3]`.
        view: the coordinates that run across, upward and towards the viewer.
    """
    true, reconstructed = (np.clip(values, 0, 1) for values in colors)
    across, upward, depth = view
    order = np.argsort(latents[:, depth], kind="stable")
    # 8,000 dots just touch in a panel of a third of the width; fewer are larger, up to three times as wide.
    room = axes.get_position().width / 0.29
    scale = room * float(np.clip(np.sqrt(8000 / len(latents)), 0.8, 3))
    diameter = scale * (2.6 + 0.9 * np.clip(latents[order, depth], -1, 0.7))
    axes.add_patch(
        Circle((0, 0), 1, facecolor=theme.panel, edgecolor=theme.hairline, linewidth=0.8, zorder=0)
    )
    axes.scatter(
        latents[order, across],
        latents[order, upward],
        s=diameter**2,
        c=true[order],
        edgecolors=reconstructed[order],  # pyright: ignore[reportArgumentType] - the stub lacks arrays
        linewidths=0.6 * scale,
        marker=_DOT,
        joinstyle="bevel",
        clip_on=False,
    )
    reach = max(1.04, 1.04 * float(np.abs(latents[:, [across, upward]]).max()))
    axes.set_xlim(-reach, reach)
    axes.set_ylim(-reach, reach)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_xlabel(f"latent {across} →", labelpad=2)
    axes.set_ylabel(f"latent {upward} →", labelpad=2)
    axes.set_title(f"latent {depth} towards you", pad=4, color=theme.ink, fontsize=TEXT)
    style(axes, theme, frame=())
