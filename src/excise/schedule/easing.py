"""How a value moves from one keyframe to the next.

The minimum-jerk curve is the smoothest there is between two states; from rest it is
v0 + (v1 - v0)(10 t^3 - 15 t^4 + 6 t^5), with t the share of the way in [0, 1]. A property that is retargeted
while it moves follows the quintic that starts with its value, velocity and acceleration, and ends at rest.

Source: Flash and Hogan (1985), *The coordination of arm movements*, Journal of Neuroscience 5(7), 1688-1703.
"""

import numpy as np
from jaxtyping import Float

__all__ = ["linear", "minimum_jerk", "quintic_to_rest", "step_end"]


def minimum_jerk(start: float, end: float, share: Float[np.ndarray, " step"]) -> Float[np.ndarray, " step"]:
    """From rest at `start` to rest at `end`, with the least jerk.

    Args:
        start: the value at share 0.
        end: the value at share 1.
        share: shares of the way `[step]`, in [0, 1].

    Returns:
        Values `[step]`; they never leave the interval between `start` and `end`, and never turn back.
    """
    near = np.minimum(share, 1 - share)
    return _from_both_ends(start, end, share, near**3 * (10 + near * (6 * near - 15)))


def linear(start: float, end: float, share: Float[np.ndarray, " step"]) -> Float[np.ndarray, " step"]:
    """From `start` to `end` at constant speed; arguments and result as in `minimum_jerk`."""
    return _from_both_ends(start, end, share, np.minimum(share, 1 - share))


def step_end(start: float, end: float, share: Float[np.ndarray, " step"]) -> Float[np.ndarray, " step"]:
    """Holds `start`, and jumps to `end` on arrival; arguments and result as in `minimum_jerk`."""
    return np.where(share < 1, start, end)


def quintic_to_rest(
    value: float, velocity: float, acceleration: float, target: float, duration: float
) -> Float[np.ndarray, " 6"]:
    """The quintic that keeps value, velocity and acceleration at its start and rests at `target` at its end.

    Args:
        value: at the start.
        velocity: at the start, a step.
        acceleration: at the start, a step squared.
        target: the value at the end, where velocity and acceleration are 0.
        duration: in steps, above 0.

    Returns:
        Coefficients `[6]` of the powers 0 to 5 of the share of the way in [0, 1].
    """
    v, a, change = velocity * duration, acceleration * duration**2, target - value
    return np.array(
        [
            value,
            v,
            a / 2,
            10 * change - 6 * v - 1.5 * a,
            -15 * change + 8 * v + 1.5 * a,
            6 * change - 3 * v - 0.5 * a,
        ]
    )


def _from_both_ends(
    start: float, end: float, share: Float[np.ndarray, " step"], near: Float[np.ndarray, " step"]
) -> Float[np.ndarray, " step"]:
    """The values, given `near`: how far a unit change has come from the nearer end, in [0, 0.5].

    Over some hundred thousand steps, rounding takes the polynomial as printed past its end: a weight that
    fades to 0 would turn negative. Counted from the nearer end it cannot. Halves are subtracted, since the
    difference of two large values may overflow.
    """
    moved = (end / 2 - start / 2) * (2 * near)
    return np.where(share <= 0.5, start + moved, end - moved)
