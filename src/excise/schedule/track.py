"""One property over time: the keyframes it is given, and the way it takes through them."""

import math
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int
from numpy.polynomial import Polynomial
from numpy.polynomial.polynomial import polyval

from excise.schedule.easing import linear, minimum_jerk, quintic_to_rest, step_end

__all__ = ["INTERPOLATIONS", "LOG_FLOOR", "SPACES", "Column", "Move", "Track"]

SPACES = ("linear", "log")
INTERPOLATIONS = ("minjerk", "linear", "step", "step-end")

LOG_FLOOR = 1e-10
"""The smallest value that a property in log space passes through; its keyframes may lie below."""


@dataclass(frozen=True)
class Column:
    """One property's keyframes.

    Attributes:
        name: the property.
        keyframes: step and value, in the order of steps; at least one.
        space: "linear", or "log" to move by factors instead of differences.
        interpolation: "minjerk" (smooth, from rest to rest), "linear", or "step-end" (holds, then jumps).
    """

    name: str
    keyframes: tuple[tuple[int, float], ...]
    space: str = "linear"
    interpolation: str = "minjerk"


@dataclass(frozen=True)
class Move:
    """What a property does from step `first` on: it arrives at step `last`, and rests there.

    Attributes:
        first: the step at which it sets out.
        last: the step at which it arrives.
        start: the value at `first`.
        end: the value from `last` on.
        velocity: at `first`, a step, in the property's space.
        acceleration: at `first`, a step squared, in the property's space.
    """

    first: int
    last: int
    start: float
    end: float
    velocity: float = 0.0
    acceleration: float = 0.0


@dataclass(frozen=True)
class Track:
    """One property's way: moves, each in force until the next sets out.

    Attributes:
        moves: in the order in which they set out, the first from step 0.
        space: "linear" or "log".
        interpolation: "minjerk", "linear" or "step-end".
    """

    moves: tuple[Move, ...]
    space: str
    interpolation: str

    @classmethod
    def from_column(cls, column: Column) -> "Track":
        """The way through a column's keyframes."""
        initial = column.keyframes[0][1]
        pairs = zip(column.keyframes[:-1], column.keyframes[1:], strict=True)
        moves = (Move(first, last, start, end) for (first, start), (last, end) in pairs)
        return cls((Move(0, 0, initial, initial), *moves), column.space, column.interpolation)

    def sample(self, num_steps: int) -> Float[np.ndarray, " {num_steps}"]:
        """The value at each step from 0, read-only: exactly the keyed value at each keyframe."""
        values = np.empty(num_steps)
        stops = [*(move.first for move in self.moves[1:]), num_steps]
        for move, stop in zip(self.moves, stops, strict=True):
            if move.first >= stop:
                continue
            arrival = min(move.last, stop)
            values[move.first : arrival] = self._curve(move, np.arange(move.first, arrival))
            values[move.first] = move.start
            values[arrival:stop] = move.end
        values.flags.writeable = False
        return values

    def retargeted(self, step: int, now: float, value: float, arrive: int) -> "Track":
        """The same way up to `step`, where the value is `now`, then to rest at `value` at step `arrive`."""
        velocity, acceleration = self._motion(step)
        kept = tuple(move for move in self.moves if move.first < step)
        return replace(self, moves=(*kept, Move(step, arrive, now, value, velocity, acceleration)))

    def _motion(self, step: int) -> tuple[float, float]:
        """Velocity (a step) and acceleration (a step squared) at a step, from the curve itself."""
        move = [move for move in self.moves if move.first <= step][-1]
        if self.interpolation != "minjerk" or step >= move.last:
            return 0.0, 0.0
        duration = move.last - move.first
        share = (step - move.first) / duration
        curve = Polynomial(self._quintic(move))
        return float(curve.deriv(1)(share)) / duration, float(curve.deriv(2)(share)) / duration**2

    def _curve(self, move: Move, steps: Int[np.ndarray, " step"]) -> Float[np.ndarray, " step"]:
        share = (steps - move.first) / max(move.last - move.first, 1)
        if self.interpolation == "step-end":
            return step_end(move.start, move.end, share)
        start, end = self._level(move.start), self._level(move.end)
        if self.interpolation == "linear":
            levels = linear(start, end, share)
        elif move.velocity == move.acceleration == 0:
            levels = minimum_jerk(start, end, share)
        else:
            levels = polyval(share, self._quintic(move))
            return np.exp(levels) if self.space == "log" else levels
        if self.space == "linear":
            return levels
        # The exponential of a logarithm misses the value by a rounding error, on either side.
        bounds = max(move.start, LOG_FLOOR), max(move.end, LOG_FLOOR)
        return np.clip(np.exp(levels), min(bounds), max(bounds))

    def _quintic(self, move: Move) -> Float[np.ndarray, " 6"]:
        start, end = self._level(move.start), self._level(move.end)
        return quintic_to_rest(start, move.velocity, move.acceleration, end, float(move.last - move.first))

    def _level(self, value: float) -> float:
        """A value in the property's space."""
        return math.log(max(value, LOG_FLOOR)) if self.space == "log" else value
