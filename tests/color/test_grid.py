from typing import Any

import numpy as np
import pytest
import xarray as xr
from coloraide import Color
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from excise.color import hsv_grid, rgb_grid
from excise.color.grid import hsv_to_array
from excise.errors import SettingError

FAST = settings(derandomize=True, deadline=None, max_examples=80, database=None)
UNIT = st.floats(0, 1)


def by_coloraide(h: float, s: float, v: float):
    return Color("hsv", [360 * h, s, v]).convert("srgb").coords()


@FAST
@given(st.floats(-3, 3), UNIT, UNIT)
def test_any_hsv_colour_converts_as_coloraide_converts_it(h: float, s: float, v: float):
    assert_allclose(hsv_to_array(np.array([h, s, v])), by_coloraide(h, s, v), atol=1e-12)


def test_a_whole_grid_converts_as_coloraide_converts_it():
    grid = hsv_grid(7, 3, 4)
    for h in grid["h"].to_numpy():
        for s in grid["s"].to_numpy():
            for v in grid["v"].to_numpy():
                assert_allclose(grid.sel(h=h, s=s, v=v), by_coloraide(h, s, v), atol=1e-12)


def test_conversion_leaves_its_input_alone():
    hsv = np.array([[1.25, 1.0, 1.0]])
    hsv_to_array(hsv)
    assert_array_equal(hsv, [[1.25, 1.0, 1.0]])


@pytest.mark.parametrize(
    ("counts", "colours"),
    [((240, 48, 48), 552_960), ((24, 4, 8), 768), ((36, 10, 10), 3_600)],
    ids=["loss", "display", "training"],
)
def test_the_hsv_grids_of_the_experiments_have_their_size(counts: tuple[int, int, int], colours: int):
    grid = hsv_grid(*counts)
    assert grid.dims == ("h", "s", "v", "channel")
    assert grid.shape == (*counts, 3)
    assert grid.size == 3 * colours
    assert grid["channel"].to_numpy().tolist() == ["r", "g", "b"]
    assert grid.dtype == np.float64
    assert float(grid.min()) == 0
    assert float(grid.max()) == 1


def test_counted_hues_go_around_the_circle_once_without_repeating_red():
    grid = hsv_grid(240, 48, 48)
    assert_allclose(grid["h"], [i / 240 for i in range(240)], atol=1e-15)
    assert_allclose(grid["s"], [i / 47 for i in range(48)], atol=1e-15)
    assert_allclose(grid["v"], [i / 47 for i in range(48)], atol=1e-15)
    pure = grid.isel(s=-1, v=-1).to_numpy()
    assert len(np.unique(pure, axis=0)) == 240


def test_listed_places_are_kept_and_hues_wrap():
    hues = np.linspace(-1 / 12, 13 / 12, 150)
    grid = hsv_grid(hues, [0.25, 1.0], [1.0])
    assert grid.shape == (150, 2, 1, 3)
    assert_array_equal(grid["h"], hues)
    assert_allclose(
        hsv_grid([-1 / 12, 0.0, 1 / 3], 2, 2), hsv_grid([11 / 12, 1.0, 4 / 3], 2, 2).to_numpy(), atol=1e-12
    )


def test_the_latent_grid_is_the_rgb_cube_with_its_coordinates_as_colours():
    grid = rgb_grid(20)
    assert grid.dims == ("r", "g", "b", "channel")
    assert grid.shape == (20, 20, 20, 3)
    for channel in "rgb":
        assert_allclose(grid[channel], [i / 19 for i in range(20)], atol=1e-15)
        colours, places = xr.broadcast(grid.sel(channel=channel, drop=True), grid[channel])
        assert_array_equal(colours, places.transpose(*colours.dims))


def test_a_count_of_numpys_is_a_count():
    assert hsv_grid(np.int64(4), np.int32(2), 3).shape == (4, 2, 3, 3)
    assert rgb_grid(int(np.int64(2))).shape == (2, 2, 2, 3)


@pytest.mark.parametrize(
    ("places", "text"),
    [
        ((0, 2, 2), "at least 1 of its hues; 0 came"),
        ((2, -1, 2), "at least 1 of its saturations; -1 came"),
        ((2, 2, []), "values are a count or a list of finite numbers"),
        (([0.0, float("nan")], 2, 2), "hues are a count or a list of finite numbers"),
        ((np.zeros((2, 2)), 2, 2), "hues are a count or a list of finite numbers"),
        ((2, [0.5, 1.5], 2), r"saturations lie in \[0, 1\]; 0.5 to 1.5 came"),
        ((2, 2, [-0.1]), r"values lie in \[0, 1\]; -0.1 to -0.1 came"),
    ],
    ids=["no-hue", "negative", "empty", "nan", "flat", "saturation", "value"],
)
def test_places_that_make_no_grid_are_refused(places: Any, text: str):
    with pytest.raises(SettingError, match=text):
        hsv_grid(*places)


def test_an_empty_cube_is_refused():
    with pytest.raises(SettingError, match="at least 1 of its steps; 0 came"):
        rgb_grid(0)
