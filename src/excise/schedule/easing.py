"""How a value moves smoothly from where it is to rest at the next keyframe.

The minimum-jerk curve is the smoothest there is between two states; from rest it is
v0 + (v1 - v0)(10 t^3 - 15 t^4 + 6 t^5), with t the share of the way. Source: Flash and Hogan (1985), *The coordination of
arm movements*, Journal of Neuroscience 5(7), 1688-1703.
"""

import numpy as np

__all__ = ["quintic_to_rest"]


def quintic_to_rest(value: float, velocity: float, acceleration: float, target: float, duration: float) -> np.ndarray:
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
