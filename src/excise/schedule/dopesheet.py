"""Reads a dopesheet: a table of keyframes, one row a moment, one column a property.

```
STEP,PHASE,ACTION,lr,reg-anchor
0,Train,,1e-8,0.01
+10,,,0.01,
1000,,,0.1,0.04
+0.9,,,,0
3000,,,0.05,0
```

`STEP` is absolute (`1000`), or counts from the absolute rows around it: `+10` steps after the previous, `-10`
before the next, `+0.9` of the way to the next, `-0.1` of the way back from it. An empty cell is no keyframe. A
column may say how it moves: `lr:log:linear` (see `Column`).
"""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from excise.errors import DopesheetError, nearest, shorten
from excise.schedule.steps import Place, resolve

if TYPE_CHECKING:
    from excise.schedule.timeline import Timeline

__all__ = ["Column", "Dopesheet"]

SPACES = ("linear", "log")
INTERPOLATIONS = ("minjerk", "linear", "step", "step-end")
RESERVED = ("STEP", "PHASE", "ACTION")


@dataclass(frozen=True)
class Column:
    """One property over time.

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
class Dopesheet:
    """A schedule as it was written: keyframes, phases and actions, with every step resolved.

    Attributes:
        text: the CSV it was read from, so that a saved recipe can hold it.
        columns: the properties that have keyframes, in the order of the table.
        empty_columns: the names of columns without any keyframe.
        phases: the step at which each phase begins, and its name.
        actions: the events at each step that has any.
        num_steps: how many steps there are: the last one plus 1.
    """

    text: str
    columns: tuple[Column, ...]
    empty_columns: tuple[str, ...]
    phases: tuple[tuple[int, str], ...]
    actions: Mapping[int, tuple[str, ...]]
    num_steps: int

    @classmethod
    def read_csv(cls, path: str | Path) -> Self:
        """Read a dopesheet from a CSV file in UTF-8.

        Raises:
            DopesheetError: the file cannot be read, or does not say a schedule; line and column are named.
        """
        try:
            text = Path(path).read_bytes().decode("utf-8-sig")
        except OSError as error:
            raise DopesheetError(f"cannot read {path}: {error.strerror or error}.") from error
        except UnicodeDecodeError as error:
            raise DopesheetError(
                f"{path} is not text in UTF-8 (byte {error.start} is not); save it as CSV UTF-8."
            ) from error
        return cls.parse(text, source=str(path))

    @classmethod
    def parse(cls, text: str, source: str = "the dopesheet") -> Self:
        """Read a dopesheet from the text of a CSV file.

        Args:
            text: the table.
            source: what to call it in errors.

        Raises:
            DopesheetError: the text does not say a schedule; line and column are named.
        """
        return cls(text, **vars(_Parser(source).parse(text)))

    @property
    def properties(self) -> tuple[str, ...]:
        """The names of the properties that have keyframes."""
        return tuple(column.name for column in self.columns)

    def to_csv(self) -> str:
        """The table as it was written."""
        return self.text

    def timeline(self) -> "Timeline":
        """The value of every property at every step."""
        from excise.schedule.timeline import Timeline

        return Timeline.from_dopesheet(self)


@dataclass
class _Content:
    columns: tuple[Column, ...]
    empty_columns: tuple[str, ...]
    phases: tuple[tuple[int, str], ...]
    actions: dict[int, tuple[str, ...]]
    num_steps: int


@dataclass(frozen=True)
class _Row:
    line: int
    cells: dict[str, str]


class _Parser:
    def __init__(self, source: str) -> None:
        self.source = source

    def parse(self, text: str) -> _Content:
        header, rows = self._table(text)
        columns = self._columns(header)
        place = [Place(row.line, row.cells["STEP"]) for row in rows]
        steps = resolve(place, self.source)
        ordered = sorted(zip(steps, rows, strict=True), key=lambda pair: pair[0])
        written: dict[tuple[str, int], int] = {}
        keyframes: dict[str, list[tuple[int, float]]] = {title: [] for title in columns}
        phases: list[tuple[int, str]] = []
        actions: dict[int, tuple[str, ...]] = {}
        for step, row in ordered:
            for title, cell in row.cells.items():
                if not cell or title == "STEP":
                    continue
                if title == "ACTION":
                    events = tuple(event.strip() for event in cell.split(",") if event.strip())
                    actions[step] = actions.get(step, ()) + events
                    continue
                if (title, step) in written:
                    raise self._error(
                        row.line,
                        title,
                        f"step {step} is set a second time (first in line {written[title, step]}). "
                        f"Move one of the two rows, or leave one cell empty.",
                    )
                written[title, step] = row.line
                if title == "PHASE":
                    phases.append((step, cell))
                else:
                    keyframes[title].append((step, self._number(row.line, title, cell, columns[title][1])))
        return _Content(
            columns=tuple(
                Column(name, tuple(keyframes[title]), space, interpolation)
                for title, (name, space, interpolation) in columns.items()
                if keyframes[title]
            ),
            empty_columns=tuple(name for title, (name, _, _) in columns.items() if not keyframes[title]),
            phases=tuple(phases),
            actions=actions,
            num_steps=ordered[-1][0] + 1,
        )

    def _table(self, text: str) -> tuple[list[str], list[_Row]]:
        text = text.removeprefix("\ufeff")
        if "\0" in text:
            raise DopesheetError(f"{self.source} holds a NUL character; it is no CSV text.")
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        lines: list[tuple[int, list[str]]] = []
        try:
            for cells in reader:
                if any(cell.strip() for cell in cells):
                    lines.append((reader.line_num, [cell.strip() for cell in cells]))
        except csv.Error as error:
            raise DopesheetError(f"{self.source}, line {reader.line_num}: not CSV ({error}).") from error
        if not lines:
            raise DopesheetError(f"{self.source} is empty; a dopesheet has a header row and at least one keyframe row.")
        (_, header), *body = lines
        while header and not header[-1]:
            header.pop()
        if "STEP" not in header:
            hint = nearest("STEP", header)
            found = f" Did you mean to call {hint[0]!r} STEP?" if hint else ""
            raise DopesheetError(
                f"{self.source} has no column STEP; its header is {shorten(header)}.{found} "
                f"Every row needs a STEP, such as 1000, +10 or +0.5."
            )
        if not body:
            raise DopesheetError(f"{self.source} has a header but no rows; add one for each keyframe.")
        rows: list[_Row] = []
        for line, cells in body:
            extra = [cell for cell in cells[len(header) :] if cell]
            if extra:
                raise DopesheetError(
                    f"{self.source}, line {line}: {len(cells)} cells, but the header has {len(header)} columns; "
                    f"{extra[0]!r} belongs to none."
                )
            padded = cells + [""] * (len(header) - len(cells))
            rows.append(_Row(line, dict(zip(header, padded, strict=False))))
        return header, rows

    def _columns(self, header: list[str]) -> dict[str, tuple[str, str, str]]:
        """For each property's title: its name, space and interpolation."""
        columns: dict[str, tuple[str, str, str]] = {}
        seen: dict[str, str] = {}
        for title in header:
            name, _, how = title.partition(":")
            name = name.strip()
            if not name:
                raise DopesheetError(f"{self.source}: a column of the header has no name ({title!r}).")
            if name in seen:
                raise DopesheetError(f"{self.source}: two columns are for {name!r} ({seen[name]!r} and {title!r}).")
            seen[name] = title
            if name in RESERVED:
                if how:
                    raise DopesheetError(f"{self.source}: column {name} takes no interpolation; {title!r} came.")
                continue
            if name.upper() in RESERVED:
                raise DopesheetError(f"{self.source}: write the column {name!r} in capitals, {name.upper()}.")
            columns[title] = (name, *self._movement(title, how))
        return columns

    def _movement(self, title: str, how: str) -> tuple[str, str]:
        parts = [part.strip() for part in how.split(":")]
        if len(parts) > 2:
            raise DopesheetError(
                f"{self.source}: column {title!r} has too many parts; write property:space:interpolation."
            )
        space = parts[0] or SPACES[0]
        interpolation = (parts[1] if len(parts) == 2 else "") or INTERPOLATIONS[0]
        name = title.partition(":")[0]
        if space not in SPACES:
            hint = f" For an interpolation write {name}::{space}." if space in INTERPOLATIONS else ""
            raise self._unknown(title, "space", space, SPACES, hint)
        if interpolation not in INTERPOLATIONS:
            raise self._unknown(title, "interpolation", interpolation, INTERPOLATIONS, "")
        return space, "step-end" if interpolation == "step" else interpolation

    def _unknown(self, title: str, what: str, asked: str, known: Sequence[str], hint: str) -> DopesheetError:
        close = nearest(asked, known)
        meant = f" Did you mean {close[0]!r}?" if close else ""
        return DopesheetError(
            f"{self.source}: column {title!r} asks for the {what} {asked!r}; known are {shorten(known)}.{meant}{hint}"
        )

    def _number(self, line: int, title: str, cell: str, space: str) -> float:
        try:
            value = float(cell)
        except ValueError:
            raise self._error(line, title, f"{cell!r} is not a number; leave the cell empty for no keyframe.") from None
        if not math.isfinite(value) or "_" in cell:
            raise self._error(line, title, f"{cell!r} is not a finite number.")
        if space == "log" and value <= 0:
            raise self._error(line, title, f"{cell} came, but a column in log space holds values above 0 only.")
        return value

    def _error(self, line: int, title: str, message: str) -> DopesheetError:
        return DopesheetError(f"{self.source}, line {line}, column {title!r}: {message}")
