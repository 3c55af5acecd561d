"""A dopesheet: a table of keyframes, one row a moment, one column a property.

```
STEP,PHASE,ACTION,lr,reg-anchor
0,Train,,1e-8,0.01
+10,,,0.01,
1000,,,0.1,0.04
+0.9,,,,0
3000,,,0.05,0
```

`STEP` is absolute (`1000`), or counts from the absolute rows around it: `+10` steps after the previous, `-10`
before the next, `+0.9` of the way to the next, `-0.1` of the way back from it. Rows are sorted by the steps
that this comes to; the last, at most 10,000,000, ends the schedule. An empty cell is no keyframe. `PHASE`
names a stretch that holds until the next; `ACTION` lists events, separated by commas.

The header of a property may say how it moves, `property:space:interpolation`: the space is `linear` (default)
or `log`, the interpolation `minjerk` (default), `linear` or `step-end` (also `step`). `lr:log` is in log
space, `lr::step-end` jumps.
"""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from excise.errors import DopesheetError, shorten
from excise.schedule.parsing import RESERVED, Parser
from excise.schedule.timeline import Timeline
from excise.schedule.track import Column
from excise.showing import block, table

__all__ = ["Dopesheet"]


@dataclass(frozen=True, repr=False)
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
    def read_csv(cls, path: str | Path) -> "Dopesheet":
        """Read a dopesheet from a CSV file in UTF-8.

        Raises:
            DopesheetError: the file cannot be read, or does not say a schedule; line and column are named.
        """
        try:
            content = Path(path).read_bytes()
        except OSError as error:
            raise DopesheetError(f"cannot read {path}: {error.strerror or error}.") from error
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = error.object.count(b"\n", 0, error.start) + 1
            raise DopesheetError(
                f"{path}, line {line}: not text in UTF-8; save the table as CSV UTF-8."
            ) from error
        return cls.parse(text, source=str(path))

    @classmethod
    def parse(cls, text: str, source: str = "<text>") -> "Dopesheet":
        """Read a dopesheet from the text of a CSV file.

        Args:
            text: the table.
            source: what to call it in errors.

        Raises:
            DopesheetError: the text does not say a schedule; line and column are named.
        """
        return cls(text, **vars(Parser(source).parse(text)))

    @classmethod
    def from_keyframes(cls, keyframes: Mapping[str, Mapping[int, float]]) -> "Dopesheet":
        """Write a dopesheet in code: `from_keyframes({"lr:log": {0: 1e-3, 100: 1e-2}})`.

        Args:
            keyframes: for each property the values at absolute steps. A key is a column's header, and so may
                say how the property moves: `lr:log`, `lr::step-end`.

        Raises:
            DopesheetError: a step below 0, a reserved name, or what `parse` refuses (line 2: first step).
        """
        for name, column in keyframes.items():
            if not isinstance(column, Mapping) or not all(
                isinstance(step, int) and isinstance(value, int | float) for step, value in column.items()
            ):
                raise DopesheetError(
                    f"{name!r} takes values by step, such as {{0: 0.1, 100: 0.2}}; {column!r} came."
                )
        steps = sorted({step for column in keyframes.values() for step in column})
        if steps and steps[0] < 0:
            raise DopesheetError(f"keyframes stand at steps from 0 on; {steps[0]} came.")
        reserved = [name for name in keyframes if name.strip() in RESERVED]
        if reserved:
            raise DopesheetError(f"{reserved[0]!r} is no property; write phases and actions in a CSV.")
        written = io.StringIO()
        writer = csv.writer(written, lineterminator="\n")
        writer.writerow(["STEP", *keyframes])
        for step in steps:
            cells = [float(column[step]) if step in column else "" for column in keyframes.values()]
            writer.writerow([step, *cells])
        return cls.parse(written.getvalue(), source="<keyframes>")

    def __repr__(self) -> str:
        return f"<Dopesheet of {shorten(self.properties)}: {self.num_steps} steps>"

    def _repr_html_(self) -> str:
        rows = list(csv.reader(io.StringIO(self.text)))
        title = f"Dopesheet: {len(self.properties)} properties over {self.num_steps} steps"
        return block(title, table(rows[0], rows[1:]), self.timeline().as_curves())

    @property
    def properties(self) -> tuple[str, ...]:
        """The names of the properties that have keyframes."""
        return tuple(column.name for column in self.columns)

    def to_csv(self) -> str:
        """The table as it was written."""
        return self.text

    def timeline(self) -> Timeline:
        """The value of every property at every step."""
        return Timeline.from_columns(self.columns, self.num_steps, self.phases, self.actions)
