"""Arrays that do not fit are refused by name, and numbers read well."""

import numpy as np
import pytest
import xarray as xr

from excise.errors import SettingError, ShapeError
from excise.figures.arrays import at, finite, labelled, same_places, share


def grid(shape: tuple[int, ...], dims: tuple[str, ...], **coords: object):
    return xr.DataArray(np.zeros(shape), dims=dims, coords=coords)


def test_dims_are_brought_into_order():
    ordered = labelled(grid((2, 3), ("b", "a")), ("a", "b"), "errors")
    assert ordered.dims == ("a", "b")
    assert ordered.shape == (3, 2)


def test_a_wrong_dim_is_told_with_what_came_and_what_was_expected():
    with pytest.raises(ShapeError, match=r"errors take the dims \('a', 'b'\).*'c': 3"):
        labelled(grid((2, 3), ("a", "c")), ("a", "b"), "errors")


def test_an_empty_dim_is_refused():
    with pytest.raises(ShapeError, match="at least one"):
        labelled(grid((0, 3), ("a", "b")), ("a", "b"), "errors")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_are_counted(bad: float):
    with pytest.raises(SettingError, match="errors hold 1 values of 3"):
        finite(np.array([0.0, bad, 1.0]), "errors")


def test_coordinates_that_differ_by_rounding_are_the_same_places_and_others_are_not():
    ours, names = grid((3,), ("h",), h=[0.1, 0.2, 0.3]), grid((2,), ("c",), c=["r", "g"])
    same_places(ours, grid((3,), ("h",), h=[0.1, 0.1 + 0.1, 0.1 + 0.2]), "they")
    same_places(ours, grid((3,), ("h",)), "they")
    same_places(names, grid((2,), ("c",), c=["r", "g"]), "they")
    with pytest.raises(ShapeError, match="coordinates along 'h'"):
        same_places(ours, grid((3,), ("h",), h=[0.1, 0.2, 0.4]), "they")
    with pytest.raises(ShapeError, match="coordinates along 'c'"):
        same_places(names, grid((2,), ("c",), c=["g", "r"]), "they")
    with pytest.raises(ShapeError, match="3 and 2 places"):
        same_places(ours, grid((2,), ("h",)), "they")


def test_a_percentage_is_given_only_where_it_says_something():
    assert [share(count, 768) for count in (0, 1, 65, 768)] == ["none", "1", "65 (8%)", "768 (100%)"]


def test_a_place_is_read_with_its_unit():
    assert at("hue (degrees)", 30.0) == "hue 30 degrees"
    assert at("value", 1.0) == "value 1"
