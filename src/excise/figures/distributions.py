"""What many seeds gave, each as a dot: one seed proves nothing."""

from collections.abc import Mapping
from textwrap import fill

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from excise.errors import ShapeError
from excise.figures.arrays import finite, labelled
from excise.figures.theme import SMALL, Picture, Theme, log_ticks, new_figure, style
from excise.numerals import number

__all__ = ["seed_strip"]

_FLOOR = 1e-7


def seed_strip(
    values: xr.DataArray,
    rgb: np.ndarray,
    failed: np.ndarray,
    *,
    name: str,
    title: str,
    levels: Mapping[str, float] | None = None,
) -> Picture:
    """The error of each named colour over all seeds: a column a colour, a dot a seed, a bar at the median.

    Args:
        values: errors, dims (seed, color), with the colours' names as coordinates.
        rgb: each colour, `[color, 3]`, sRGB in [0, 1].
        failed: which seeds did not pass, `[seed]` of bool; they are drawn as crosses.
        name: the stem of the picture's files.
        title: a short heading.
        levels: thresholds by their label.

    Raises:
        ShapeError: the dims are others, or colours or seeds do not match.
        SettingError: a value is not finite.
    """
    values = labelled(values, ("seed", "color"), "errors over seeds")
    seeds, colors = values.shape
    if rgb.shape != (colors, 3) or failed.shape != (seeds,) or failed.dtype != bool:
        raise ShapeError(
            f"seed_strip takes a colour {(colors, 3)} for each column and a bool {(seeds,)} for each seed; "
            f"{rgb.shape} and {failed.dtype} {failed.shape} came."
        )
    finite(rgb, "colours of columns")
    errors = values.to_numpy()
    names = [str(color) for color in values["color"].to_numpy()]
    medians = np.median(errors, axis=0)
    most, least = int(medians.argmax()), int(medians.argmin())
    count = int(failed.sum())
    alt = (
        f"{seeds - count} of {seeds} seeds pass every claim. Over all seeds the median error is largest for "
        f"{names[most]} ({number(medians[most])}) and smallest for {names[least]} ({number(medians[least])})."
    )
    caption = (
        "Each dot is one seed, the bar the median. Seeds that fail a claim are drawn as crosses. The scale "
        f"is logarithmic; errors below {number(_FLOOR)} are drawn there."
    )
    drawn = {label: level for label, level in (levels or {}).items() if level > _FLOOR}

    def draw(theme: Theme) -> Figure:
        figure = new_figure(theme, 3.7)
        axes = figure.add_axes((0.1, 0.25, 0.89, 0.73))
        axes.set_facecolor(theme.panel)
        log_ticks(axes)
        spread = np.linspace(-0.28, 0.28, seeds) if seeds > 1 else np.zeros(1)
        x = np.arange(colors) + spread[:, None]
        y = np.maximum(errors, _FLOOR)
        axes.scatter(
            x[~failed].ravel(),
            y[~failed].ravel(),
            s=float(np.clip(500 / seeds, 8, 22)),
            c=np.tile(np.clip(rgb, 0, 1), (seeds - count, 1)),
            edgecolors=theme.muted,
            linewidths=0.4,
            zorder=3,
        )
        axes.scatter(
            x[failed].ravel(),
            y[failed].ravel(),
            s=26,
            marker="x",
            color=theme.warning,
            linewidths=1.4,
            zorder=4,
        )
        # The bar of a single seed would only hide its dot.
        bars = np.arange(colors if seeds > 1 else 0)
        axes.hlines(
            np.maximum(medians, _FLOOR)[: len(bars)],
            bars - 0.4,
            bars + 0.4,
            color=theme.ink,
            linewidth=1.6,
            zorder=5,
        )
        for label, level in drawn.items():
            axes.axhline(level, color=theme.ink, linewidth=0.8, dashes=(4, 3))
            axes.annotate(
                label, (1, level), xycoords=("axes fraction", "data"), xytext=(-4, 2),
                textcoords="offset points", ha="right", color=theme.ink, fontsize=SMALL,
            )  # fmt: skip
        axes.set_xlim(-0.6, colors - 0.4)
        axes.set_ylim(float(y.min()) / 1.6, max(float(y.max()), *drawn.values(), 0.0) * 2)
        axes.set_xticks(
            range(colors), [fill(each, 14) for each in names], rotation=50, ha="right", rotation_mode="anchor"
        )
        axes.set_ylabel("error", labelpad=2)
        style(axes, theme)
        return figure

    return Picture(name, title, alt, caption, draw)
