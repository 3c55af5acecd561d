"""Turns the STEP cells of a dopesheet into step numbers."""

import re
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from excise.errors import DopesheetError

__all__ = ["MAX_STEP", "Place", "resolve"]

MAX_STEP = 10_000_000
"""The last step that a schedule may have: at that length a timeline takes 80 MB a property."""

_GRAMMAR = re.compile(r"(?P<sign>[+-]?)(?P<number>\d+|\d*\.\d+|\d+\.)", re.ASCII)


class Place(NamedTuple):
    """A STEP cell, and the line where it stands."""

    line: int
    cell: str


def resolve(places: Sequence[Place], source: str) -> list[int]:
    """The step of each row, in the order of the rows.

    `N` is absolute; `+N` and `-N` count from the absolute row before and after; `+0.F` and `-0.F` are shares
    of the way between the two, from the one before and back from the one after, rounded to the nearest step,
    ties to even.

    Raises:
        DopesheetError: a cell that is none of these, or has no absolute row to count from, or a step outside
            0 to 10,000,000 (`MAX_STEP`).
    """
    absolute = [_absolute(place, source) for place in places]
    before = _fill(absolute)
    after = _fill(absolute[::-1])[::-1]
    steps = []
    for place, own, previous, following in zip(places, absolute, before, after, strict=True):
        step = own if own is not None else _relative(place, previous, following, source)
        if not 0 <= step <= MAX_STEP:
            raise _error(place, source, f"comes to step {step}; steps run from 0 to {MAX_STEP}.")
        steps.append(step)
    return steps


def _absolute(place: Place, source: str) -> int | None:
    match = _GRAMMAR.fullmatch(place.cell)
    if match is None:
        raise _error(
            place,
            source,
            "is not a step. Write 1000 (absolute), +10 or -10 (steps after the previous or before the next "
            "absolute row), +0.5 or -0.5 (share of the way between them).",
        )
    sign, number = match["sign"], match["number"]
    if len(number) > 30:
        raise _error(place, source, f"is too long for a step; steps run from 0 to {MAX_STEP}.")
    if sign:
        return None
    if "." in number:
        share = f", or +{number} for a share of the way" if float(number) < 1 else ""
        raise _error(place, source, f"is absolute and broken; write a whole step{share}.")
    return int(number)


def _relative(place: Place, previous: int | None, following: int | None, source: str) -> int:
    forward, number = place.cell[0] == "+", place.cell[1:]
    if "." in number:
        share = Fraction(number.rstrip(".") or "0")
        if not 0 < share < 1:
            raise _error(place, source, "is no share: with a decimal point it lies between 0 and 1.")
        if previous is None or following is None:
            side = "before" if previous is None else "after"
            raise _error(place, source, f"is a share of the way, but no absolute row comes {side} it.")
        way = share * (following - previous)
        return round(previous + way if forward else following - way)
    count = int(number)
    if count < 1:
        raise _error(place, source, "counts no steps; relative steps are at least 1.")
    origin = previous if forward else following
    if origin is None:
        side = "before" if forward else "after"
        raise _error(place, source, f"counts from an absolute row {side} it, but there is none.")
    return origin + count if forward else origin - count


def _fill(values: Sequence[int | None]) -> list[int | None]:
    latest: int | None = None
    filled: list[int | None] = []
    for value in values:
        latest = value if value is not None else latest
        filled.append(latest)
    return filled


def _error(place: Place, source: str, message: str) -> DopesheetError:
    what = repr(place.cell) if place.cell else "an empty cell"
    return DopesheetError(f"{source}, line {place.line}, column 'STEP': {what} {message}")
