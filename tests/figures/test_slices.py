"""Slices show the exact colours, and say what they show."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from matplotlib.colors import hsv_to_rgb, to_rgb
from PIL import Image

from excise.errors import SettingError, ShapeError
from excise.figures import DARK, LIGHT, THEMES, Picture, Theme, color_slices


def hsv(hues: int = 24, saturations: int = 4, values: int = 8):
    coords = {
        "h": np.arange(hues) / hues,
        "s": np.linspace(0, 1, saturations),
        "v": np.linspace(0, 1, values),
    }
    grid = np.stack(np.meshgrid(*coords.values(), indexing="ij"), axis=-1)
    return xr.DataArray(hsv_to_rgb(grid), dims=("h", "s", "v", "channel"), coords=coords)


def lost_red(true: xr.DataArray, keep: float = 0.2):
    """What a model draws that has lost most of its first channel."""
    drawn = true.copy()
    drawn[..., 0] = keep * true[..., 0]
    return drawn


def cells(picture: Picture, folder: Path, theme: Theme, true: xr.DataArray):
    """The colours at the corner and at the middle of each cell of the saved PNG, as arrays like `true`."""
    path = dict(zip((LIGHT, DARK), picture.save(folder), strict=True))[theme]
    image = np.asarray(Image.open(path).convert("RGB"))[::-1] / 255
    corner, middle = np.full(true.shape, np.nan), np.full(true.shape, np.nan)
    hues, _, values, _ = true.shape
    for index, axes in enumerate(picture.draw(theme).axes):
        box = axes.get_window_extent()
        for h in range(hues):
            for v in range(values):
                for places, inside in ((corner, 0.15), (middle, 0.5)):
                    x = box.x0 + box.width * (h + inside) / hues
                    y = box.y0 + box.height * (v + inside) / values
                    places[h, index, v] = image[int(y), int(x)]
    return corner, middle


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
def test_every_cell_has_the_predicted_colour_and_its_patch_the_true_one(tmp_path: Path, theme: Theme):
    true = hsv()
    drawn = lost_red(true)
    corner, middle = cells(color_slices(true, drawn, name="c", title="t"), tmp_path, theme, true)
    np.testing.assert_allclose(corner, drawn, atol=1 / 255)
    np.testing.assert_allclose(middle, true, atol=1 / 255)
    assert np.abs(corner - middle).max() > 0.5


def test_without_a_prediction_the_whole_cell_is_the_true_colour(tmp_path: Path):
    true = hsv()
    corner, middle = cells(color_slices(true, None, name="c", title="t"), tmp_path, LIGHT, true)
    np.testing.assert_allclose(corner, true, atol=1 / 255)
    np.testing.assert_allclose(middle, true, atol=1 / 255)


@pytest.mark.parametrize("shape", [(12, 4, 5), (1, 1, 1), (7, 3, 2), (30, 2, 20)])
def test_other_grids_are_exact_too(tmp_path: Path, shape: tuple[int, ...]):
    true = hsv(*shape)
    drawn = lost_red(true)
    corner, middle = cells(color_slices(true, drawn, name="c", title="t"), tmp_path, DARK, true)
    np.testing.assert_allclose(corner, drawn, atol=1 / 255)
    np.testing.assert_allclose(middle, true, atol=1 / 255)


def test_dims_may_come_in_any_order(tmp_path: Path):
    true = hsv()
    one = color_slices(true, lost_red(true), name="a", title="t")
    other = color_slices(true.transpose("channel", "v", "h", "s"), lost_red(true), name="b", title="t")
    assert one.save(tmp_path)[0].read_bytes() == other.save(tmp_path)[0].read_bytes()


def test_panels_name_their_slice_and_hues_are_in_degrees():
    figure = color_slices(hsv(), None, name="c", title="t").draw(LIGHT)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["saturation 0.00", "saturation 0.33", "saturation 0.67", "saturation 1.00"]
    ticks = [label.get_text() for label in figure.axes[-1].get_xticklabels()]
    assert ticks == ["0", "60", "120", "180", "240", "300"]


@pytest.mark.parametrize(("theme", "color"), [(LIGHT, "white"), (DARK, "black")])
def test_a_frame_keeps_colours_of_the_page_visible(tmp_path: Path, theme: Theme, color: str):
    true = hsv(hues=2, saturations=1, values=1)
    true[:] = np.array(to_rgb(color))
    picture = color_slices(true, None, name="c", title="t")
    path = dict(zip((LIGHT, DARK), picture.save(tmp_path), strict=True))[theme]
    image = np.asarray(Image.open(path).convert("RGB"))[::-1] / 255
    box = picture.draw(theme).axes[0].get_window_extent()
    row = image[int((box.y0 + box.y1) / 2), int(box.x0) - 3 : int(box.x0) + 4]
    hairline = np.array(to_rgb(theme.hairline))
    assert np.abs(row - hairline).max(axis=1).min() < 0.1


def test_the_text_leads_with_how_many_colours_are_lost_and_names_the_worst():
    true = hsv()
    drawn = true.copy()
    drawn.loc[{"h": 0, "s": 1, "v": 1}] = [0.1, 0, 0]
    alt = color_slices(true, drawn, name="c", title="t").alt
    assert alt == (
        "Of the 768 colours shown 1 is drawn with an error above 0.05. The largest error is 0.27, "
        "at hue 0 degrees, saturation 1, value 1; the median is 0."
    )


def test_the_text_follows_the_data():
    true = hsv()
    drawn = true.copy()
    drawn.loc[{"h": 0.5, "s": 1, "v": 1}] = [0, 0.5, 1]
    drawn.loc[{"h": 0, "s": 1, "v": 1}] = [0.4, 0, 0]
    alt = color_slices(true, drawn, name="c", title="t").alt
    assert alt.startswith("Of the 768 colours shown 2 are drawn")
    assert "largest error is 0.12, at hue 0 degrees" in alt
    assert color_slices(true, true, name="c", title="t").alt.startswith("Of the 768 colours shown none")


def test_a_prediction_whose_coordinates_differ_by_rounding_is_compared_all_the_same():
    true = hsv()
    drawn = lost_red(true).assign_coords(h=true["h"].to_numpy() + 1e-12)
    assert color_slices(true, drawn, name="c", title="t").alt == (
        color_slices(true, lost_red(true), name="c", title="t").alt
    )


def test_what_does_not_fit_is_refused():
    true = hsv()
    with pytest.raises(ShapeError, match="true colours take the dims"):
        color_slices(true.rename(h="x"), None, name="c", title="t")
    with pytest.raises(ShapeError, match="true colours have 3 channels along 'channel'; 2 came"):
        color_slices(true[..., :2], None, name="c", title="t")
    with pytest.raises(ShapeError, match="differ along 'h': 24 and 12"):
        color_slices(true, true[::2], name="c", title="t")
    with pytest.raises(ShapeError, match="other coordinates along 'h'"):
        color_slices(true, true.assign_coords(h=true["h"].to_numpy() + 0.5), name="c", title="t")
    with pytest.raises(SettingError, match="predicted colours hold 3 values"):
        color_slices(true, true.where(true["h"] + true["s"] + true["v"] > 0), name="c", title="t")
