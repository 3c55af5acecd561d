"""Error curves wear the colours they measure and share one scale."""

import numpy as np
import pytest
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.colors import hsv_to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Annotation

from excise.errors import SettingError, ShapeError
from excise.figures import LIGHT, error_curves

LEVELS = {"red as gray: 1/4": 0.25, "red as a random colour: 1/3": 1 / 3}


def measured(scale: float = 0.27, shape: tuple[int, int, int] = (13, 4, 5)):
    """Errors that peak at full red, and the colours they belong to."""
    coords = {
        "h": np.linspace(0, 1, shape[0]),
        "s": np.linspace(0, 1, shape[1]),
        "v": np.linspace(0, 1, shape[2]),
    }
    grid = np.stack(np.meshgrid(*coords.values(), indexing="ij"), axis=-1)
    rgb = xr.DataArray(hsv_to_rgb(grid % 1.0001), dims=("h", "s", "v", "channel"), coords=coords)
    tilt = 1 - 0.01 * grid[..., 0]
    redness = rgb[..., 0] * (1 - rgb[..., 1] / 2 - rgb[..., 2] / 2)
    return scale * redness**2 * tilt, rgb


def segments_of(axes: Axes):
    (collection,) = [each for each in axes.collections if isinstance(each, LineCollection)]
    return np.array(collection.get_segments())


def pieces(figure: Figure):
    """For each panel (coordinate, error, red, green, blue) at the middle of each piece of its curves."""
    found = []
    for axes in figure.axes:
        (collection,) = [each for each in axes.collections if isinstance(each, LineCollection)]
        points = segments_of(axes)
        colors = np.asarray(collection.get_colors())[:, :3]
        found.append(np.column_stack([points[:, 1], colors]))
    return found


def sorted_rows(rows: np.ndarray):
    return rows[np.lexsort(rows.round(9).T)]


def test_each_piece_of_a_curve_has_the_colour_whose_error_it_shows():
    error, rgb = measured()
    figure = error_curves(error, rgb, name="e", title="t").draw(LIGHT)
    for rows, dim, unit in zip(pieces(figure), ("h", "s", "v"), (360, 1, 1), strict=True):
        place = (error[dim] * unit).broadcast_like(error).transpose(*error.dims)
        expected = np.column_stack(
            [place.to_numpy().ravel(), error.to_numpy().ravel(), rgb.to_numpy().reshape(-1, 3)]
        )
        np.testing.assert_allclose(sorted_rows(rows), sorted_rows(expected), atol=1e-9)
        shuffled = expected.copy()
        shuffled[:, 2:] = np.roll(expected[:, 2:], 1, axis=0)
        assert np.abs(sorted_rows(rows) - sorted_rows(shuffled)).max() > 0.1


def test_the_pieces_of_a_line_follow_one_another_without_gaps():
    error, rgb = measured()
    figure = error_curves(error, rgb, name="e", title="t").draw(LIGHT)
    for axes, dim in zip(figure.axes, ("h", "s", "v"), strict=True):
        points = segments_of(axes).reshape(-1, error.sizes[dim], 3, 2)
        np.testing.assert_array_equal(points[:, :-1, 2], points[:, 1:, 0])
        np.testing.assert_array_equal(points[:, 0, 0], points[:, 0, 1])


def test_the_worst_line_is_drawn_last_on_top():
    error, rgb = measured()
    rows = pieces(error_curves(error, rgb, name="e", title="t").draw(LIGHT))[1]
    heights = rows[:, 1].reshape(-1, error.sizes["s"]).max(axis=1)
    assert (np.diff(heights) >= 0).all()
    assert heights[-1] == pytest.approx(float(error.max()))


def test_the_colours_reach_the_page():
    error, rgb = measured()
    error[:], rgb[:] = 0.1, [0.2, 0.7, 0.4]
    picture = error_curves(error, rgb, name="e", title="t")
    canvas = picture.draw(LIGHT).canvas
    assert isinstance(canvas, FigureCanvasAgg)
    canvas.draw()
    image = np.asarray(canvas.buffer_rgba())[..., :3] / 255
    assert (np.abs(image - [0.2, 0.7, 0.4]).max(axis=-1) < 1 / 255).sum() > 500


def test_the_three_panels_share_one_scale_and_the_first_is_the_widest():
    error, rgb = measured()
    axes = error_curves(error, rgb, name="e", title="t", levels=LEVELS).draw(LIGHT).axes
    assert len(axes) == 3
    assert len({each.get_ylim() for each in axes}) == 1
    widths = [each.get_position().width for each in axes]
    assert widths[0] > 2 * max(widths[1:])


def test_levels_are_drawn_with_their_label_when_the_data_come_near():
    error, rgb = measured(scale=0.27)
    axes = error_curves(error, rgb, name="e", title="t", levels=LEVELS).draw(LIGHT).axes
    assert [[np.asarray(line.get_ydata())[0] for line in each.lines] for each in axes] == [[0.25, 1 / 3]] * 3
    assert [text.get_text() for text in axes[0].texts] == list(LEVELS)
    assert axes[0].get_ylim()[1] > 1 / 3


@pytest.mark.parametrize(("factor", "drawn"), [(1.59, 1), (1.61, 0)])
def test_a_level_further_than_the_reach_of_the_data_is_left_out(factor: float, drawn: int):
    error, rgb = measured()
    level = factor * float(error.max())
    axes = error_curves(error, rgb, name="e", title="t", levels={"far": level}).draw(LIGHT).axes
    assert len(axes[0].lines) == drawn


def test_levels_do_not_stretch_the_axis_of_small_errors():
    error, rgb = measured(scale=1e-3)
    with_levels = error_curves(error, rgb, name="e", title="t", levels=LEVELS).draw(LIGHT).axes[0]
    without = error_curves(error, rgb, name="e", title="t").draw(LIGHT).axes[0]
    assert with_levels.get_ylim() == without.get_ylim()
    assert with_levels.get_ylim()[1] < 1.2e-3


def test_a_label_moves_away_from_a_peak():
    error, rgb = measured()
    error[:] = 0.0
    error[6, -1, -1] = 0.27
    away = error_curves(error, rgb, name="e", title="t", levels={"l": 0.25}).draw(LIGHT).axes[0].texts[0]
    error[6, -1, -1], error[0, -1, -1] = 0.0, 0.27
    centre = error_curves(error, rgb, name="e", title="t", levels={"l": 0.25}).draw(LIGHT).axes[0].texts[0]
    assert isinstance(away, Annotation)
    assert isinstance(centre, Annotation)
    assert away.xy[0] != 0.5
    assert centre.xy[0] == 0.5


@pytest.mark.parametrize("peaks", [[6], [2], [10], [0, 2, 3, 6], [6, 9, 10, 12]])
def test_a_label_stays_inside_its_panel_and_stands_out_from_the_curves(peaks: list[int]):
    error, rgb = measured()
    error[:] = 0.0
    error[peaks, -1, -1] = 0.4
    figure = error_curves(error, rgb, name="e", title="t", levels=LEVELS).draw(LIGHT)
    figure.canvas.draw()
    panel = figure.axes[0].get_window_extent()
    for label in figure.axes[0].texts:
        assert panel.x0 <= label.get_window_extent().x0 < label.get_window_extent().x1 <= panel.x1
        assert label.get_path_effects()


def test_the_text_leads_with_the_largest_error_and_its_place():
    error, rgb = measured()
    error[:] = 0.0031
    error[0, -1, -1] = 0.2734
    assert error_curves(error, rgb, name="e", title="t").alt == (
        "The largest error shown is 0.27, at hue 0 degrees, saturation 1, value 1; the median is 0.0031. "
        "Of 260 colours 1 has an error above 0.05."
    )
    error[6, 0, 2] = 0.9
    assert (
        "0.9, at hue 180 degrees, saturation 0, value 0.5"
        in error_curves(error, rgb, name="e", title="t").alt
    )


def test_dims_of_another_domain_keep_their_names():
    error, rgb = measured()
    names = {"h": "slant", "s": "width", "v": "weight"}
    picture = error_curves(error.rename(names), rgb.rename(names), name="e", title="t")
    assert [axes.get_xlabel() for axes in picture.draw(LIGHT).axes] == list(names.values())
    assert "slant 0, width 1, weight 1" in picture.alt


def test_errors_of_zero_can_be_drawn():
    error, rgb = measured(scale=0.0)
    assert error_curves(error, rgb, name="e", title="t", levels=LEVELS).draw(LIGHT).axes[0].get_ylim()[1] > 0


def test_what_does_not_fit_is_refused():
    error, rgb = measured()
    with pytest.raises(ShapeError, match="three dims"):
        error_curves(error[0], rgb[0], name="e", title="t")
    with pytest.raises(ShapeError, match="3 channels; 2 came"):
        error_curves(error, rgb[..., :2], name="e", title="t")
    with pytest.raises(ShapeError, match="13 and 12 places"):
        error_curves(error, rgb[1:], name="e", title="t")
    with pytest.raises(ShapeError, match="colours of errors take the dims"):
        error_curves(error, rgb.rename(h="x"), name="e", title="t")
    with pytest.raises(SettingError, match="errors hold 1 values"):
        error_curves(error.where(error < error.max()), rgb, name="e", title="t")
