"""The value of every property at every step.

A property rests at its first keyed value until the first keyframe, arrives exactly at each keyframe, and
rests at the last. A minimum-jerk property moves from rest to rest, unless it is retargeted while it moves.
"""

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TypeVar

import numpy as np
from jaxtyping import Float

from excise.errors import SettingError, UnknownPropertyError, shorten
from excise.schedule.track import Column, Track
from excise.showing import Html, block, curves

__all__ = ["Phase", "Timeline", "restored_timeline"]

Value = TypeVar("Value")


class _ByProperty(dict[str, Value]):
    """A dict that answers a misspelt property with the nearest names."""

    def __missing__(self, name: str) -> Value:
        raise UnknownPropertyError(name, self, "in this timeline")


@dataclass(frozen=True)
class Phase:
    """A named stretch of the schedule, from step `first` to step `last`, both included."""

    name: str
    first: int
    last: int


@dataclass(frozen=True, eq=False, repr=False)
class Timeline:
    """A schedule as a table, one row a step and one column a property; it never changes.

    Attributes:
        table: for each property a read-only float64 array `[num_steps]`; a name that is not there raises
            `UnknownPropertyError`.
        num_steps: how many steps there are, from 0.
        phases: the named stretches, in order.
        actions: the events at each step that has any.
        tracks: the way of each property, from which the table was sampled.
    """

    table: Mapping[str, Float[np.ndarray, " step"]]
    num_steps: int
    phases: tuple[Phase, ...]
    actions: Mapping[int, tuple[str, ...]]
    tracks: Mapping[str, Track]

    @classmethod
    def from_columns(
        cls,
        columns: Iterable[Column],
        num_steps: int,
        phases: Sequence[tuple[int, str]] = (),
        actions: Mapping[int, tuple[str, ...]] = MappingProxyType({}),
    ) -> "Timeline":
        """The timeline of some keyframes.

        Args:
            columns: the properties, each name once.
            num_steps: how many steps the timeline has; no keyframe lies past its end.
            phases: the step at which each phase begins, and its name, in the order of steps.
            actions: the events at each step that has any.
        """
        tracks = {column.name: Track.from_column(column) for column in columns}
        firsts = [*(first for first, _ in phases), num_steps]
        return cls(
            table=_read_only({name: track.sample(num_steps) for name, track in tracks.items()}),
            num_steps=num_steps,
            phases=tuple(
                Phase(name, first, following - 1)
                for (first, name), following in zip(phases, firsts[1:], strict=True)
            ),
            actions=MappingProxyType(dict(actions)),
            tracks=_read_only(tracks),
        )

    def __repr__(self) -> str:
        return f"<Timeline of {shorten(self.table)}: {self.num_steps} steps>"

    def _repr_html_(self) -> str:
        title = f"Timeline: {len(self.table)} properties over {self.num_steps} steps"
        phases = ", ".join(f"{phase.name} (steps {phase.first} to {phase.last})" for phase in self.phases)
        return block(title, *([f"Phases: {phases}"] if phases else []), self.as_curves())

    def as_curves(self) -> Html:
        """The course of each property, for a notebook."""
        columns = [(name, values, self.tracks[name].space == "log") for name, values in self.table.items()]
        return curves(columns, f"step 0 to {self.num_steps - 1}")

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

        A minimum-jerk property keeps its value, velocity and acceleration at `step` (in log space, those of
        its logarithm), so that nothing jerks; it may overshoot. A linear one turns at once; a stepped one
        holds and jumps on arrival. Keyframes after `step` are dropped; up to `step` the table keeps its bits.

        Args:
            name: the property.
            step: the last step that keeps its value.
            value: the new target; above 0 for a property in log space.
            arrive: the step of arrival, after `step`; it may lie past the end.

        Raises:
            UnknownPropertyError: there is no such property.
            SettingError: a step out of order or out of range, or a value that is not finite or cannot be.
        """
        track = self.tracks[name]
        self._check_step(step)
        if arrive <= step:
            raise SettingError(f"a property arrives after it leaves; step={step} and arrive={arrive} came.")
        if not math.isfinite(value):
            raise SettingError(f"the target of {name!r} is a finite number; {value} came.")
        if track.space == "log" and value <= 0:
            raise SettingError(f"{name!r} moves in log space, so its target lies above 0; {value} came.")
        before = self.table[name]
        track = track.retargeted(step, float(before[step]), float(value), arrive)
        values = np.concatenate([before[: step + 1], track.sample(self.num_steps)[step + 1 :]])
        values.flags.writeable = False
        return replace(
            self,
            table=_read_only({**self.table, name: values}),
            tracks=_read_only({**self.tracks, name: track}),
        )

    def __reduce__(self) -> tuple[object, ...]:
        """Copy and pickle by way of plain dicts: a read-only view of one can do neither."""
        return restored_timeline, (
            dict(self.table),
            self.num_steps,
            self.phases,
            dict(self.actions),
            dict(self.tracks),
        )

    def _check_step(self, step: int) -> None:
        if not 0 <= step < self.num_steps:
            raise SettingError(f"the timeline runs from step 0 to {self.num_steps - 1}; {step} came.")


def restored_timeline(
    table: dict[str, np.ndarray],
    num_steps: int,
    phases: tuple[Phase, ...],
    actions: dict[int, tuple[str, ...]],
    tracks: dict[str, Track],
) -> Timeline:
    """The timeline that had these attributes, as a copy, a pickle or a checkpoint gives them back."""
    for values in table.values():
        values.flags.writeable = False
    return Timeline(_read_only(table), num_steps, phases, MappingProxyType(actions), _read_only(tracks))


def _read_only(by_property: dict[str, Value]) -> Mapping[str, Value]:
    return MappingProxyType(_ByProperty(by_property))
