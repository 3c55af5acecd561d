"""Latents on the unit sphere, seen along its axes."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from excise.errors import ShapeError
from excise.figures.theme import WIDTH, Picture, Theme, new_figure, style

__all__ = ["latent_views"]


def latent_views(
    latents: Float[np.ndarray, "sample latent"],
    rgb: Float[np.ndarray, "sample 3"],
    reconstructed: Float[np.ndarray, "sample 3"],
    *,
    views: Sequence[tuple[int, int, int]],
    name: str,
    title: str,
) -> Picture:
    """One panel a view: every sample at the place of its latent, its ring in the colour that the model draws.

    A view (i, j, k) is an orthographic projection: coordinate i runs across, j upward, and k towards the viewer.

    Args:
        latents: on or near the unit sphere, `[sample, latent]`.
        rgb: the true colours, in [0, 1]: the centre of each dot.
        reconstructed: what the model draws, in [0, 1]: its ring.
        views: which coordinates each panel shows.
        name: the stem of the picture's files.
        title: a short heading.

    Raises:
        ShapeError: samples do not match, or a view names a coordinate that the latents lack.
    """
    if not len(latents) == len(rgb) == len(reconstructed):
        raise ShapeError(f"{len(latents)} latents, {len(rgb)} true and {len(reconstructed)} drawn colours came.")
    width = latents.shape[1]
    for view in views:
        if not all(0 <= axis < width for axis in view):
            raise ShapeError(f"view {view} names a coordinate outside the latents' 0 to {width - 1}.")
    lengths = np.sqrt((latents**2).mean(axis=0))
    extent = ", ".join(f"{length:.2f}" for length in lengths)
    difference = float(((rgb - reconstructed) ** 2).mean(axis=1).max())
    alt = (
        f"{len(latents)} latents of {width} coordinates, of root mean square {extent}, in {len(views)} views; where "
        f"ring and centre of a dot differ the colour is lost, at most by {difference:.2g}."
    )
    caption = (
        "Each dot lies at its latent; its centre is the true colour, its ring what the model draws from it. The circle "
        "is the outline of the unit sphere; dots on its far side are smaller."
    )

    def draw(theme: Theme) -> Figure:
        columns = max(3, len(views))
        side = WIDTH / columns
        height = side + 0.1
        figure = new_figure(theme, height)
        for index, view in enumerate(views):
            axes = figure.add_axes(((index + 0.03) / columns, 0.3 / height, 0.94 / columns, 0.94 * side / height))
            _draw_view(axes, theme, latents, rgb, reconstructed, view)
        return figure

    return Picture(name, title, alt, caption, draw)


def _draw_view(
    axes: Axes,
    theme: Theme,
    latents: Float[np.ndarray, "sample latent"],
    rgb: Float[np.ndarray, "sample 3"],
    reconstructed: Float[np.ndarray, "sample 3"],
    view: tuple[int, int, int],
) -> None:
    across, upward, depth = view
    order = np.argsort(latents[:, depth], kind="stable")
    toward = latents[order, depth]
    axes.add_patch(Circle((0, 0), 1, facecolor=theme.panel, edgecolor=theme.hairline, linewidth=0.8, zorder=0))
    axes.scatter(
        latents[order, across],
        latents[order, upward],
        s=8 + 8 * np.clip(toward, -0.7, 1),
        c=np.clip(rgb[order], 0, 1),
        edgecolors=np.clip(reconstructed[order], 0, 1),
        linewidths=1.1,
        clip_on=False,
    )
    axes.set_xlim(-1.06, 1.06)
    axes.set_ylim(-1.06, 1.06)
    axes.set_aspect("equal")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_xlabel(f"{across} across, {upward} up, {depth} towards you", labelpad=2)
    style(axes, theme, frame=())
