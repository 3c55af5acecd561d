import colorsys

import numpy as np
import pytest
from coloraide import Color
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from excise.color import hsv_of, hsv_similarity, named_colors, rgb_grid, rgb_similarity
from excise.errors import SettingError, ShapeError

FAST = settings(derandomize=True, deadline=None, max_examples=200, database=None)
UNIT = st.floats(0, 1)
HUE = st.floats(-3, 3)
HSV = st.tuples(HUE, UNIT, UNIT)
RGB = st.tuples(UNIT, UNIT, UNIT)
Three = tuple[float, float, float]


def by_the_formula(one: Three, other: Three) -> float:
    """The definition, with hues in degrees, by an angle between two points of a circle."""
    between = np.exp(2j * np.pi * (one[0] - other[0]))
    d = abs(np.degrees(np.angle(between)))
    hue = max(0.0, (90 - d) / 90)
    r = (one[1] * one[2] + other[1] * other[2]) / 2
    return (r * hue + 1 - r) * (1 - abs(one[1] - other[1])) * (1 - abs(one[2] - other[2]))


@FAST
@given(HSV, HSV)
def test_similarity_is_what_the_formula_says(one: Three, other: Three):
    # The angle comes from a sine and a cosine, each rounded at 1e-16, of arguments up to 40.
    assert hsv_similarity(*one, other) == pytest.approx(by_the_formula(one, other), abs=1e-12)


@FAST
@given(HSV, HSV)
def test_similarity_is_symmetric_and_stays_in_0_to_1(one: Three, other: Three):
    assert hsv_similarity(*one, other) == hsv_similarity(*other, one)
    assert 0 <= hsv_similarity(*one, other) <= 1


@FAST
@given(HSV)
def test_every_colour_vibrant_or_gray_is_exactly_like_itself(color: Three):
    assert hsv_similarity(*color, color) == 1
    gray = (color[0], 0.0, color[2])
    assert hsv_similarity(*gray, gray) == 1


@FAST
@given(HSV, HSV, st.integers(-3, 3))
def test_hues_wrap(one: Three, other: Three, turns: int):
    # Adding whole turns rounds the hue, by at most 1e-15 of a turn.
    moved = hsv_similarity(one[0] + turns, one[1], one[2], other)
    assert moved == pytest.approx(float(hsv_similarity(*one, other)), abs=1e-14)


@FAST
@given(HUE, HUE, UNIT, UNIT)
def test_between_grays_hue_does_not_matter(hue: float, other_hue: float, value: float, other_value: float):
    between = hsv_similarity(hue, 0.0, value, (other_hue, 0.0, other_value))
    assert between == pytest.approx(1 - abs(value - other_value), abs=1e-15)


@FAST
@given(HUE, UNIT, HUE, UNIT)
def test_no_gray_is_anything_like_a_fully_saturated_colour(hue: float, value: float, other: float, v: float):
    assert hsv_similarity(hue, 0.0, value, (other, 1.0, v)) == 0


def test_pure_hues_fade_over_a_quarter_turn_and_hue_counts_by_vibrancy():
    red = hsv_of("red")
    expected = {"red": 1, "orange": 2 / 3, "pink": 2 / 3, "yellow": 1 / 3, "magenta": 1 / 3, "lime": 0}
    for name, similarity in {**expected, "purple": 0, "cyan": 0, "white": 0, "black": 0}.items():
        assert hsv_similarity(*hsv_of(name), red) == pytest.approx(similarity, abs=1e-12), name
    # Cyan and red of half saturation and half value: vibrancy 1/4, so that three quarters remain.
    assert hsv_similarity(0.5, 0.5, 0.5, (0.0, 0.5, 0.5)) == pytest.approx(0.75, abs=1e-15)


def test_coordinates_broadcast():
    h, s, v = np.linspace(0, 1, 5)[:, None, None], np.linspace(0, 1, 4)[:, None], np.linspace(0, 1, 3)
    similarity = hsv_similarity(h, s, v, (0.1, 0.9, 0.8))
    assert similarity.shape == (5, 4, 3)
    assert similarity[3, 2, 1] == hsv_similarity(h[3, 0, 0], s[2, 0], v[1], (0.1, 0.9, 0.8))


@FAST
@given(RGB, RGB)
def test_similarity_of_rgb_is_that_of_their_hsv(one: Three, other: Three):
    expected = hsv_similarity(*colorsys.rgb_to_hsv(*one), colorsys.rgb_to_hsv(*other))
    # The hue of a nearly black colour is a quotient of two small numbers; it counts by vibrancy, so little is lost.
    assert rgb_similarity(np.array(one), np.array(other)) == pytest.approx(float(expected), abs=1e-12)


def test_similarity_of_named_colours_agrees_with_another_librarys_hsv():
    rgb = named_colors().to_numpy()
    for other in rgb:
        converted = [Color("srgb", list(each)).convert("hsv").coords(nans=False) for each in (*rgb, other)]
        *many, one = [(hue / 360, saturation, value) for hue, saturation, value in converted]
        expected = [by_the_formula(each, one) for each in many]
        assert_allclose(rgb_similarity(rgb, other), expected, atol=1e-12)


def test_similarity_of_a_grid_is_that_of_each_colour():
    grid, red = rgb_grid(4).to_numpy(), np.array([1.0, 0.0, 0.0])
    similarity = rgb_similarity(grid, red)
    assert similarity.shape == (4, 4, 4)
    assert similarity[3, 1, 2] == rgb_similarity(grid[3, 1, 2], red)
    assert int((similarity == 1).sum()) == 1
    assert_array_equal(rgb_similarity(grid.astype(np.float32), red).dtype, np.float64)


@pytest.mark.parametrize(
    ("color", "other", "came"),
    [
        ((0.0, 1.5, 1.0), (0.0, 1.0, 1.0), r"saturations lie in \[0, 1\]; 1.5"),
        ((0.0, 1.0, -0.5), (0.0, 1.0, 1.0), r"values lie in \[0, 1\]; -0.5"),
        ((0.0, 1.0, 1.0), (0.0, float("nan"), 1.0), r"saturations lie in \[0, 1\]; nan"),
        ((0.0, 1.0, 1.0), (0.0, 1.0, 2.0), r"values lie in \[0, 1\]; 2"),
        ((float("inf"), 1.0, 1.0), (0.0, 1.0, 1.0), "finite numbers of turns"),
        ((0.0, 1.0, 1.0), (float("nan"), 1.0, 1.0), "finite numbers of turns"),
    ],
)
def test_coordinates_outside_their_range_are_refused(color: Three, other: Three, came: str):
    with pytest.raises(SettingError, match=came):
        hsv_similarity(*color, other)


def test_colours_outside_the_cube_or_without_three_channels_are_refused():
    red = np.array([1.0, 0.0, 0.0])
    with pytest.raises(SettingError, match=r"channels lie in .*; 255 came"):
        rgb_similarity(red * 255, red)
    with pytest.raises(SettingError, match=r"channels lie in .*; nan came"):
        rgb_similarity(red, red * float("nan"))
    with pytest.raises(ShapeError, match=r"\(2,\) and \(3,\) came"):
        rgb_similarity(red[:2], red)
    with pytest.raises(ShapeError, match=r"\(3,\) and \(1, 3\) came"):
        rgb_similarity(red, red[None])
    with pytest.raises(ShapeError, match="do not broadcast"):
        hsv_similarity(np.zeros(2), np.zeros(3), 0.0, (0.0, 0.0, 0.0))
