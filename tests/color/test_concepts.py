import colorsys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from excise.color import CONCEPTS, WeakLabel, blueness, greenness, redness, rgb_grid, vibrancy
from excise.errors import SettingError, UnknownConceptError

FAST = settings(derandomize=True, deadline=None, max_examples=200, database=None)
UNIT = st.floats(0, 1)
RGB = st.tuples(UNIT, UNIT, UNIT)


@FAST
@given(RGB)
def test_each_hue_concept_is_its_channel_less_half_of_the_others(rgb: tuple[float, float, float]):
    r, g, b = rgb
    color = np.array(rgb)
    assert redness(color) == pytest.approx(r * (1 - g / 2 - b / 2), abs=1e-15)
    assert greenness(color) == pytest.approx(g * (1 - r / 2 - b / 2), abs=1e-15)
    assert blueness(color) == pytest.approx(b * (1 - r / 2 - g / 2), abs=1e-15)


@FAST
@given(RGB)
def test_vibrancy_is_saturation_times_value(rgb: tuple[float, float, float]):
    _, s, v = colorsys.rgb_to_hsv(*rgb)
    assert vibrancy(np.array(rgb)) == pytest.approx(s * v, abs=1e-12)


@FAST
@given(RGB, st.sampled_from(sorted(CONCEPTS)), st.sampled_from([np.float64, np.float32]))
def test_every_concept_stays_in_0_to_1(rgb: tuple[float, float, float], concept: str, dtype: type):
    assert 0 <= CONCEPTS[concept](np.array(rgb, dtype)) <= 1


@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["double", "single"])
def test_rounding_never_makes_the_opposite_of_a_concept_negative(dtype: type):
    # Between white and cyan, redness is 0; a difference of rounded sums would fall below it now and then.
    cyans = np.ones((10_000, 3), dtype)
    cyans[:, 0] = np.random.default_rng(0).random(10_000)
    assert_array_equal(redness(cyans), 0)
    assert np.isfinite(WeakLabel("redness", power=0.5, scale=1.0)(cyans)).all()


def test_only_the_pure_colours_have_all_of_a_concept():
    grid = rgb_grid(5)
    for concept, pure in [(redness, [1, 0, 0]), (greenness, [0, 1, 0]), (blueness, [0, 0, 1])]:
        assert concept(np.array(pure, float)) == 1
        assert int((concept(grid.to_numpy()) == 1).sum()) == 1
    corners = np.array([[r, g, b] for r in (0, 1) for g in (0, 1) for b in (0, 1)], float)
    gray = corners.min(axis=1) == corners.max(axis=1)
    assert_array_equal(vibrancy(corners), ~gray)


def test_a_concept_of_many_colours_is_the_concept_of_each():
    rgb = np.random.default_rng(0).random((2, 3, 4, 3))
    for concept in CONCEPTS.values():
        assert concept(rgb).shape == (2, 3, 4)
        assert concept(rgb)[1, 2, 3] == concept(rgb[1, 2, 3])


@FAST
@given(RGB, st.floats(0.1, 100), UNIT)
def test_a_weak_label_is_scale_times_the_concept_to_a_power(
    rgb: tuple[float, float, float], power: float, scale: float
):
    r, g, b = rgb
    degree = r * (1 - (g + b) / 2)
    color = np.array(rgb)
    assert_allclose(WeakLabel("redness", power, scale)(color), scale * degree**power, rtol=1e-9, atol=1e-15)
    lacking = WeakLabel("redness", power, scale, lack=True)(color)
    assert_allclose(lacking, scale * (1 - degree) ** power, rtol=1e-9, atol=1e-15)


def test_the_labels_of_the_experiments_at_known_colours():
    red, dark_red, pink, gray = np.array([[1, 0, 0], [0.9, 0, 0], [1, 0, 0.5], [0.5, 0.5, 0.5]])
    label = WeakLabel("redness", power=10.0, scale=0.5)
    assert label(red) == 0.5
    assert label(dark_red) == pytest.approx(0.5 * 0.34867844, rel=1e-6)
    assert label(pink) == pytest.approx(0.5 * 0.75**10, rel=1e-12)
    vibrant = WeakLabel("vibrancy", power=100.0, scale=0.5)
    assert (vibrant(red), vibrant(gray)) == (0.5, 0)
    assert vibrant(dark_red) == pytest.approx(0.5 * 0.9**100, rel=1e-9)
    desaturated = WeakLabel("vibrancy", power=10.0, scale=0.5, lack=True)
    assert (desaturated(red), desaturated(gray)) == (0, 0.5)


def test_an_unknown_concept_is_answered_with_the_nearest():
    with pytest.raises(UnknownConceptError, match=r"no concept 'rednes' of colour\. Did you mean 'redness'"):
        WeakLabel("rednes", power=1.0, scale=1.0)


@pytest.mark.parametrize(
    ("power", "scale"),
    [(0.0, 0.5), (-1.0, 0.5), (float("nan"), 0.5), (1.0, -0.1), (1.0, 1.1), (1.0, float("nan"))],
)
def test_a_power_or_a_scale_outside_its_range_is_refused(power: float, scale: float):
    with pytest.raises(SettingError, match=f"power={power}, scale={scale} came"):
        WeakLabel("redness", power, scale)


@pytest.mark.parametrize(("power", "scale"), [(1e-3, 0.0), (1.0, 1.0)])
def test_the_ends_of_the_ranges_are_allowed(power: float, scale: float):
    assert WeakLabel("redness", power, scale)(np.array([1.0, 0.0, 0.0])) == scale


def test_a_weak_label_and_the_table_of_concepts_are_frozen():
    with pytest.raises(AttributeError):
        WeakLabel("redness", 1.0, 1.0).power = 2.0  # pyright: ignore[reportAttributeAccessIssue] - frozen
    with pytest.raises(TypeError):
        CONCEPTS["warmth"] = redness  # pyright: ignore[reportIndexIssue] - frozen
