"""Slices through a solid of colours: what is drawn, with what should have been drawn as a patch inside."""

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from excise.errors import ShapeError
from excise.figures.theme import FONT_SIZE, Picture, Theme, new_figure, style

__all__ = ["color_slices"]

_CELL = 24
_PATCH = slice(7, 17)


def color_slices(
    true: xr.DataArray,
    predicted: xr.DataArray | None,
    *,
    name: str,
    title: str,
    panel: str = "s",
    across: str = "h",
    upward: str = "v",
    channel: str = "channel",
    panel_label: str = "saturation",
    across_label: str = "hue (degrees)",
    upward_label: str = "value",
    across_unit: float = 360.0,
) -> Picture:
    """One panel for each slice; each cell has the predicted colour, its inner patch the true one.

    Args:
        true: sRGB in [0, 1], dims `panel`, `across`, `upward` and `channel` (of 3), with coordinates.
        predicted: the same for what a model makes of it; None draws the true colours alone.
        name: the stem of the picture's files.
        title: a short heading.
        panel: the dim that is constant within a panel.
        across: the dim that runs across.
        upward: the dim that runs upward.
        channel: the dim of the channels.
        panel_label: what to call the panel's dim.
        across_label: what to call the dim that runs across.
        upward_label: what to call the dim that runs upward.
        across_unit: what 1 of the coordinate across is in the label's unit.

    Raises:
        ShapeError: the dims are others, or there are not three channels.
    """
    ordered = _ordered(true, (panel, upward, across, channel))
    drawn = ordered if predicted is None else _ordered(predicted, (panel, upward, across, channel))
    if drawn.shape != ordered.shape:
        raise ShapeError(f"predicted colours have shape {drawn.shape}, true ones {ordered.shape}.")
    if predicted is None:
        count = int(np.prod(ordered.shape[:-1]))
        alt = f"The {count} colours to be drawn, in {ordered.shape[0]} slices of constant {panel_label}."
        caption = f"Each cell is one colour: {across_label} across, {upward_label} upward."
    else:
        error = ((drawn - ordered) ** 2).mean(channel)
        worst = error.isel(error.argmax(...))  # pyright: ignore[reportArgumentType]
        lost = float((error > 0.05).mean())
        alt = (
            f"{lost:.0%} of the colours shown are drawn with an error above 0.05; the worst, "
            f"{float(worst):.2g}, is at {across_label.split(' ')[0]} "
            f"{float(worst[across]) * across_unit:.0f}, {panel_label} {float(worst[panel]):.2g}, "
            f"{upward_label} {float(worst[upward]):.2g}."
        )
        caption = (
            f"Each cell has the colour that the model draws, the patch inside it the true one: where no patch is to be "
            f"seen, they agree. {across_label.capitalize()} across, {upward_label} upward."
        )

    def draw(theme: Theme) -> Figure:
        panels = ordered.sizes[panel]
        rows = (panels + 1) // 2
        height = 0.35 + rows * 1.72
        figure = new_figure(theme, height)
        for index in range(panels):
            row, column = divmod(index, 2)
            bottom = (height - 0.3 - (row + 1) * 1.72 + 0.48) / height
            axes = figure.add_axes((0.062 + column * 0.482, bottom, 0.448, 1.2 / height))
            image = _raster(ordered.isel({panel: index}).to_numpy(), drawn.isel({panel: index}).to_numpy())
            axes.imshow(image, origin="lower", aspect="auto", interpolation="nearest", extent=(0, 1, 0, 1))
            label = f"{panel_label} {float(ordered[panel][index]):.2f}"
            axes.set_title(label, loc="left", pad=4, color=theme.ink, fontsize=FONT_SIZE - 0.5)
            _ticks(axes.set_xticks, ordered[across].to_numpy() * across_unit, 7)
            _ticks(axes.set_yticks, ordered[upward].to_numpy(), 3)
            if row == rows - 1:
                axes.set_xlabel(across_label, labelpad=2)
            if column == 0:
                axes.set_ylabel(upward_label, labelpad=2)
            style(axes, theme, frame=("left", "right", "top", "bottom"))
        return figure

    return Picture(name, title, alt, caption, draw)


def _ordered(colors: xr.DataArray, dims: tuple[str, ...]) -> xr.DataArray:
    if set(colors.dims) != set(dims) or colors.sizes[dims[-1]] != 3:
        raise ShapeError(f"slices take dims {dims} with three channels; {dict(colors.sizes)} came.")
    return colors.transpose(*dims)


def _raster(true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Cells `[upward, across, 3]` as an image with patches inside."""
    image = np.clip(predicted, 0, 1).repeat(_CELL, axis=0).repeat(_CELL, axis=1)
    upward, across = true.shape[:2]
    cells = image.reshape(upward, _CELL, across, _CELL, 3)
    cells[:, _PATCH, :, _PATCH] = np.clip(true, 0, 1)[:, None, :, None]
    return (image * 255).round().astype(np.uint8)


def _ticks(set_ticks: object, values: np.ndarray, most: int) -> None:
    """Ticks at the middle of evenly chosen cells."""
    assert callable(set_ticks)
    count = len(values)
    step = max(1, -(-count // most)) if count > most else 1
    chosen = range(0, count, step) if step > 1 or count > 3 else range(count)
    if most == 3 and count > 3:
        chosen = (0, count - 1)
    set_ticks([(index + 0.5) / count for index in chosen], [f"{values[index]:g}" for index in chosen])
