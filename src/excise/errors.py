"""The family of errors: every mistake a user can make has a type here.

```
ExciseError
├── DopesheetError          a schedule file that cannot be read as written   (also a ValueError)
├── ScheduleError           a schedule that cannot drive this training        (also a ValueError)
├── UnknownNameError        a name that matches nothing, with the nearest     (also a LookupError)
│   ├── UnknownLayerError
│   ├── UnknownLabelError
│   ├── UnknownPropertyError
│   ├── UnknownConceptError
│   ├── UnknownRecipeError
│   └── UnknownModuleError    a Python module, or a name in one
├── ShapeError              a tensor or a setting of the wrong width          (also a ValueError)
├── SettingError            a value outside its range                         (also a ValueError)
├── CaptureError            a layer whose activations cannot be captured      (also a RuntimeError)
├── NonFiniteError          a loss that became NaN or infinite in training    (also an ArithmeticError)
├── SurgeryError
│   ├── DimsError           dims that this layer does not have                (also a ValueError)
│   ├── UnfollowableError   data flow that cannot be followed: names the module in the way
│   └── InexactEditError    an edit that did not do what it promised
├── MissingExtraError       a package that an extra installs is not there     (also an ImportError)
├── CheckpointError         a checkpoint that does not fit this training      (also a ValueError)
├── TrackerError            a tracker that cannot be started
├── ExecutorError           work that could not be carried out elsewhere      (also a RuntimeError)
│   ├── UnreachableError      an engine that does not answer, or lets nobody in
│   ├── WorkerMismatchError   a worker with other versions than the caller
│   └── WorkerDiedError       a worker that ended in the middle of its work
├── ExportError             a model that cannot be exported
└── RunError                a run directory that cannot be written or read    (also an OSError)

ExciseWarning               (a UserWarning)
├── CannotStackWarning      models that are trained one after the other, not in lockstep
├── TrackerWarning          a tracker was dropped; the run goes on
├── UnusedColumnWarning     a schedule column that drives nothing
└── UnmatchedLabelWarning   a term whose labels a batch does not carry
```

An error says what was asked, what came, what to do, and the nearest valid names. A broken invariant of
our own is an `assert`, never one of these.
"""

import difflib
from collections.abc import Iterable

__all__ = [
    "CannotStackWarning",
    "CaptureError",
    "CheckpointError",
    "DimsError",
    "DopesheetError",
    "ExciseError",
    "ExciseWarning",
    "ExecutorError",
    "ExportError",
    "InexactEditError",
    "MissingExtraError",
    "NonFiniteError",
    "RunError",
    "ScheduleError",
    "SettingError",
    "ShapeError",
    "SurgeryError",
    "TrackerError",
    "TrackerWarning",
    "UnfollowableError",
    "UnknownConceptError",
    "UnknownLabelError",
    "UnknownLayerError",
    "UnknownModuleError",
    "UnknownNameError",
    "UnknownPropertyError",
    "UnknownRecipeError",
    "UnmatchedLabelWarning",
    "UnreachableError",
    "UnusedColumnWarning",
    "WorkerDiedError",
    "WorkerMismatchError",
]


class ExciseError(Exception):
    """Base of every error that excise raises for a user's mistake."""


class DopesheetError(ExciseError, ValueError):
    """A schedule file that cannot be read as written; the message names the line and the column."""


class ScheduleError(ExciseError, ValueError):
    """A schedule that reads well but cannot drive this training."""


class UnknownNameError(ExciseError, LookupError):
    """A name that matches nothing.

    Args:
        asked: the name that was asked for.
        known: every valid name, in the order that a reader expects.
        where: what was searched, as the end of a sentence ("in the model").
    """

    kind = "name"

    def __init__(self, asked: str, known: Iterable[str], where: str = "") -> None:
        self.asked = asked
        self.known = tuple(known)
        self.where = where
        self.nearest = tuple(nearest(asked, self.known))
        super().__init__(asked, self.known, where)

    def __str__(self) -> str:
        place = f" {self.where}" if self.where else ""
        lines = [f"there is no {self.kind} {self.asked!r}{place}."]
        if self.nearest:
            lines.append(f"Did you mean {' or '.join(map(repr, self.nearest))}?")
        if self.known:
            lines.append(f"Known: {shorten(self.known)}.")
        else:
            lines.append(f"There is no {self.kind} at all{place}.")
        return " ".join(lines)


class UnknownLayerError(UnknownNameError):
    """A layer name that no module of the model has."""

    kind = "layer"


class UnknownLabelError(UnknownNameError):
    """A label that the batches do not carry."""

    kind = "label"


class UnknownPropertyError(UnknownNameError):
    """A property that the schedule does not have."""

    kind = "property"


class UnknownConceptError(UnknownNameError):
    """A concept that the domain does not define."""

    kind = "concept"


class UnknownRecipeError(UnknownNameError):
    """A recipe that the catalogue does not hold."""

    kind = "recipe"


class UnknownModuleError(UnknownNameError):
    """A Python module, or a name in one, that is not there."""

    kind = "module or name"


class ShapeError(ExciseError, ValueError):
    """A tensor or a setting of the wrong width."""


class SettingError(ExciseError, ValueError):
    """A value outside its range."""


class CaptureError(ExciseError, RuntimeError):
    """A layer whose activations cannot be captured: it did not run, or its output is no tensor."""


class NonFiniteError(ExciseError, ArithmeticError):
    """A loss that became NaN or infinite.

    Args:
        term: the name of the term (or "objective") that first became non-finite.
        step: the optimiser step, counted from 0.
        value: what it became.
    """

    def __init__(self, term: str, step: int, value: float) -> None:
        self.term = term
        self.step = step
        self.value = value
        super().__init__(term, step, value)

    def __str__(self) -> str:
        return (
            f"{self.term!r} became {self.value} at step {self.step}. Lower its weight or the learning rate "
            f"around that step, or look for inputs that are not finite; what was logged before is kept."
        )


class SurgeryError(ExciseError):
    """An edit of weights that cannot be made."""


class DimsError(SurgeryError, ValueError):
    """Dims that the layer does not have, twice the same one, or all of them."""


class UnfollowableError(SurgeryError):
    """Data flow that cannot be followed.

    Args:
        culprit: the module path or the operation in the way.
        reason: why it cannot be followed, and what to do, as whole sentences.
    """

    def __init__(self, culprit: str, reason: str) -> None:
        self.culprit = culprit
        self.reason = reason
        super().__init__(culprit, reason)

    def __str__(self) -> str:
        return f"{self.culprit!r} is in the way: {self.reason}"


class InexactEditError(SurgeryError):
    """An edit whose result on the example inputs differs from what it promised."""


class MissingExtraError(ExciseError, ImportError):
    """A package that an extra of excise installs is not there.

    Args:
        package: the distribution that is missing.
        extra: the extra that installs it.
        purpose: what needs it, as the start of a sentence ("training with Lightning").
    """

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        self.package = package
        self.extra = extra
        self.purpose = purpose
        super().__init__(package, extra, purpose)

    def __str__(self) -> str:
        return (
            f"{self.purpose} needs {self.package}, which is not installed: pip install 'excise[{self.extra}]'"
        )


class CheckpointError(ExciseError, ValueError):
    """A checkpoint that does not fit this training: it holds another schedule, or none."""


class TrackerError(ExciseError):
    """A tracker that cannot be started: its name is not known, or what it was given is not usable."""


class ExecutorError(ExciseError, RuntimeError):
    """Work that could not be carried out by an executor."""


class UnreachableError(ExecutorError):
    """An engine that does not answer at its address, or that lets nobody in without credentials."""


class WorkerMismatchError(ExecutorError):
    """A worker that runs other versions than the caller."""


class WorkerDiedError(ExecutorError):
    """A worker that ended in the middle of its work: killed, out of memory, or its machine is gone."""


class ExportError(ExciseError):
    """A model that cannot be exported, or an export that does not compute what the model does."""


class RunError(ExciseError, OSError):
    """A run directory that cannot be written or read."""


class ExciseWarning(UserWarning):
    """Base of every warning that excise gives."""


class CannotStackWarning(ExciseWarning):
    """Models could not be trained in lockstep, and are trained one after the other; the message says why."""


class TrackerWarning(ExciseWarning):
    """A tracker failed, hung or was too slow and has been dropped, or was not done in time; the run goes on."""


class UnusedColumnWarning(ExciseWarning):
    """A schedule column that drives nothing."""


class UnmatchedLabelWarning(ExciseWarning):
    """A term whose labels a batch does not carry."""


def nearest(asked: str, known: Iterable[str]) -> list[str]:
    """Up to three names of `known` that look like `asked`, most alike first; case does not matter."""
    by_folded = {name.casefold(): name for name in known}
    return [
        by_folded[name] for name in difflib.get_close_matches(asked.casefold(), by_folded, n=3, cutoff=0.6)
    ]


def shorten(names: Iterable[str], limit: int = 20) -> str:
    """`names` as one comma-separated line, cut after `limit` of them with the count of the rest."""
    listed = [repr(name) for name in names]
    rest = len(listed) - limit
    return ", ".join(listed[:limit]) + (f" and {rest} more" if rest > 0 else "")
