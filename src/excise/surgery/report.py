"""What an edit does, as values and as text."""

from dataclasses import dataclass
from typing import Literal

from excise.surgery.trace import Trace

__all__ = ["EditReport", "Mode", "ParameterChange"]

Mode = Literal["ablate", "prune"]


@dataclass(frozen=True)
class ParameterChange:
    """One parameter that an edit touches.

    Attributes:
        name: its path, as in `model.named_parameters()`.
        axis: where the features lie in it: 0 for rows (it writes them), 1 for columns (it reads them).
        before: its shape.
        after: its shape after the edit.
    """

    name: str
    axis: int
    before: tuple[int, ...]
    after: tuple[int, ...]


@dataclass(frozen=True)
class EditReport:
    """What an edit does, in numbers.

    Attributes:
        mode: "ablate" keeps the shapes and zeroes weights; "prune" removes them.
        dims: the features that go, in ascending order.
        trace: who writes, carries and reads the layer's features.
        changes: the parameters touched.
        parameters_before: how many numbers the model's parameters hold.
        parameters_after: how many they hold after the edit.
        checked: the largest difference between the pruned and the ablated model on the example inputs; None
            when no example inputs were given.
    """

    mode: Mode
    dims: tuple[int, ...]
    trace: Trace
    changes: tuple[ParameterChange, ...]
    parameters_before: int
    parameters_after: int
    checked: float | None = None

    @property
    def layer(self) -> str:
        """The layer whose features go."""
        return self.trace.layer

    @property
    def writers(self) -> tuple[str, ...]:
        """The Linears that write the features, by module path."""
        return self.trace.writers

    @property
    def carriers(self) -> tuple[str, ...]:
        """The operations that carry the features, in the order of execution."""
        return self.trace.carriers

    @property
    def readers(self) -> tuple[str, ...]:
        """The Linears that read the features, by module path."""
        return self.trace.readers

    def __str__(self) -> str:
        """The report, a line a fact."""
        slices = ("rows", "columns")
        done = "zeroed" if self.mode == "ablate" else "removed"
        dims = ", ".join(map(str, self.dims))
        lines = [f"{self.mode} dims {dims} of {self.trace}"]
        for change in self.changes:
            shape = f"{list(change.before)}"
            if change.after != change.before:
                shape += f" -> {list(change.after)}"
            lines.append(f"  {change.name}: {shape}, {slices[change.axis]} {dims} {done}")
        lines.append(f"  parameters: {self.parameters_before} -> {self.parameters_after}")
        if self.checked is None:
            lines.append("  not checked on example inputs")
        else:
            lines.append(f"  prune and ablate differ by {self.checked:.1e} at most on the example inputs")
        return "\n".join(lines)
