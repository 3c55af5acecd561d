"""Errors of many colours as curves that wear the colours they measure."""

from collections.abc import Mapping

import numpy as np
import xarray as xr
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.path import Path

from excise.errors import ShapeError
from excise.figures.theme import FONT_SIZE, Picture, Theme, new_figure, style

__all__ = ["error_curves"]

_LABELS = {"h": "hue (degrees)", "s": "saturation", "v": "value"}
_UNITS = {"h": 360.0}


def error_curves(
    error: xr.DataArray, rgb: xr.DataArray, *, name: str, title: str, levels: Mapping[str, float] | None = None
) -> Picture:
    """Three panels with one y axis: the error against each of three coordinates, the first of them wide.

    Each line holds two coordinates and follows the third; each of its segments has the colour that it measures.

    Args:
        error: one value a colour, three dims with coordinates, such as (h, s, v).
        rgb: the colours, sRGB in [0, 1]: the same dims and `channel`.
        name: the stem of the picture's files.
        title: a short heading.
        levels: reference levels by their label; those far above the data are left out.

    Raises:
        ShapeError: not three dims, or colours of another shape.
    """
    dims = tuple(str(dim) for dim in error.dims)
    if len(dims) != 3 or tuple(rgb.dims) != (*dims, "channel") or rgb.shape != (*error.shape, 3):
        raise ShapeError(
            f"error_curves takes errors of three dims and colours of the same and channel; "
            f"{dict(error.sizes)} and {dict(rgb.sizes)} came."
        )
    worst = error.isel(error.argmax(...))  # pyright: ignore[reportArgumentType]
    place = ", ".join(
        f"{_LABELS.get(dim, dim).split(' ')[0]} {float(worst[dim]) * _UNITS.get(dim, 1):.3g}" for dim in dims
    )
    alt = (
        f"The largest error shown is {float(worst):.2g}, at {place}; the median is {float(error.median()):.2g} and "
        f"{float((error < 0.05).mean()):.0%} of the colours stay below 0.05."
    )
    caption = (
        "Reconstruction error (mean squared, a channel) against each coordinate. Each line segment has the true "
        "colour whose error it shows; the three panels share one scale."
    )
    top = float(error.max()) * 1.08 or 1e-6
    lines = {dim: _lines(error, rgb, dim, _UNITS.get(dim, 1.0)) for dim in dims}

    def draw(theme: Theme) -> Figure:
        figure = new_figure(theme, 3.3)
        rectangles = ((0.075, 0.15, 0.5, 0.8), (0.605, 0.15, 0.17, 0.8), (0.81, 0.15, 0.17, 0.8))
        first = None
        for dim, rectangle in zip(dims, rectangles, strict=True):
            axes = figure.add_axes(rectangle, sharey=first)
            axes.set_facecolor(theme.panel)
            unit = _UNITS.get(dim, 1.0)
            paths, colors = lines[dim]
            axes.add_collection(
                PathCollection(paths, facecolors="none", edgecolors=colors, linewidths=0.9, capstyle="round"),
                autolim=False,
            )
            low, high = float(error[dim].min()) * unit, float(error[dim].max()) * unit
            axes.set_xlim(low, high)
            axes.set_ylim(0, top)
            ticks = np.linspace(low, high, 7 if first is None else 3)
            axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
            style(axes, theme)
            axes.set_xlabel(_LABELS.get(dim, dim), labelpad=2)
            if first is None:
                axes.set_ylabel("error", labelpad=3)
                first = axes
                axes.ticklabel_format(axis="y", scilimits=(-2, 3))
                axes.yaxis.offsetText.set(color=theme.muted, fontsize=FONT_SIZE - 1.5)
            else:
                axes.tick_params(labelleft=False)
            for label, level in (levels or {}).items():
                if level <= top:
                    axes.axhline(level, color=theme.ink, linewidth=0.8, dashes=(4, 3))
                    if axes is first:
                        axes.annotate(
                            label, (1, level), xycoords=("axes fraction", "data"), xytext=(-3, 2),
                            textcoords="offset points", ha="right", color=theme.ink, fontsize=FONT_SIZE - 2,
                        )  # fmt: skip
        return figure

    return Picture(name, title, alt, caption, draw)


def _lines(error: xr.DataArray, rgb: xr.DataArray, dim: str, unit: float) -> tuple[list[Path], np.ndarray]:
    """Every segment of the lines along one dim, and the colour of each; the worst lines come last, on top."""
    values = error.transpose(..., dim).to_numpy().reshape(-1, error.sizes[dim])
    colors = rgb.transpose(..., dim, "channel").to_numpy().reshape(*values.shape, 3)
    order = np.argsort(values.max(axis=1), kind="stable")
    values, colors = values[order], colors[order]
    x = np.broadcast_to(error[dim].to_numpy() * unit, values.shape)
    points = np.stack([x, values], axis=-1)
    segments = np.stack([points[:, :-1], points[:, 1:]], axis=2).reshape(-1, 2, 2)
    middle = np.clip((colors[:, :-1] + colors[:, 1:]) / 2, 0, 1).reshape(-1, 3)
    return [Path(segment) for segment in segments], middle
