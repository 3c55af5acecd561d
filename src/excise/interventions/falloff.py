"""How an intervention's strength depends on alignment: falloffs for suppression, mappers for repulsion.

Alignment is how far a latent points along a concept's direction, from 0 (at right angles, or away) to 1. A falloff
says which share of the latent's component is taken away at each alignment; a mapper says which alignment a latent
is given instead of its own. Each is a frozen description, called with alignments of any shape.

Source: *Sparse Concept Anchoring for Interpretable and Controllable Neural Representations* (arXiv 2512.12469).
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from excise.constants import constant_like
from excise.errors import SettingError
from excise.interventions.bezier import height_at
from excise.interventions.checks import keep_real, real, whole, widened

__all__ = ["BezierMapper", "BoundedFalloff", "Falloff", "LinearMapper", "Mapper", "TabulatedMapper"]

_SAME_END = 1e-6
"""How far the last value of a table may be from the end that it states: rounding."""


class Falloff(ABC):
    """The strength of a suppression by alignment."""

    @abstractmethod
    def __call__(self, alignment: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """The strength in [0, 1] at each alignment in [0, 1]."""


@dataclass(frozen=True)
class BoundedFalloff(Falloff):
    """No strength up to a bound; from there it rises as a power: b ((alpha - a) / (1 - a))^p.

    Args:
        start: the alignment a up to which nothing happens, in [0, 1).
        strength: the strength b at full alignment, in [0, 1].
        power: the exponent p, at least 0; 1 rises linearly, 0 jumps to full strength just above the bound.

    Raises:
        SettingError: a value outside its range.
    """

    start: float = 0.0
    strength: float = 1.0
    power: float = 1.0

    def __post_init__(self) -> None:
        keep_real(self, "start", "strength", "power")
        if not (0 <= self.start < 1 and 0 <= self.strength <= 1 and 0 <= self.power < math.inf):
            raise SettingError(
                f"BoundedFalloff takes a start in [0, 1), a strength in [0, 1] and a power of at least 0; "
                f"start={self.start}, strength={self.strength}, power={self.power} came."
            )

    def __call__(self, alignment: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """The strength at each alignment; exactly 0 up to the start."""
        above = alignment > self.start
        # Below the bound the power is taken of 1, so that no gradient there is infinite times zero.
        share = ((alignment - self.start) / (1 - self.start)).masked_fill(~above, 1)
        return (self.strength * share.pow(self.power)).masked_fill(~above, 0)


class Mapper(ABC):
    """The alignment that a repulsion gives a latent, by its own."""

    start: float
    end: float

    @abstractmethod
    def __call__(self, alignment: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """The new alignment, in [0, 1], at each alignment in [0, 1]; up to `start` it is the old one."""


@dataclass(frozen=True)
class LinearMapper(Mapper):
    """Squeezes the alignments above a bound evenly: a + (b - a) (alpha - a) / (1 - a).

    Args:
        start: the alignment a up to which nothing happens, in [0, 1).
        end: the alignment b that full alignment is mapped to, in [0, 1].

    Raises:
        SettingError: a value outside its range.
    """

    start: float
    end: float

    def __post_init__(self) -> None:
        _check_bounds(self)

    def __call__(self, alignment: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """The new alignment at each alignment."""
        squeezed = self.start + (self.end - self.start) * (alignment - self.start) / (1 - self.start)
        return torch.where(alignment > self.start, squeezed, alignment)


@dataclass(frozen=True)
class BezierMapper(Mapper):
    """Bends the alignments above a bound smoothly, along a cubic Bezier from (a, a) to (1, b).

    It sets out with slope 1, so that nothing kinks at the bound, and arrives with `end_slope`. The inner control
    points lie 1/sqrt(2) of the way from each end to the point where the tangents of the ends cross.

    Args:
        start: the alignment a up to which nothing happens, in [0, 1).
        end: the alignment b that full alignment is mapped to, in [start, 1].
        end_slope: the slope at full alignment, in [0, 1); the tangents must cross between the ends.

    Raises:
        SettingError: a value outside its range.
    """

    start: float
    end: float
    end_slope: float = 0.0

    def __post_init__(self) -> None:
        _check_bounds(self)
        keep_real(self, "end_slope")
        if not 0 <= self.end_slope < 1:
            raise SettingError(f"BezierMapper takes an end_slope in [0, 1); {self.end_slope} came.")
        crossing = (self.end - self.end_slope) / (1 - self.end_slope)
        if not self.start <= crossing <= 1:
            raise SettingError(
                f"the tangents of BezierMapper(start={self.start}, end={self.end}, end_slope={self.end_slope}) "
                f"cross at alignment {crossing:.3g}, outside [start, 1]; raise end or lower end_slope."
            )

    @property
    def controls(self) -> tuple[tuple[float, float], ...]:
        """The four control points, (alignment, new alignment)."""
        crossing = (self.end - self.end_slope) / (1 - self.end_slope)
        first, last = (self.start, self.start), (1.0, self.end)
        inner = [tuple(at + (crossing - at) / math.sqrt(2) for at in point) for point in (first, last)]
        return first, (inner[0][0], inner[0][1]), (inner[1][0], inner[1][1]), last

    def __call__(self, alignment: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """The new alignment at each alignment, exact to rounding."""
        mapped = height_at(self.controls, widened(alignment).clamp(self.start, 1))
        return torch.where(alignment > self.start, mapped.to(alignment.dtype), alignment)

    def tabulated(self, entries: int = 257) -> "TabulatedMapper":
        """The same curve as a table of at least two entries, linear in between: a lookup instead of an equation.

        Raises:
            SettingError: fewer than two entries.
        """
        count = whole(entries, "the entries of a table")
        if count < 2:
            raise SettingError(f"a table has at least two entries; {count} came.")
        alignments = torch.linspace(self.start, 1, count, dtype=torch.float64)
        return TabulatedMapper(self.start, self.end, tuple(self(alignments).tolist()))


@dataclass(frozen=True)
class TabulatedMapper(Mapper):
    """A mapper given by values at evenly spaced alignments from `start` to 1, linear in between.

    Args:
        start: the alignment up to which nothing happens, in [0, 1).
        end: the alignment that full alignment is mapped to: the last of the values.
        values: the new alignments, in [0, 1]; at least two.

    Raises:
        SettingError: a value outside its range.
    """

    start: float
    end: float
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        _check_bounds(self)
        if isinstance(self.values, str) or not isinstance(self.values, Iterable):
            raise SettingError(f"TabulatedMapper takes a sequence of values; {self.values!r} came.")
        values = tuple(real(value, "TabulatedMapper takes numbers as values") for value in self.values)
        object.__setattr__(self, "values", values)
        if len(values) < 2 or not all(0 <= value <= 1 for value in values):
            raise SettingError("TabulatedMapper takes at least two values, each in [0, 1].")
        if abs(values[-1] - self.end) > _SAME_END:
            raise SettingError(
                f"the values of a TabulatedMapper end at its end; the last is {values[-1]}, end={self.end} came."
            )

    def __call__(self, alignment: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """The new alignment at each alignment."""
        exact = widened(alignment)
        table = constant_like(self.values, exact)
        last = len(self.values) - 1
        places = ((exact - self.start) / (1 - self.start) * last).clamp(0, last)
        # What is not a number has no place in the table; it is handed back as it came.
        left = places.detach().nan_to_num(0).floor().clamp_max(last - 1)
        index = left.long().reshape(-1)
        low, high = (table.index_select(0, at).reshape(exact.shape) for at in (index, index + 1))
        mapped = low + (high - low) * (places - left)
        return torch.where(alignment > self.start, mapped.to(alignment.dtype), alignment)


def _check_bounds(mapper: Mapper) -> None:
    keep_real(mapper, "start", "end")
    if not (0 <= mapper.start < 1 and 0 <= mapper.end <= 1):
        raise SettingError(
            f"{type(mapper).__name__} takes a start in [0, 1) and an end in [0, 1]; "
            f"start={mapper.start}, end={mapper.end} came."
        )
