"""What an edit does, as values and as text."""

from dataclasses import dataclass
from typing import Literal

from excise.showing import block, facts, table
from excise.surgery.trace import Trace

__all__ = ["EditReport", "Mode", "ParameterChange"]

Mode = Literal["ablate", "prune"]

_MOST_LISTED = 40


@dataclass(frozen=True)
class ParameterChange:
    """One tensor that an edit touches.

    Attributes:
        name: its path, as in `model.named_parameters()`.
        before: its shape.
        after: its shape after the edit.
        done: what is done to it: "zeroed", "removed", "rescaled", "projected".
    """

    name: str
    before: tuple[int, ...]
    after: tuple[int, ...]
    done: str


@dataclass(frozen=True, repr=False)
class EditReport:
    """What an edit does, in numbers.

    Attributes:
        mode: "ablate" keeps the shapes and zeroes weights; "prune" removes them.
        dims: the features that go, counted from 0; empty where a subspace goes.
        trace: who writes, carries and reads them.
        changes: the tensors that are touched.
        exactness: "exact", or "exact after folding" where a gain and an eps were adapted to the new width.
        parameters_before: how many numbers the model's parameters hold; tied ones count once.
        parameters_after: how many they hold after the edit.
        flops_before: multiplications and additions of all products, on the example inputs.
        flops_after: the same after the edit.
        checked: the largest difference, on the example inputs, from the model with the features zeroed wherever they
            are carried.
        notes: what else is worth knowing, as sentences.
    """

    mode: Mode
    dims: tuple[int, ...]
    trace: Trace
    changes: tuple[ParameterChange, ...]
    exactness: Literal["exact", "exact after folding"]
    parameters_before: int
    parameters_after: int
    flops_before: int
    flops_after: int
    checked: float
    notes: tuple[str, ...] = ()

    @property
    def layer(self) -> str:
        """The place whose features go."""
        return self.trace.layer

    @property
    def writers(self) -> tuple[str, ...]:
        """The parameters that write the features, by path."""
        return self.trace.writers

    @property
    def carriers(self) -> tuple[str, ...]:
        """The operations that carry the features, in the order of execution."""
        return self.trace.carriers

    @property
    def readers(self) -> tuple[str, ...]:
        """The parameters that read the features, by path."""
        return self.trace.readers

    @property
    def what(self) -> str:
        """What goes, in words."""
        return f"dims {', '.join(map(str, self.dims))}" if self.dims else "a subspace"

    def __repr__(self) -> str:
        return f"<EditReport: {self.mode} {self.what} of {self.layer!r}, {len(self.changes)} tensors>"

    def _repr_html_(self) -> str:
        changes = [
            (change.name, _shape(change.before), _shape(change.after), change.done) for change in self.changes
        ]
        return block(
            f"{self.mode} {self.what} of {self.layer}: {self.exactness}",
            facts(
                [
                    ("parameters", f"{self.parameters_before:,} → {self.parameters_after:,}"),
                    ("operations", f"{self.flops_before:,} → {self.flops_after:,} on the example inputs"),
                    ("differs from the features zeroed by", f"{self.checked:.1e} at most"),
                    ("written by", ", ".join(self.writers)),
                    ("read by", ", ".join(self.readers)),
                    *(("note", note) for note in self.notes),
                ]
            ),
            table(("tensor", "shape before", "after", ""), changes),
        )

    def __str__(self) -> str:
        """The report, a line a fact."""
        lines = [f"{self.mode} {self.what} of {self.trace}"]
        for change in self.changes[:_MOST_LISTED]:
            shape = f"{list(change.before)}"
            if change.after != change.before:
                shape += f" -> {list(change.after)}"
            lines.append(f"  {change.name}: {shape}, {change.done}")
        if len(self.changes) > _MOST_LISTED:
            lines.append(f"  and {len(self.changes) - _MOST_LISTED} more tensors")
        lines.append(f"  parameters: {self.parameters_before:,} -> {self.parameters_after:,}")
        lines.append(f"  operations: {self.flops_before:,} -> {self.flops_after:,} on the example inputs")
        lines.append(
            f"  {self.exactness}: differs by {self.checked:.1e} at most, on the example inputs, from "
            "the model with these "
            f"features zeroed wherever they are carried"
        )
        lines += [f"  {note}" for note in self.notes]
        return "\n".join(lines)


def _shape(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape)) or "a number"
