"""The value of every property at every step.

A property rests at its first value until the first keyframe, arrives exactly at each keyframe, and rests at the
last. Between two keyframes it follows a segment; a minimum-jerk segment starts and ends at rest, unless the
property was retargeted while it moved.
"""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType

import numpy as np
from jaxtyping import Float
from numpy.polynomial.polynomial import polyval

from excise.errors import SettingError, UnknownPropertyError
from excise.schedule.dopesheet import Column, Dopesheet
from excise.schedule.easing import quintic_to_rest

__all__ = ["Phase", "Timeline"]

_FLOOR = 1e-10
"""The smallest value that log space knows."""


@dataclass(frozen=True)
class Phase:
    """A named stretch of the schedule, from step `first` to step `last`, both included."""

    name: str
    first: int
    last: int


@dataclass(frozen=True)
class Timeline:
    """A schedule as a table.

    Attributes:
        table: for each property a read-only float64 array `[num_steps]`.
        num_steps: how many steps there are, from 0.
        phases: the named stretches, in order.
        actions: the events at each step that has any.
        tracks: the way of each property, from which the table was sampled.
    """

    table: Mapping[str, Float[np.ndarray, " step"]]
    num_steps: int
    phases: tuple[Phase, ...]
    actions: Mapping[int, tuple[str, ...]]
    tracks: Mapping[str, "Track"]

    @classmethod
    def from_dopesheet(cls, dopesheet: Dopesheet) -> "Timeline":
        """The timeline of a dopesheet."""
        tracks = {column.name: Track.from_column(column) for column in dopesheet.columns}
        begins = [step for step, _ in dopesheet.phases] + [dopesheet.num_steps]
        return cls(
            table=MappingProxyType({name: track.sample(dopesheet.num_steps) for name, track in tracks.items()}),
            num_steps=dopesheet.num_steps,
            phases=tuple(
                Phase(name, first, following - 1)
                for (first, name), following in zip(dopesheet.phases, begins[1:], strict=True)
            ),
            actions=MappingProxyType(dict(dopesheet.actions)),
            tracks=MappingProxyType(tracks),
        )

    @property
    def properties(self) -> tuple[str, ...]:
        """The names of the properties."""
        return tuple(self.table)

    def at(self, step: int) -> dict[str, float]:
        """The value of each property at one step.

        Raises:
            SettingError: there is no such step.
        """
        self._check_step(step)
        return {name: float(values[step]) for name, values in self.table.items()}

    def phase_at(self, step: int) -> Phase | None:
        """The phase that holds at a step; None before the first.

        Raises:
            SettingError: there is no such step.
        """
        self._check_step(step)
        index = bisect_right([phase.first for phase in self.phases], step)
        return self.phases[index - 1] if index else None

    def retarget(self, name: str, *, step: int, value: float, arrive: int) -> "Timeline":
        """A timeline whose property leaves its way at `step`, to rest at `value` from step `arrive` on.

        A smooth property keeps its value, velocity and acceleration at `step` (in log space, those of its
        logarithm), so that nothing jerks; a linear one turns at once; a stepped one holds and jumps on arrival.

        Args:
            name: the property.
            step: the last step that keeps its value.
            value: the new target; above 0 for a property in log space.
            arrive: the step of arrival, after `step`; it may lie past the end.

        Raises:
            UnknownPropertyError: there is no such property.
            SettingError: a step out of order or out of range, or a value that is not finite or cannot be.
        """
        if name not in self.tracks:
            raise UnknownPropertyError(name, self.tracks, "in this timeline")
        self._check_step(step)
        if arrive <= step:
            raise SettingError(f"a property arrives after it leaves; step={step} and arrive={arrive} came.")
        track = self.tracks[name].retargeted(step, value, arrive)
        tracks = {**self.tracks, name: track}
        values = track.sample(self.num_steps)
        return replace(
            self, table=MappingProxyType({**self.table, name: values}), tracks=MappingProxyType(tracks)
        )

    def _check_step(self, step: int) -> None:
        if not 0 <= step < self.num_steps:
            raise SettingError(f"the timeline runs from step 0 to {self.num_steps - 1}; {step} came.")


@dataclass(frozen=True)
class _Segment:
    """A property's way from `first` to `last`, as a polynomial of the share of the way, in the property's space."""

    first: int
    last: int
    coefficients: tuple[float, ...]

    def state(self, step: int) -> tuple[float, float, float]:
        """Value, velocity (a step) and acceleration (a step squared) at a step of the segment."""
        duration = self.last - self.first
        curve = np.polynomial.Polynomial(self.coefficients)
        t = (step - self.first) / duration
        return float(curve(t)), float(curve.deriv(1)(t)) / duration, float(curve.deriv(2)(t)) / duration**2


@dataclass(frozen=True)
class Track:
    """One property's whole way: its keyframes, and the segments between them."""

    column: Column
    segments: tuple[_Segment, ...]

    @classmethod
    def from_column(cls, column: Column) -> "Track":
        """The way through a column's keyframes."""
        pairs = zip(column.keyframes[:-1], column.keyframes[1:], strict=True)
        segments = tuple(_between(column, start, end) for start, end in pairs)
        return cls(column, segments)

    @cached_property
    def _log(self) -> bool:
        return self.column.space == "log"

    def sample(self, num_steps: int) -> Float[np.ndarray, " step"]:
        """The value at each step from 0, read-only."""
        keyframes = self.column.keyframes
        values = np.empty(num_steps)
        values[: keyframes[0][0] + 1] = keyframes[0][1]
        for segment in self.segments:
            steps = np.arange(segment.first, min(segment.last, num_steps))
            curve = polyval((steps - segment.first) / (segment.last - segment.first), segment.coefficients)
            values[segment.first : segment.last] = np.exp(curve) if self._log else curve
        values[keyframes[-1][0] :] = keyframes[-1][1]
        for step, value in keyframes:
            if step < num_steps:
                values[step] = value
        values.flags.writeable = False
        return values

    def retargeted(self, step: int, value: float, arrive: int) -> "Track":
        """The same way up to `step`, then to `value` at `arrive`.

        Raises:
            SettingError: the value is not finite, or not above 0 in log space.
        """
        if not np.isfinite(value) or (self._log and value <= 0):
            allowed = "above 0 (it moves in log space)" if self._log else "finite"
            raise SettingError(f"the target of {self.column.name!r} is {allowed}; {value} came.")
        level, velocity, acceleration = self._state(step)
        now = float(np.exp(level)) if self._log else level
        kept = tuple(keyframe for keyframe in self.column.keyframes if keyframe[0] < step)
        kept = (*kept, (step, dict(self.column.keyframes).get(step, now)))
        column = replace(self.column, keyframes=(*kept, (arrive, value)))
        segments = tuple(segment for segment in self.segments if segment.last <= step)
        for segment in self.segments:
            if segment.first < step < segment.last:
                segments = (*segments, _head(segment, step))
        if self.column.interpolation == "minjerk":
            target = float(np.log(max(value, _FLOOR))) if self._log else value
            curve = quintic_to_rest(level, velocity, acceleration, target, arrive - step)
            return Track(column, (*segments, _Segment(step, arrive, tuple(curve.tolist()))))
        return Track(column, (*segments, _between(column, kept[-1], (arrive, value))))

    def _state(self, step: int) -> tuple[float, float, float]:
        for segment in self.segments:
            if segment.first <= step < segment.last:
                return segment.state(step)
        keyframes = self.column.keyframes
        resting = keyframes[0][1] if step < keyframes[0][0] else keyframes[-1][1]
        return (float(np.log(max(resting, _FLOOR))) if self._log else resting), 0.0, 0.0


def _between(column: Column, start: tuple[int, float], end: tuple[int, float]) -> _Segment:
    (first, here), (last, there) = start, end
    if column.space == "log":
        here, there = float(np.log(max(here, _FLOOR))), float(np.log(max(there, _FLOOR)))
    if column.interpolation == "step-end":
        coefficients: tuple[float, ...] = (here,)
    elif column.interpolation == "linear":
        coefficients = (here, there - here)
    else:
        coefficients = tuple(quintic_to_rest(here, 0.0, 0.0, there, 1.0).tolist())
    return _Segment(first, last, coefficients)


def _head(segment: _Segment, step: int) -> _Segment:
    """The part of a segment up to `step`: the same curve, over a shorter way."""
    share = (step - segment.first) / (segment.last - segment.first)
    scaled = tuple(value * share**power for power, value in enumerate(segment.coefficients))
    return _Segment(segment.first, step, scaled)
