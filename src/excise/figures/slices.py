"""Slices through a solid of colours: what is drawn, with what should have been drawn as a patch inside."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure

from excise.errors import ShapeError
from excise.figures.arrays import at, labelled, same_places, share
from excise.figures.theme import DPI, TEXT, WIDTH, Picture, Theme, new_figure, style
from excise.numerals import number

__all__ = ["cell_ticks", "color_slices", "colors_of", "draw_slice"]

_LOST = 0.05

# Pixels. Cells are whole pixels wide, so that every patch has the same size and hard edges.
_WIDTH, _COLUMN, _LEFT = round(WIDTH * DPI), 502, 82
_PANEL, _TALLEST, _GAP, _BOTTOM = 480, 200, 42, 74


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
        panel_label: what to call the panel's dim; a unit may follow in parentheses, here and below.
        across_label: what to call the dim that runs across.
        upward_label: what to call the dim that runs upward.
        across_unit: what 1 of the coordinate across is in the label's unit.

    Raises:
        ShapeError: the dims are others, there are not three channels, or the two are about different colours.
        SettingError: a colour is not finite.
    """
    dims = (panel, upward, across, channel)
    ordered = colors_of(true, dims, "true colours")
    labels = {across: across_label, panel: panel_label, upward: upward_label}
    if predicted is None:
        drawn = ordered
        alt = (
            f"The {ordered[..., 0].size} true colours, in {ordered.sizes[panel]} slices of constant "
            f"{panel_label.partition(' (')[0]}."
        )
        caption = f"Each cell is one colour: {across_label} across, {upward_label} upward."
    else:
        drawn = colors_of(predicted, dims, "predicted colours")
        same_places(ordered, drawn, "true and predicted colours")
        alt = _takeaway(ordered, drawn, labels, {across: across_unit})
        caption = (
            "Each cell has the colour that the model draws, the patch inside it the true one: where no patch "
            f"is to be seen, they agree. {across_label[:1].upper()}{across_label[1:]} across, "
            f"{upward_label} upward."
        )

    def draw(theme: Theme) -> Figure:
        panels, rows, columns = ordered.shape[:3]
        cell = max(3, _PANEL // columns), max(3, min(_PANEL // columns, _TALLEST // rows))
        width, height = min(_PANEL, cell[0] * columns), min(_TALLEST, cell[1] * rows)
        lines = (panels + 1) // 2
        total = lines * (height + _GAP) + _BOTTOM
        figure = new_figure(theme, total / DPI)
        for index in range(panels):
            line, column = divmod(index, 2)
            left, bottom = _LEFT + column * _COLUMN, total - (line + 1) * (height + _GAP)
            axes = figure.add_axes((left / _WIDTH, bottom / total, width / _WIDTH, height / total))
            draw_slice(axes, ordered[index].to_numpy(), drawn[index].to_numpy(), cell)
            place = f"{panel_label} {float(ordered[panel][index]):.2f}"
            axes.set_title(place, loc="left", pad=4, color=theme.ink, fontsize=TEXT)
            if index + 2 >= panels:
                axes.set_xlabel(across_label, labelpad=2)
                cell_ticks(axes.xaxis, ordered[across].to_numpy() * across_unit, -(-columns // 6))
            if column == 0:
                axes.set_ylabel(upward_label, labelpad=2)
                cell_ticks(axes.yaxis, ordered[upward].to_numpy(), max(rows - 1, 1))
            style(axes, theme, frame=("left", "right", "top", "bottom"))
        return figure

    return Picture(name, title, alt, caption, draw)


def colors_of(colors: xr.DataArray, dims: tuple[str, ...], what: str) -> xr.DataArray:
    """`colors` with exactly these dims in this order, the last of them of three channels.

    Raises:
        ShapeError: it has other dims, a dim is empty, or there are not three channels.
        SettingError: a colour is not finite.
    """
    ordered = labelled(colors, dims, what)
    if ordered.sizes[dims[-1]] != 3:
        raise ShapeError(f"{what} have 3 channels along {dims[-1]!r}; {ordered.sizes[dims[-1]]} came.")
    return ordered


def _takeaway(
    true: xr.DataArray, drawn: xr.DataArray, labels: dict[str, str], units: dict[str, float]
) -> str:
    error = ((drawn.to_numpy() - true.to_numpy()) ** 2).mean(axis=-1)
    indices = dict(zip(true.dims, np.unravel_index(error.argmax(), error.shape), strict=False))
    place = ", ".join(
        at(label, float(true[dim][indices[dim]]) * units.get(dim, 1)) for dim, label in labels.items()
    )
    lost = int((error > _LOST).sum())
    return (
        f"Of the {error.size} colours shown {share(lost, error.size)} "
        f"{'is' if lost <= 1 else 'are'} drawn with an error above {_LOST}. The largest error is "
        f"{number(float(error.max()))}, at {place}; the median is {number(float(np.median(error)))}."
    )


def draw_slice(axes: Axes, true: np.ndarray, predicted: np.ndarray, cell: tuple[int, int]) -> None:
    """One slice, a cell a colour, over the whole of axes whose limits become 0 to 1; it sets no ticks.

    Args:
        axes: whole cells large, so that every patch keeps its size.
        true: the patches, `[upward, across, 3]`.
        predicted: what surrounds them, `[upward, across, 3]`.
        cell: the width and the height of a cell, in pixels.
    """
    image = _raster(true, predicted, cell)
    axes.imshow(image, origin="lower", aspect="auto", interpolation="nearest", extent=(0, 1, 0, 1))
    axes.xaxis.set_ticks([])
    axes.yaxis.set_ticks([])


def _raster(true: np.ndarray, predicted: np.ndarray, cell: tuple[int, int]) -> np.ndarray:
    """Cells `[upward, across, 3]` as an image with patches inside; a cell is (width, height) pixels large."""
    wide, high = cell
    inner = slice(round(0.3 * wide), wide - round(0.3 * wide))
    middle = slice(round(0.3 * high), high - round(0.3 * high))
    upward, across = true.shape[:2]
    image = np.clip(predicted, 0, 1).repeat(high, axis=0).repeat(wide, axis=1)
    cells = image.reshape(upward, high, across, wide, 3)
    cells[:, middle, :, inner] = np.clip(true, 0, 1)[:, None, :, None]
    return (image * 255).round().astype(np.uint8)


def cell_ticks(axis: Axis, values: np.ndarray, step: int) -> None:
    """Put a tick at the middle of every `step`th cell of `draw_slice`, from the first."""
    chosen = range(0, len(values), step)
    axis.set_ticks(
        [(index + 0.5) / len(values) for index in chosen],
        [number(float(values[index]), 3) for index in chosen],
    )
