"""Errors of many colours as curves that wear the colours they measure."""

from collections.abc import Mapping

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from excise.errors import ShapeError
from excise.figures.arrays import at, labelled, same_places, share
from excise.figures.theme import SMALL, Picture, Theme, new_figure, number_ticks, style
from excise.numerals import number

__all__ = ["draw_errors", "draw_levels", "error_curves", "error_scale"]

_LABELS = {"h": "hue (degrees)", "s": "saturation", "v": "value"}
_UNITS = {"h": 360.0}
_KEPT = 0.05

# A level further above the data would press the curves flat.
_REACH = 1.6


def error_curves(
    error: xr.DataArray,
    rgb: xr.DataArray,
    *,
    name: str,
    title: str,
    levels: Mapping[str, float] | None = None,
) -> Picture:
    """Three panels with one y axis: the error against each of three coordinates, the first of them wide.

    Each line holds two coordinates and follows the third. Around every measured colour the line has that
    colour, half the way to its neighbours.

    Args:
        error: one value a colour, three dims with coordinates, such as (h, s, v); h is in turns.
        rgb: the colours, sRGB in [0, 1]: the same dims and `channel`.
        name: the stem of the picture's files.
        title: a short heading.
        levels: reference levels by their label; those above 1.6 times the largest error are left out.

    Raises:
        ShapeError: not three dims, or colours of another shape or at other coordinates.
        SettingError: a value is not finite.
    """
    dims = tuple(str(dim) for dim in error.dims)
    if len(dims) != 3:
        raise ShapeError(f"error_curves takes errors of three dims; {dict(error.sizes)} came.")
    error = labelled(error, dims, "errors")
    rgb = labelled(rgb, (*dims, "channel"), "colours of errors")
    if rgb.sizes["channel"] != 3:
        raise ShapeError(f"colours of errors have 3 channels; {rgb.sizes['channel']} came.")
    same_places(error, rgb, "errors and their colours")

    values = error.to_numpy()
    largest = float(values.max())
    indices = dict(zip(dims, np.unravel_index(values.argmax(), values.shape), strict=True))
    place = ", ".join(
        at(_LABELS.get(dim, dim), float(error[dim][indices[dim]]) * _UNITS.get(dim, 1)) for dim in dims
    )
    lost = int((values > _KEPT).sum())
    alt = (
        f"The largest error shown is {number(largest)}, at {place}; "
        f"the median is {number(float(np.median(values)))}. "
        f"Of {values.size} colours {share(lost, values.size)} "
        f"{'has' if lost == 1 else 'have'} an error above {_KEPT}."
    )
    caption = (
        "Reconstruction error (mean squared, a channel) against each coordinate. A line holds the two other "
        "coordinates and has the true colour whose error it shows; the three panels share one scale."
    )
    drawn, top = error_scale(largest, levels or {})

    def draw(theme: Theme) -> Figure:
        figure = new_figure(theme, 3.1)
        rectangles = ((0.1, 0.165, 0.46, 0.8), (0.6, 0.165, 0.175, 0.8), (0.815, 0.165, 0.175, 0.8))
        for index, (dim, rectangle) in enumerate(zip(dims, rectangles, strict=True)):
            axes = figure.add_axes(rectangle)
            draw_errors(axes, theme, error, rgb, dim, top=top, ticks=7 if index == 0 else 3)
            if index == 0:
                axes.set_ylabel("error", labelpad=3)
            else:
                axes.tick_params(labelleft=False)
            draw_levels(axes, theme, drawn, values if index == 0 else None)
        return figure

    return Picture(name, title, alt, caption, draw)


def error_scale(largest: float, levels: Mapping[str, float]) -> tuple[dict[str, float], float]:
    """The levels that are near enough to be drawn, and the top of the scale that errors and levels share."""
    drawn = {label: level for label, level in levels.items() if level <= _REACH * largest}
    return drawn, max(largest, *drawn.values()) * 1.08 if drawn else largest * 1.08 or 1e-6


def draw_errors(
    axes: Axes, theme: Theme, error: xr.DataArray, rgb: xr.DataArray, dim: str, *, top: float, ticks: int
) -> None:
    """One panel of `error_curves`: errors against the coordinate `dim`, on a scale from 0 to `top`.

    Args:
        axes: already in its place.
        theme: the colours of the page.
        error: finite, any dims among them `dim`.
        rgb: the colours: the same dims and `channel`.
        dim: what runs across.
        top: the upper end of the scale.
        ticks: how many, between the lowest and the highest coordinate.
    """
    axes.set_facecolor(theme.panel)
    unit = _UNITS.get(dim, 1.0)
    pieces, colors = _pieces(error, rgb, dim, unit)
    axes.add_collection(
        LineCollection(list(pieces), colors=colors, linewidths=0.9, capstyle="round"),
        autolim=False,
    )
    _scale(axes, error[dim].to_numpy() * unit, top, ticks)
    style(axes, theme)
    axes.set_xlabel(_LABELS.get(dim, dim), labelpad=2)


def draw_levels(axes: Axes, theme: Theme, levels: Mapping[str, float], errors: np.ndarray | None) -> None:
    """Reference levels as dashed lines; their labels where they hide the fewest of `errors`, or none.

    Args:
        axes: with its scale set.
        theme: the colours of the page.
        levels: by label.
        errors: what is drawn, `[across, ...]`, its first dim along the axes; None leaves the labels out.
    """
    for label, level in levels.items():
        axes.axhline(level, color=theme.ink, linewidth=0.8, dashes=(4, 3))
        if errors is not None:
            axes.annotate(
                label, (_clearest(errors, level), level), xycoords=("axes fraction", "data"),
                xytext=(0, 2), textcoords="offset points", ha="center", color=theme.ink,
                fontsize=SMALL, path_effects=[withStroke(linewidth=2.5, foreground=theme.panel)],
            )  # fmt: skip


def _scale(axes: Axes, x: np.ndarray, top: float, ticks: int) -> None:
    low, high = float(x.min()), float(x.max())
    # The room at both sides keeps the outermost lines whole; a single place needs room to be somewhere in.
    room = 0.012 * (high - low) or 0.5
    axes.set_xlim(low - room, high + room)
    axes.set_ylim(0, top)
    places = np.linspace(low, high, ticks) if high > low else np.array([low])
    axes.set_xticks(places, [number(float(place), 3) for place in places])
    number_ticks(axes)


def _clearest(values: np.ndarray, level: float) -> float:
    """Where along the first panel, as a fraction of it, a label above `level` hides the fewest errors."""
    reach = values.max(axis=(1, 2)) > level * 0.95
    where = np.linspace(0, 1, len(reach))
    hidden = {middle: int(reach[abs(where - middle) < 0.2].sum()) for middle in (0.5, 0.29, 0.71)}
    return min(hidden, key=lambda middle: hidden[middle])


def _pieces(error: xr.DataArray, rgb: xr.DataArray, dim: str, unit: float) -> tuple[np.ndarray, np.ndarray]:
    """For every measured colour the piece of line around it, `[piece, 3 points, 2]`, and the colour itself.

    The pieces of a line follow one another; the lines with the largest errors come last, on top.
    """
    values = error.transpose(..., dim).to_numpy().reshape(-1, error.sizes[dim])
    colors = rgb.transpose(..., dim, "channel").to_numpy().reshape(*values.shape, 3)
    order = np.argsort(values.max(axis=1), kind="stable")
    values, colors = values[order], colors[order]
    points = np.stack([np.broadcast_to(error[dim].to_numpy() * unit, values.shape), values], axis=-1)
    middles = (points[:, :-1] + points[:, 1:]) / 2
    before = np.concatenate([points[:, :1], middles], axis=1)
    after = np.concatenate([middles, points[:, -1:]], axis=1)
    pieces = np.stack([before, points, after], axis=2).reshape(-1, 3, 2)
    return pieces, np.clip(colors, 0, 1).reshape(-1, 3)
