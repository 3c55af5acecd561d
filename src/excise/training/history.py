"""What a training tells while it runs and leaves when it has ended."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from excise.errors import NonFiniteError, shorten
from excise.showing import block, curves

__all__ = ["History", "Observer", "Outcome", "Snapshot", "mean_of"]


@dataclass(frozen=True)
class Snapshot:
    """The state of a training at one logged step.

    Attributes:
        step: the optimiser step, counted from 0.
        num_steps: how many steps the training takes in all.
        loss: objective plus weighted terms.
        objective: the user's own loss, such as the reconstruction error.
        lr: the learning rate of this step.
        terms: the unweighted value of each term that was not skipped.
        weights: the weight of each term.
        seconds: since the training began.
        validation: what was measured on the validation batch after this step, "objective" and each term unweighted;
            empty at steps without validation.
    """

    step: int
    num_steps: int
    loss: float
    objective: float
    lr: float
    terms: Mapping[str, float]
    weights: Mapping[str, float]
    seconds: float
    validation: Mapping[str, float] = field(default_factory=dict)

    @property
    def steps_per_second(self) -> float:
        """The mean speed since the training began."""
        return (self.step + 1) / max(self.seconds, 1e-9)

    @property
    def seconds_left(self) -> float:
        """The time left at that speed."""
        return (self.num_steps - self.step - 1) / self.steps_per_second

    def row(self) -> dict[str, float]:
        """The numbers as one flat row: "term/<name>", "weight/<name>" and "validation/<name>" among them."""
        return {
            "step": self.step,
            "loss": self.loss,
            "objective": self.objective,
            "lr": self.lr,
            **{f"term/{name}": value for name, value in self.terms.items()},
            **{f"weight/{name}": weight for name, weight in self.weights.items()},
            **{f"validation/{name}": value for name, value in self.validation.items()},
        }


Observer = Callable[[Snapshot], object]
"""Anything that is told of each logged step: a progress display, a run record, a tracker."""


@dataclass(frozen=True, repr=False)
class History:
    """What a training logged, one entry a logged step.

    Attributes:
        table: "step", "loss", "objective", "lr" and "term/<name>" (NaN where the term was skipped), each a
            float64 array `[logged]`.
        seconds: how long the training took.
        num_steps: how many steps it took.
    """

    table: Mapping[str, Float[np.ndarray, " logged"]]
    seconds: float
    num_steps: int

    def __repr__(self) -> str:
        return f"<History of {shorten(self.table)}: {self.num_steps} steps in {self.seconds:.1f} s>"

    def _repr_html_(self) -> str:
        steps = self.table.get("step", np.zeros(0))
        over = f"step {steps[0]:.0f} to {steps[-1]:.0f}" if len(steps) else "no step"
        columns = [(name, values, True) for name, values in self.table.items() if name != "step"]
        title = f"Training: {self.num_steps} steps in {self.seconds:.1f} s"
        return block(title, curves(columns, f"{over}, logarithmic"))

    @classmethod
    def of(cls, snapshots: Sequence[Snapshot], *, seconds: float, num_steps: int) -> "History":
        """The history that these snapshots, in their order, add up to."""
        names = dict.fromkeys(name for snapshot in snapshots for name in snapshot.weights)
        table = {
            key: np.array([getattr(snapshot, key) for snapshot in snapshots], dtype=float)
            for key in ("step", "loss", "objective", "lr")
        }
        for name in names:
            table[f"term/{name}"] = np.array([snapshot.terms.get(name, np.nan) for snapshot in snapshots])
        return cls(table, seconds=seconds, num_steps=num_steps)


@dataclass(frozen=True, repr=False)
class Outcome:
    """How the training of one seed ended.

    Attributes:
        seed: which.
        snapshots: what was logged.
        history: the same as arrays.
        error: why the training of this seed failed; None when it ended well. The others go on.
    """

    seed: int
    snapshots: tuple[Snapshot, ...]
    history: History
    error: NonFiniteError | None = None

    def __repr__(self) -> str:
        ended = f"failed: {self.error}" if self.error else f"{self.history!r}"
        return f"<Outcome of seed {self.seed}: {ended}>"

    def _repr_html_(self) -> str:
        if self.error is not None:
            return block(f"Seed {self.seed} failed", str(self.error))
        return self.history._repr_html_()


def mean_of(snapshots: Sequence[Snapshot]) -> Snapshot:
    """One snapshot of several models at the same step: the mean of each number over those that have it."""
    first, count = snapshots[0], len(snapshots)

    def averaged(tables: Iterable[Mapping[str, float]]) -> dict[str, float]:
        columns: dict[str, list[float]] = {}
        for table in tables:
            for name, value in table.items():
                columns.setdefault(name, []).append(value)
        return {name: sum(column) / len(column) for name, column in columns.items()}

    return Snapshot(
        step=first.step,
        num_steps=first.num_steps,
        loss=sum(snapshot.loss for snapshot in snapshots) / count,
        objective=sum(snapshot.objective for snapshot in snapshots) / count,
        lr=first.lr,
        terms=averaged(snapshot.terms for snapshot in snapshots),
        weights=first.weights,
        seconds=first.seconds,
        validation=averaged(snapshot.validation for snapshot in snapshots),
    )
