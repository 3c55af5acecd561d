"""Reads the text of a dopesheet: header, rows and cells, and every way in which they can be wrong."""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from excise.errors import DopesheetError, nearest, shorten
from excise.schedule.steps import Place, resolve
from excise.schedule.track import INTERPOLATIONS, SPACES, Column

__all__ = ["RESERVED", "Content", "Parser"]

RESERVED = ("STEP", "PHASE", "ACTION")


@dataclass(frozen=True)
class Content:
    """What a dopesheet says; the attributes are those of `Dopesheet`."""

    columns: tuple[Column, ...]
    empty_columns: tuple[str, ...]
    phases: tuple[tuple[int, str], ...]
    actions: dict[int, tuple[str, ...]]
    num_steps: int


class _Row(NamedTuple):
    line: int
    cells: dict[str, str]


class _Heading(NamedTuple):
    name: str
    space: str
    interpolation: str


class Parser:
    """Reads one text.

    Args:
        source: what to call the text in errors.
    """

    def __init__(self, source: str) -> None:
        self.source = source

    def parse(self, text: str) -> Content:
        """What the text says.

        Raises:
            DopesheetError: the text does not say a schedule; line and column are named.
        """
        (header_line, titles), *body = self._lines(text)
        headings = self._headings(header_line, titles)
        rows = [self._row(line, titles, cells) for line, cells in body]
        if not rows:
            raise DopesheetError(f"{self.source} has a header but no rows; add one for each keyframe.")
        steps = resolve([Place(row.line, row.cells["STEP"]) for row in rows], self.source)
        ordered = sorted(zip(steps, rows, strict=True), key=lambda pair: pair[0])
        keyframes = {
            title: self._keyframes(ordered, title, space) for title, (_, space, _) in headings.items()
        }
        return Content(
            columns=tuple(
                Column(name, keyframes[title], space, interpolation)
                for title, (name, space, interpolation) in headings.items()
                if keyframes[title]
            ),
            empty_columns=tuple(name for title, (name, _, _) in headings.items() if not keyframes[title]),
            phases=self._phases(ordered),
            actions=_actions(ordered),
            num_steps=ordered[-1][0] + 1,
        )

    def _lines(self, text: str) -> list[tuple[int, list[str]]]:
        """The lines that are not blank, each with the number of the line where it begins; at least one."""
        text = text.removeprefix("\ufeff")
        if "\0" in text:
            line = text.count("\n", 0, text.index("\0")) + 1
            raise DopesheetError(f"{self.source}, line {line}: holds a NUL character, so it is no CSV text.")
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        lines: list[tuple[int, list[str]]] = []
        begins = 1
        try:
            for cells in reader:
                stripped = [cell.strip() for cell in cells]
                if any(stripped):
                    lines.append((begins, stripped))
                begins = reader.line_num + 1
        except csv.Error as error:
            raise DopesheetError(f"{self.source}, line {begins}: not CSV ({error}).") from error
        if not lines:
            raise DopesheetError(
                f"{self.source} is empty; a dopesheet has a header row and at least one keyframe row."
            )
        return lines

    def _headings(self, line: int, titles: Sequence[str]) -> dict[str, _Heading]:
        """For each property's title: its name, space and interpolation."""
        if "STEP" not in titles:
            hint = nearest("STEP", titles)
            found = f" Did you mean to call {hint[0]!r} STEP?" if hint else ""
            apart = [mark for mark in ";\t|" if any(title.startswith(f"STEP{mark}") for title in titles)]
            if apart:
                found = f" Its columns are separated by {apart[0]!r}; a dopesheet's are by commas."
            raise DopesheetError(
                f"{self.source}, line {line}: no column is called STEP; the header is {shorten(titles)}."
                f"{found} Every row needs a STEP, such as 1000, +10 or +0.5."
            )
        headings: dict[str, _Heading] = {}
        seen: dict[str, str] = {}
        for number, title in enumerate(titles, 1):
            name, *how = (part.strip() for part in title.split(":"))
            if not name:
                raise self._error(
                    line, title, f"column {number} has no name. Name its property, or delete the column."
                )
            if name in seen:
                raise self._error(line, title, f"{name!r} has a column already, {seen[name]!r}. Delete one.")
            seen[name] = title
            if name.upper() not in RESERVED:
                headings[title] = _Heading(name, *self._movement(line, title, name, how))
            elif how:
                raise self._error(line, title, f"{name} takes no space and no interpolation; write {name}.")
            elif name not in RESERVED:
                raise self._error(line, title, f"write {name.upper()}, in capitals.")
        return headings

    def _movement(self, line: int, title: str, name: str, how: Sequence[str]) -> tuple[str, str]:
        if len(how) > 2:
            raise self._error(line, title, "too many parts; write property:space:interpolation.")
        space, interpolation = (*how, "", "")[:2]
        if space and space not in SPACES:
            close = nearest(space, INTERPOLATIONS)
            hint = f" For an interpolation write '{name}::{close[0]}'." if close else ""
            raise self._error(line, title, _unknown("space", space, SPACES) + hint)
        if interpolation and interpolation not in INTERPOLATIONS:
            close = nearest(interpolation, SPACES)
            hint = f" For a space write '{name}:{close[0]}'." if close else ""
            raise self._error(line, title, _unknown("interpolation", interpolation, INTERPOLATIONS) + hint)
        canonical = {"": INTERPOLATIONS[0], "step": "step-end"}
        return space or SPACES[0], canonical.get(interpolation, interpolation)

    def _row(self, line: int, titles: Sequence[str], cells: Sequence[str]) -> _Row:
        if len(cells) > len(titles):
            raise DopesheetError(
                f"{self.source}, line {line}: {len(cells)} cells, but the header has {len(titles)} columns; "
                f"{cells[len(titles)]!r} belongs to none. Count the commas of this row."
            )
        return _Row(line, {**dict.fromkeys(titles, ""), **dict(zip(titles, cells, strict=False))})

    def _keyframes(
        self, ordered: Sequence[tuple[int, _Row]], title: str, space: str
    ) -> tuple[tuple[int, float], ...]:
        keyframes: dict[int, float] = {}
        lines: dict[int, int] = {}
        for step, (line, cells) in ordered:
            if not cells[title]:
                continue
            if step in keyframes:
                raise self._twice(line, title, step, lines[step])
            keyframes[step], lines[step] = self._number(line, title, cells[title], space), line
        return tuple(keyframes.items())

    def _phases(self, ordered: Sequence[tuple[int, _Row]]) -> tuple[tuple[int, str], ...]:
        phases: dict[int, tuple[str, int]] = {}
        for step, (line, cells) in ordered:
            name = cells.get("PHASE", "")
            if name and phases.setdefault(step, (name, line))[0] != name:
                raise self._twice(line, "PHASE", step, phases[step][1])
        return tuple((step, name) for step, (name, _) in phases.items())

    def _number(self, line: int, title: str, cell: str, space: str) -> float:
        try:
            # Python reads 1_000 as a number; a spreadsheet does not.
            value = float(cell.replace("_", "?") if cell.isascii() else "?")
        except ValueError:
            raise self._error(
                line, title, f"{cell!r} is not a number; leave the cell empty for no keyframe."
            ) from None
        if not math.isfinite(value):
            raise self._error(line, title, f"{cell!r} is not a finite number; write one that is.")
        if space == "log" and value <= 0:
            raise self._error(
                line,
                title,
                f"{cell} came, but a column in log space holds values above 0 only; "
                f"write a small one, or leave the column in linear space.",
            )
        return value

    def _twice(self, line: int, title: str, step: int, first: int) -> DopesheetError:
        return self._error(
            line,
            title,
            f"step {step} is set a second time (first in line {first}). "
            f"Move one of the two rows, or leave one cell empty.",
        )

    def _error(self, line: int, title: str, message: str) -> DopesheetError:
        return DopesheetError(f"{self.source}, line {line}, column {title!r}: {message}")


def _unknown(what: str, asked: str, known: Sequence[str]) -> str:
    close = nearest(asked, known)
    meant = f" Did you mean {close[0]!r}?" if close else ""
    return f"no {what} is called {asked!r}; known are {shorten(known)}.{meant}"


def _actions(ordered: Sequence[tuple[int, _Row]]) -> dict[int, tuple[str, ...]]:
    actions: dict[int, tuple[str, ...]] = {}
    for step, (_, cells) in ordered:
        events = tuple(event.strip() for event in cells.get("ACTION", "").split(",") if event.strip())
        if events:
            actions[step] = (*actions.get(step, ()), *events)
    return actions
