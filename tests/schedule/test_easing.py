from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest

from excise.schedule.easing import linear, minimum_jerk, quintic_to_rest, step_end

SHARE = np.linspace(0, 1, 1001)


def test_minimum_jerk_is_the_published_polynomial():
    exact = [float(10 * t**3 - 15 * t**4 + 6 * t**5) for t in (Fraction(k, 1000) for k in range(1001))]
    np.testing.assert_allclose(minimum_jerk(-2.0, 3.0, SHARE), -2 + 5 * np.array(exact), rtol=0, atol=1e-14)
    # Control: another smooth curve with the same ends, which the tolerance must tell apart.
    assert np.abs(3 * SHARE**2 - 2 * SHARE**3 - exact).max() > 0.01


@pytest.mark.parametrize("curve", [minimum_jerk, linear, step_end])
def test_every_curve_starts_and_arrives_exactly(curve: Callable[..., np.ndarray]):
    values = curve(0.1, 0.7, SHARE)
    assert values[0] == 0.1
    assert values[-1] == 0.7
    assert values[500] != 0.7


def test_a_weight_that_fades_to_zero_never_falls_below():
    share = np.arange(1_000_000) / 1_000_000
    values = minimum_jerk(0.04, 0.0, share)
    assert values.min() > 0
    assert (np.diff(values) <= 0).all()
    # Control: the polynomial as printed does fall below by a rounding error.
    assert (0.04 - 0.04 * (share**3 * (10 + share * (6 * share - 15)))).min() < 0


def test_linear_has_constant_speed_and_step_end_jumps_on_arrival():
    np.testing.assert_allclose(np.diff(linear(1.0, 3.0, SHARE)), 0.002, rtol=1e-9)
    assert set(step_end(1.0, 3.0, SHARE)[:-1]) == {1.0}


def test_curves_between_values_whose_difference_overflows_stay_finite():
    assert float("inf") == 1.5e308 - -1.5e308, "control: the difference of these two is no finite number"
    for curve in (minimum_jerk, linear):
        values = curve(-1.5e308, 1.5e308, SHARE)
        assert np.isfinite(values).all()
        assert (np.diff(values) > 0).sum() > 990


def test_the_quintic_keeps_the_state_at_its_start_and_rests_at_its_end():
    rng = np.random.default_rng(0)
    for _ in range(20):
        value, velocity, acceleration, target = rng.normal(size=4)
        duration = float(rng.uniform(0.5, 20))
        curve = np.polynomial.Polynomial(
            quintic_to_rest(value, velocity, acceleration, target, duration),
            domain=[0, duration],
            window=[0, 1],
        )
        at_start = [curve.deriv(order)(0.0) if order else curve(0.0) for order in range(3)]
        at_end = [curve.deriv(order)(duration) if order else curve(duration) for order in range(3)]
        np.testing.assert_allclose(at_start, [value, velocity, acceleration], atol=1e-9)
        np.testing.assert_allclose(at_end, [target, 0, 0], atol=1e-9)


def test_the_quintic_from_rest_is_minimum_jerk():
    quintic = np.polynomial.Polynomial(quintic_to_rest(2.0, 0.0, 0.0, 5.0, 7.0))
    np.testing.assert_allclose(quintic(SHARE), minimum_jerk(2.0, 5.0, SHARE), atol=1e-14)
    moving = np.polynomial.Polynomial(quintic_to_rest(2.0, 1.0, 0.0, 5.0, 7.0))
    assert np.abs(moving(SHARE) - minimum_jerk(2.0, 5.0, SHARE)).max() > 0.1
