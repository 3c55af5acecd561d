import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from excise.errors import SettingError, ShapeError
from excise.evaluation import selectivity

FAST = settings(derandomize=True, deadline=None, max_examples=200, database=None)
RNG = np.random.default_rng(0)
DEGREES = RNG.random(50)
ERRORS = RNG.random(50)

# Fractions of 64 are apart by much more than rounding, so that what is constant and what is not cannot be confused.
SAMPLES = arrays(float, 12, elements=st.integers(0, 64).map(lambda each: each / 64))


@FAST
@given(SAMPLES, SAMPLES, st.sampled_from([0.5, 1.0, 2.0, 2.3, 3.0]))
def test_it_is_the_squared_correlation_with_the_power(
    error: np.ndarray, similarity: np.ndarray, power: float
):
    measured = selectivity(error, similarity, power)
    if np.ptp(error) == 0 or np.ptp(similarity) == 0:
        assert np.isnan(measured)
    else:
        assert 0 <= measured <= 1
        # Two ways to sum twelve products in float64.
        assert measured == pytest.approx(np.corrcoef(error, similarity**power)[0, 1] ** 2, abs=1e-12)


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0, 3.0])
def test_an_error_that_follows_the_power_is_selective_and_by_another_power_less(power: float):
    # A line through the points leaves nothing but rounding.
    assert selectivity(0.01 + 0.3 * DEGREES**power, DEGREES, power) == pytest.approx(1, abs=1e-12)
    assert selectivity(0.01 + 0.3 * DEGREES**power, DEGREES, power * 4) < 0.95


def test_an_error_that_has_nothing_to_do_with_the_concept_is_not_selective():
    rng = np.random.default_rng(1)
    # The squared correlation of n independent pairs is 1 / (n - 1) on average; this is thirty times as much.
    assert selectivity(rng.random(10_000), rng.random(10_000), 2.0) < 30 / 10_000
    similarity = np.array([0.0, 0.0, 1.0, 1.0])
    assert selectivity(np.array([0.0, 1.0, 0.0, 1.0]), similarity, 2.0) == 0


@pytest.mark.parametrize("scale", [1e-200, 1e-12, 1.0, 1e200])
def test_the_scale_of_error_and_similarity_does_not_matter(scale: float):
    plain = selectivity(ERRORS, DEGREES, 3.0)
    assert selectivity(ERRORS * scale, DEGREES, 3.0) == pytest.approx(plain, rel=1e-9)
    assert selectivity(ERRORS, DEGREES * scale, 3.0) == pytest.approx(plain, rel=1e-9)


def test_a_grid_is_as_many_samples_and_single_precision_will_do():
    flat = selectivity(ERRORS, DEGREES, 2.0)
    assert selectivity(ERRORS.reshape(5, 10), DEGREES.reshape(5, 10), 2.0) == flat
    single = selectivity(ERRORS.astype(np.float32), DEGREES, 2.0)
    # Errors rounded to 24 bits move a correlation by about as much.
    assert single == pytest.approx(flat, abs=1e-6)


def test_labelled_arrays_are_matched_by_the_names_of_their_dims():
    error = xr.DataArray(ERRORS.reshape(5, 10), dims=("h", "s"), coords={"h": range(5), "s": range(10)})
    similarity = error.copy(data=DEGREES.reshape(5, 10))
    expected = selectivity(ERRORS, DEGREES, 2.0)
    assert selectivity(error, similarity.transpose("s", "h"), 2.0) == expected
    assert selectivity(error, similarity.to_numpy(), 2.0) == expected
    with pytest.raises(ShapeError, match=r"\(10, 5\) came for \(5, 10\)"):
        selectivity(error, similarity.to_numpy().T, 2.0)


def test_labelled_arrays_of_different_samples_are_refused():
    error = xr.DataArray(ERRORS.reshape(5, 10), dims=("h", "s"), coords={"h": range(5)})
    with pytest.raises(ShapeError, match="are of different samples"):
        selectivity(error, error.assign_coords(h=range(1, 6)), 2.0)
    with pytest.raises(ShapeError, match=r"dims .*'h', 's'.* the similarities .*'h', 'v'"):
        selectivity(error, error.rename(s="v"), 2.0)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_an_error_that_is_not_finite_makes_it_nan(bad: float):
    error = ERRORS.copy()
    error[7] = bad
    assert np.isnan(selectivity(error, DEGREES, 2.0))


def test_what_does_not_vary_makes_it_nan():
    # The mean of fifty times 0.1 is not 0.1, so that a spread around it would not be 0.
    assert np.isnan(selectivity(np.full(50, 0.1), DEGREES, 2.0))
    assert np.isnan(selectivity(ERRORS, np.full(50, 0.1), 2.0))
    assert np.isnan(selectivity(ERRORS, np.zeros(50), 2.0))


@pytest.mark.parametrize("power", [0.0, -1.0, float("nan"), float("inf")])
def test_a_power_outside_its_range_is_refused(power: float):
    with pytest.raises(SettingError, match=f"power above 0; {power} came"):
        selectivity(ERRORS, DEGREES, power)


@pytest.mark.parametrize("bad", [-0.1, float("nan"), float("inf")])
def test_a_similarity_outside_its_range_is_refused(bad: float):
    similarity = DEGREES.copy()
    similarity[3] = bad
    with pytest.raises(SettingError, match="similarities are finite and at least 0"):
        selectivity(ERRORS, similarity, 2.0)


def test_different_shapes_and_too_few_samples_are_refused():
    with pytest.raises(ShapeError, match=r"\(49,\) came for \(50,\)"):
        selectivity(ERRORS, DEGREES[1:], 2.0)
    for count in range(3):
        with pytest.raises(ShapeError, match=f"at least 3 samples; {count} came"):
            selectivity(ERRORS[:count], DEGREES[:count], 2.0)
    assert 0 <= selectivity(ERRORS[:3], DEGREES[:3], 2.0) <= 1
