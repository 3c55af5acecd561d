"""What many seeds gave, each as a dot: one seed proves nothing."""

from collections.abc import Mapping

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float
from matplotlib.figure import Figure

from excise.errors import ShapeError
from excise.figures.theme import FONT_SIZE, Picture, Theme, new_figure, style

__all__ = ["seed_strip"]


def seed_strip(
    values: xr.DataArray,
    rgb: Float[np.ndarray, "color 3"],
    failed: Bool[np.ndarray, " seed"],
    *,
    name: str,
    title: str,
    levels: Mapping[str, float] | None = None,
) -> Picture:
    """The error of each named colour over all seeds: a column a colour, a dot a seed, a bar at the median.

    Args:
        values: errors, dims (seed, color), with coordinates.
        rgb: each colour, sRGB in [0, 1].
        failed: which seeds did not pass; they are drawn as crosses.
        name: the stem of the picture's files.
        title: a short heading.
        levels: thresholds by their label.

    Raises:
        ShapeError: the dims are others, or colours or seeds do not match.
    """
    if values.dims != ("seed", "color") or len(rgb) != values.sizes["color"] or len(failed) != values.sizes["seed"]:
        raise ShapeError(
            f"seed_strip takes dims (seed, color) with a colour and a verdict each; {dict(values.sizes)}, "
            f"{len(rgb)} colours and {len(failed)} verdicts came."
        )
    medians = values.median("seed")
    most, least = medians.idxmax(), medians.idxmin()
    count = int(failed.sum())
    alt = (
        f"{len(failed) - count} of {len(failed)} seeds pass every claim. Over all seeds the median error is largest for "
        f"{most.item()} ({float(medians.max()):.2g}) and smallest for {least.item()} ({float(medians.min()):.2g})."
    )
    caption = "Each dot is one seed, the bar the median. Seeds that fail a claim are drawn as crosses."

    def draw(theme: Theme) -> Figure:
        figure = new_figure(theme, 3.6)
        axes = figure.add_axes((0.075, 0.21, 0.915, 0.75))
        axes.set_facecolor(theme.panel)
        seeds = values.sizes["seed"]
        spread = np.linspace(-0.26, 0.26, seeds) if seeds > 1 else np.zeros(1)
        for index, color in enumerate(np.clip(rgb, 0, 1)):
            column = values.isel(color=index).to_numpy()
            x = index + spread
            axes.scatter(
                x[~failed], column[~failed], s=20, color=[color], edgecolors=theme.hairline, linewidths=0.5, zorder=3
            )
            axes.scatter(x[failed], column[failed], s=26, marker="x", color=theme.warning, linewidths=1.3, zorder=4)
            axes.plot([index - 0.36, index + 0.36], [medians[index]] * 2, color=theme.ink, linewidth=1.4, zorder=5)
        for label, level in (levels or {}).items():
            axes.axhline(level, color=theme.ink, linewidth=0.8, dashes=(4, 3))
            axes.annotate(
                label, (1, level), xycoords=("axes fraction", "data"), xytext=(-4, 2), textcoords="offset points",
                ha="right", color=theme.ink, fontsize=FONT_SIZE - 2,
            )  # fmt: skip
        axes.set_xlim(-0.6, len(rgb) - 0.4)
        axes.set_ylim(0, None)
        names = [str(color) for color in values["color"].to_numpy()]
        axes.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
        axes.set_ylabel("error")
        style(axes, theme)
        return figure

    return Picture(name, title, alt, caption, draw)
