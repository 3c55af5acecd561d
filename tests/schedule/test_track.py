from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from excise.errors import SettingError
from excise.schedule import Dopesheet


def timeline(title: str = "a", body: str = "0,1\n100,5\n300,"):
    return Dopesheet.parse(f"STEP,{title}\n{body}\n").timeline()


def hermite(s: int, at: int, duration: int, state: Sequence[float], target: float):
    """The quintic Hermite interpolant, from its basis functions: another way to the same curve."""
    t = (s - at) / duration
    value, velocity, acceleration = state
    h0 = 1 - 10 * t**3 + 15 * t**4 - 6 * t**5
    h1 = t - 6 * t**3 + 8 * t**4 - 3 * t**5
    h2 = (t**2 - 3 * t**3 + 3 * t**4 - t**5) / 2
    return h0 * value + h1 * velocity * duration + h2 * acceleration * duration**2 + (1 - h0) * target


def rest_to_rest(s: int, v0: float, v1: float, duration: int):
    """Value, velocity and acceleration of the minimum-jerk curve, derived by hand."""
    t, d = s / duration, v1 - v0
    return (
        v0 + d * (10 * t**3 - 15 * t**4 + 6 * t**5),
        30 * d * t**2 * (1 - t) ** 2 / duration,
        60 * d * t * (1 - t) * (1 - 2 * t) / duration**2,
    )


@pytest.mark.parametrize("step", [1, 30, 50, 77, 99])
def test_a_moving_property_keeps_value_velocity_and_acceleration(step: int):
    values = timeline().retarget("a", step=step, value=-2.0, arrive=step + 60).table["a"]
    state = rest_to_rest(step, 1.0, 5.0, 100)
    expected = [hermite(s, step, 60, state, -2.0) for s in range(step, step + 61)]
    np.testing.assert_allclose(values[step : step + 61], expected, rtol=0, atol=1e-12)
    assert (values[step + 60 :] == -2.0).all()
    # Control: setting out from rest would be seen.
    from_rest = [rest_to_rest(s, state[0], -2.0, 60)[0] for s in range(61)]
    assert np.abs(np.array(expected) - from_rest).max() > 1e-4


def test_in_log_space_the_logarithm_keeps_its_motion():
    table = timeline("a:log", "0,1e-4\n100,1\n300,").retarget("a", step=40, value=0.01, arrive=90).table
    state = rest_to_rest(40, np.log(1e-4), 0.0, 100)
    expected = [np.exp(hermite(s, 40, 50, state, np.log(0.01))) for s in range(40, 91)]
    np.testing.assert_allclose(table["a"][40:91], expected, rtol=1e-12)
    assert (table["a"][90:] == 0.01).all()


def test_a_log_target_below_the_floor_is_arrived_at_exactly():
    values = timeline("a:log").retarget("a", step=40, value=1e-20, arrive=90).table["a"]
    assert values[89] == pytest.approx(1e-10, rel=1e-2)
    assert (values[90:] == 1e-20).all()


def test_a_linear_property_turns_at_once_and_a_stepped_one_holds_and_jumps():
    linear = timeline("a::linear").retarget("a", step=50, value=0.0, arrive=60).table["a"]
    np.testing.assert_allclose(linear[50:61], np.linspace(3, 0, 11), atol=1e-12)
    stepped = timeline("a::step-end").retarget("a", step=50, value=0.0, arrive=60).table["a"]
    assert set(stepped[:60]) == {1.0}
    assert set(stepped[60:]) == {0.0}


@pytest.mark.parametrize("step", [150, 299])
def test_a_property_at_rest_after_its_last_keyframe_holds_until_it_is_retargeted(step: int):
    values = timeline().retarget("a", step=step, value=7.0, arrive=step + 1).table["a"]
    assert (values[100 : step + 1] == 5.0).all()
    assert (values[step + 1 :] == 7.0).all()


def test_a_property_at_rest_before_its_first_keyframe_forgets_it():
    values = timeline(body="50,1\n100,5\n300,").retarget("a", step=20, value=3.0, arrive=40).table["a"]
    assert (values[:21] == 1.0).all()
    assert values[30] == pytest.approx(2.0)
    assert (values[40:] == 3.0).all()


def test_at_a_keyframe_a_property_sets_out_from_rest():
    values = (
        timeline(body="0,1\n100,5\n200,9\n300,").retarget("a", step=100, value=0.0, arrive=150).table["a"]
    )
    expected = [rest_to_rest(s, 5.0, 0.0, 50)[0] for s in range(51)]
    np.testing.assert_allclose(values[100:151], expected, atol=1e-12)


def test_retargeting_twice_keeps_the_motion_of_the_quintic():
    once = timeline().retarget("a", step=50, value=-2.0, arrive=150)
    values = once.retarget("a", step=80, value=4.0, arrive=200).table["a"]
    path = np.polynomial.Polynomial.fit(np.arange(50, 151), once.table["a"][50:151], 5)
    state = (path(80.0), path.deriv(1)(80.0), path.deriv(2)(80.0))
    expected = [hermite(s, 80, 120, state, 4.0) for s in range(80, 201)]
    np.testing.assert_allclose(values[80:201], expected, atol=1e-9)


def test_an_earlier_retarget_replaces_a_later_one():
    late_then_early = timeline().retarget("a", step=80, value=9.0, arrive=120)
    late_then_early = late_then_early.retarget("a", step=30, value=0.0, arrive=60).table["a"]
    early = timeline().retarget("a", step=30, value=0.0, arrive=60).table["a"]
    assert (late_then_early == early).all()


def test_an_arrival_past_the_end_is_cut_off():
    values = timeline(body="0,1\n100,5").retarget("a", step=100, value=0.0, arrive=300).table["a"]
    assert len(values) == 101
    values = timeline(body="0,1\n100,5").retarget("a", step=90, value=0.0, arrive=300).table["a"]
    expected = [hermite(s, 90, 210, rest_to_rest(90, 1.0, 5.0, 100), 0.0) for s in range(90, 101)]
    np.testing.assert_allclose(values[90:], expected, atol=1e-12)


def test_only_the_named_property_changes_and_the_original_stays():
    original = Dopesheet.parse("STEP,PHASE,ACTION,a,b\n0,P,x,1,1\n100,,,5,5\n").timeline()
    before = original.table["a"].copy()
    changed = original.retarget("a", step=50, value=0.0, arrive=70)
    assert (original.table["a"] == before).all()
    assert changed.table["b"] is original.table["b"]
    assert (changed.phases, changed.actions) == (original.phases, original.actions)
    assert changed.table["a"][70] == 0.0


@settings(derandomize=True, deadline=None, max_examples=80, database=None)
@given(
    st.sampled_from(["a", "a:log", "a::linear", "a:log:linear", "a::step-end"]),
    st.dictionaries(st.integers(0, 200), st.floats(1e-9, 1e3), min_size=1, max_size=5),
    st.lists(
        st.tuples(st.integers(0, 250), st.integers(1, 80), st.floats(1e-9, 1e3)), min_size=1, max_size=4
    ),
)
def test_any_retargets_keep_the_past_to_the_bit_and_hold_the_target(
    title: str, keyframes: dict[int, float], retargets: list[tuple[int, int, float]]
):
    line = Dopesheet.from_keyframes({title: keyframes, "end": {250: 0.0}}).timeline()
    for step, way, value in retargets:
        before = line.table["a"]
        line = line.retarget("a", step=step, value=value, arrive=step + way)
        after = line.table["a"]
        assert (after[: step + 1] == before[: step + 1]).all()
        assert (after[step + way :] == value).all()
        assert np.isfinite(after).all()


@pytest.mark.parametrize(
    ("title", "arguments", "says"),
    [
        ("a", {"step": 50, "value": 1.0, "arrive": 50}, "arrives after it leaves; step=50 and arrive=50"),
        ("a", {"step": 50, "value": 1.0, "arrive": 20}, "arrives after it leaves"),
        ("a", {"step": 50, "value": float("nan"), "arrive": 60}, "the target of 'a' is a finite number; nan"),
        ("a:log", {"step": 50, "value": float("inf"), "arrive": 60}, "finite number; inf"),
        (
            "a:log",
            {"step": 50, "value": 0.0, "arrive": 60},
            "'a' moves in log space",
        ),
    ],
)
def test_a_retarget_that_cannot_be_is_refused(title: str, arguments: dict[str, Any], says: str):
    with pytest.raises(SettingError, match=says):
        timeline(title).retarget("a", **arguments)
    assert timeline("a").retarget("a", step=50, value=0.0, arrive=60).table["a"][60] == 0.0
