"""Every seed is a mark in its colour's column, and a failed seed is plainly another mark."""

import numpy as np
import pytest
import xarray as xr
from matplotlib.collections import Collection, LineCollection, PathCollection
from matplotlib.colors import to_rgb

from excise.errors import SettingError, ShapeError
from excise.figures import LIGHT, Picture, Theme, seed_strip

NAMES = ["red", "lime", "black"]
RGB = np.array([[1.0, 0, 0], [0.5, 1, 0], [0, 0, 0]])


def errors(seeds: int = 9):
    spread = np.geomspace(0.5, 2, seeds)[:, None]
    values = spread * np.array([0.3, 1.5e-3, 5e-4])
    return xr.DataArray(values, dims=("seed", "color"), coords={"seed": range(seeds), "color": NAMES})


def failing(seeds: int = 9, *which: int):
    return np.isin(np.arange(seeds), which)


def marks(picture: Picture, theme: Theme = LIGHT):
    """The dots of passing seeds, the crosses of failing ones, and the bars at the medians."""
    (axes,) = picture.draw(theme).axes
    dots, crosses = (each for each in axes.collections if isinstance(each, PathCollection))
    (bars,) = [each for each in axes.collections if isinstance(each, LineCollection)]
    return dots, crosses, bars


def columns_of(collection: Collection):
    points = np.asarray(collection.get_offsets())
    return {index: np.sort(points[points[:, 0].round() == index, 1]) for index in range(len(NAMES))}


def test_each_passing_seed_is_a_dot_of_its_colour_in_its_column():
    dots, _, _ = marks(seed_strip(errors(), RGB, failing(), name="s", title="t"))
    for index, values in columns_of(dots).items():
        np.testing.assert_allclose(values, np.sort(errors()[:, index]))
    columns = np.asarray(dots.get_offsets())[:, 0].round().astype(int)
    np.testing.assert_array_equal(np.asarray(dots.get_facecolor())[:, :3], RGB[columns])


def test_each_failed_seed_is_a_cross_in_the_colour_of_warnings_and_no_dot():
    failed = failing(9, 2, 5)
    dots, crosses, _ = marks(seed_strip(errors(), RGB, failed, name="s", title="t"))
    for index, values in columns_of(crosses).items():
        np.testing.assert_allclose(values, np.sort(errors()[failed, index]))
    for index, values in columns_of(dots).items():
        np.testing.assert_allclose(values, np.sort(errors()[~failed, index]))
    assert tuple(np.asarray(crosses.get_edgecolor())[0, :3]) == to_rgb(LIGHT.warning)
    assert np.shape(crosses.get_paths()[0].vertices) != np.shape(dots.get_paths()[0].vertices)


def test_the_bar_is_the_median_over_all_seeds_and_one_seed_has_none():
    _, _, bars = marks(seed_strip(errors(), RGB, failing(9, 0), name="s", title="t"))
    heights = [segment[0, 1] for segment in bars.get_segments()]
    np.testing.assert_allclose(heights, errors().median("seed"))
    _, _, none = marks(seed_strip(errors(1), RGB, failing(1), name="s", title="t"))
    assert len(none.get_segments()) == 0


def test_the_scale_is_logarithmic_and_errors_of_zero_stay_on_it():
    values = errors()
    values[4, 0] = 0.0
    (axes,) = seed_strip(values, RGB, failing(9, 4), name="s", title="t").draw(LIGHT).axes
    assert axes.get_yscale() == "log"
    low, high = axes.get_ylim()
    crosses = [each for each in axes.collections if isinstance(each, PathCollection)][1]
    assert low < columns_of(crosses)[0][0] == 1e-7
    assert high > float(values.max())


def test_levels_are_drawn_and_labelled_within_the_scale():
    picture = seed_strip(errors(), RGB, failing(), name="s", title="t", levels={"reference 1/3": 5.0})
    (axes,) = picture.draw(LIGHT).axes
    assert [np.asarray(line.get_ydata())[0] for line in axes.lines] == [5.0]
    assert [text.get_text() for text in axes.texts] == ["reference 1/3"]
    assert axes.get_ylim()[1] > 5


def test_the_text_leads_with_how_many_seeds_pass_and_follows_the_data():
    picture = seed_strip(errors(), RGB, failing(9, 2, 5), name="s", title="t")
    assert picture.alt == (
        "7 of 9 seeds pass every claim. Over all seeds the median error is largest for red (0.3) and "
        "smallest for black (5e-4)."
    )
    swapped = seed_strip(errors()[:, ::-1].assign_coords(color=NAMES), RGB, failing(), name="s", title="t")
    assert swapped.alt.startswith("9 of 9 seeds pass")
    assert "largest for black (0.3)" in swapped.alt


def test_dims_may_come_in_any_order():
    one = seed_strip(errors(), RGB, failing(), name="s", title="t")
    other = seed_strip(errors().transpose(), RGB, failing(), name="s", title="t")
    assert one.alt == other.alt
    assert columns_of(marks(one)[0])[0] == pytest.approx(columns_of(marks(other)[0])[0])


def test_what_does_not_fit_is_refused():
    with pytest.raises(ShapeError, match="errors over seeds take the dims"):
        seed_strip(errors().rename(color="x"), RGB, failing(), name="s", title="t")
    with pytest.raises(ShapeError, match=r"a colour \(3, 3\) for each column.*\(2, 3\)"):
        seed_strip(errors(), RGB[:2], failing(), name="s", title="t")
    with pytest.raises(ShapeError, match=r"a bool \(9,\) for each seed.*bool \(8,\)"):
        seed_strip(errors(), RGB, failing(8), name="s", title="t")
    with pytest.raises(ShapeError, match="int"):
        seed_strip(errors(), RGB, failing().astype(int), name="s", title="t")
    with pytest.raises(SettingError, match="hold 3 values"):
        seed_strip(errors().where(errors()["color"] != "red")[:3], RGB, failing(3), name="s", title="t")
