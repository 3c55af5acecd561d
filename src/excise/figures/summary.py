"""One condition at a glance: its latents, a slice of what it draws, and its errors, one above another."""

from collections.abc import Mapping, Sequence
from textwrap import fill

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from excise.errors import ShapeError
from excise.figures.arrays import same_places
from excise.figures.curves import draw_errors, draw_levels, error_curves, error_scale
from excise.figures.latents import draw_view, latent_views, reach_in_words
from excise.figures.slices import cell_ticks, colors_of, draw_slice
from excise.figures.theme import DPI, TEXT, WIDTH, Picture, Theme, new_figure, style

__all__ = ["condition_summary"]

# Pixels, as cells are whole pixels wide. The three rows, from below: errors, a slice, two views.
_WIDTH, _LEFT, _SHARED = round(WIDTH * DPI), 108, 950
_ERRORS, _SLICE, _VIEW = 300, 210, 420
_FOOT, _GAP, _BETWEEN, _HEAD = 62, 40, 68, 34


def condition_summary(
    latents: np.ndarray,
    rgb: np.ndarray,
    reconstructed: np.ndarray,
    *,
    true: xr.DataArray,
    predicted: xr.DataArray,
    error: xr.DataArray,
    error_rgb: xr.DataArray,
    views: Sequence[tuple[int, ...]],
    name: str,
    title: str,
    levels: Mapping[str, float] | None = None,
    slice_label: str = "",
    across: str = "h",
    upward: str = "v",
    upward_label: str = "value",
    across_unit: float = 360.0,
) -> Picture:
    """Two views of the latents, one slice of predicted colours, and errors along the same axis as the slice.

    A place of the slice lies straight above its errors.

    Args:
        latents: on or near the unit sphere, `[sample, latent]`.
        rgb: the true colours of these samples, `[sample, 3]` in [0, 1].
        reconstructed: what the model draws, `[sample, 3]` in [0, 1].
        true: one slice of true colours, sRGB in [0, 1], dims `across`, `upward` and "channel", coordinates
            evenly spaced.
        predicted: the same for what the model makes of it.
        error: one value a colour, three dims with coordinates, among them `across`.
        error_rgb: the colours of these errors: the same dims and "channel".
        views: two views, each three coordinates of the latents (across, upward, towards the viewer).
        name: the stem of the picture's files.
        title: a short heading.
        levels: reference levels of the error by label; those above 1.6 times the largest are left out.
        slice_label: which slice it is ("saturation 1").
        across: the dim that slice and errors share.
        upward: the dim that runs upward in the slice.
        upward_label: what to call that dim.
        across_unit: what 1 of the coordinate across is on the axis of the errors.

    Raises:
        ShapeError: there are not two views, or arrays do not match.
        SettingError: a value is not finite.
    """
    if len(views) != 2:
        raise ShapeError(f"condition_summary takes two views of the latents; {len(views)} came.")
    if across not in error.dims:
        raise ShapeError(f"errors need the dim {across!r} of the slice; dims {error.dims} came.")
    dims = (upward, across, "channel")
    truth, drawn = colors_of(true, dims, "true colours"), colors_of(predicted, dims, "predicted colours")
    same_places(truth, drawn, "true and predicted colours")
    # These two check what they are given, and say in words what it shows; they are not drawn.
    latent_views(latents, rgb, reconstructed, views=views, name=name, title=title)
    curves = error_curves(error, error_rgb, name=name, title=title, levels=levels)
    errors = error.transpose(across, ...)
    colors = error_rgb.transpose(*errors.dims, "channel")
    kept, top = error_scale(float(errors.max()), levels or {})

    places, where = truth[across].to_numpy() * across_unit, error[across].to_numpy() * across_unit
    cell = float(places[1] - places[0]) if len(places) > 1 else float(np.ptp(where)) or across_unit
    room = 0.012 * float(np.ptp(where))
    low = min(float(places[0]) - cell / 2, float(where.min()) - room)
    high = max(float(places[-1]) + cell / 2, float(where.max()) + room)
    side_label = fill(upward_label, 18)
    edge = _LEFT + 24 * max(0, side_label.count("\n") - 1)
    room_across = _SHARED + _LEFT - edge
    wide = int(room_across * cell / (high - low))
    # Cells too narrow for a patch inside are drawn larger and shrunk to their place.
    pixels = wide / cell if wide >= 3 else room_across / (high - low)
    shared = (high - low) * pixels

    alt = f"{curves.alt} {reach_in_words(latents)}"
    caption = (
        "Above: latents, each dot with the true colour at its centre and what the model draws from it as its "
        "ring. Middle: a slice of what the model draws, the true colour as a patch inside each cell. Below, "
        "on the same axis: the error of each colour (mean squared, a channel), each line in the colours whose "
        "error it shows."
    )

    def draw(theme: Theme) -> Figure:
        rows = truth.sizes[upward]
        rise = max(3, _SLICE // rows)
        tall = min(_SLICE, rise * rows)
        total = _FOOT + _ERRORS + _GAP + tall + _BETWEEN + _VIEW + _HEAD
        figure = new_figure(theme, total / DPI)

        def box(left: float, bottom: float, width: float, height: float) -> tuple[float, float, float, float]:
            return left / _WIDTH, bottom / total, width / _WIDTH, height / total

        for index, view in enumerate(views):
            middle = edge + shared * (0.25 + 0.5 * index)
            axes = figure.add_axes(box(middle - _VIEW / 2, total - _HEAD - _VIEW, _VIEW, _VIEW))
            draw_view(axes, theme, latents, (rgb, reconstructed), view)

        left = edge + (float(places[0]) - cell / 2 - low) * pixels
        axes = figure.add_axes(box(round(left), _FOOT + _ERRORS + _GAP, len(places) * cell * pixels, tall))
        draw_slice(axes, truth.to_numpy(), drawn.to_numpy(), (max(3, wide), rise))
        cell_ticks(axes.yaxis, truth[upward].to_numpy(), max(rows - 1, 1))
        axes.set_title(slice_label, loc="left", pad=4, color=theme.ink, fontsize=TEXT)
        axes.set_ylabel(side_label, labelpad=2)
        style(axes, theme, frame=("left", "right", "top", "bottom"))

        axes = figure.add_axes(box(edge, _FOOT, shared, _ERRORS))
        draw_errors(axes, theme, errors, colors, across, top=top, ticks=7)
        axes.set_xlim(low, high)
        axes.set_ylabel("error", labelpad=3)
        draw_levels(axes, theme, kept, errors.to_numpy())
        return figure

    return Picture(name, title, alt, caption, draw)
