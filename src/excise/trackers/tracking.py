"""Several trackers at once, as one thing that a training tells: a context manager that is also an observer."""

import math
import os
import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from types import TracebackType
from typing import Protocol, runtime_checkable

from excise.errors import SettingError, TrackerWarning
from excise.trackers.base import Ended, Figure, Table, Tracked, Tracker
from excise.trackers.guarded import Guard, Limits

__all__ = ["Tracking", "patience_of"]

_SHARE = 0.025
"""How much longer than it took a run may wait for its trackers; the rest of 5 % is what they cost while it goes."""

_SHORTEST = 0.3
"""Seconds that trackers get in any case: that share of a run of seconds would be gone before a file is closed."""


@runtime_checkable
class _HasRow(Protocol):
    def row(self) -> Mapping[str, float]: ...


class Tracking(AbstractContextManager["Tracking", None]):
    """Tells every tracker of one run.

    ```python
    with Tracking([make_tracker("wandb")]) as tracking:
        tracking.start(Tracked(name="mine", recipe="mine", path=Path("runs/mine")))
        ex.fit(model, stream, anchoring, observers=[tracking])
    ```

    Leaving the block tells them how it ended: finished, failed with its error, or cancelled. Nothing that a tracker
    does raises here: one that fails is dropped with a `TrackerWarning`.

    Args:
        trackers: objects with `start`, `log` and `finish`; none is fine.
        patience: how many seconds the end waits for trackers that are not done; None is 2.5 % of the time that the
            run took, and 0.3 s at least. The variable EXCISE_TRACKER_PATIENCE says so for all runs.
        limits: how much each may ask while the run goes.

    Raises:
        SettingError: the patience is negative or no number.
    """

    def __init__(
        self, trackers: Iterable[Tracker] = (), *, patience: float | None = None, limits: Limits | None = None
    ) -> None:
        self._guards = [Guard(tracker, limits) for tracker in trackers]
        self._patience = (
            patience_of(os.environ.get("EXCISE_TRACKER_PATIENCE")) if patience is None else patience
        )
        if self._patience is not None and not self._patience >= 0:
            raise SettingError(f"a patience is a number of seconds of at least 0; {patience} came.")
        self._began: float | None = None
        self._end = Ended()
        self._warned: set[int] = set()

    def __bool__(self) -> bool:
        """Whether there is any tracker."""
        return bool(self._guards)

    def start(self, run: Tracked) -> None:
        """Tell that the run begins."""
        self._began = time.monotonic()
        for guard in self._guards:
            guard.start(run)

    def log(self, row: Mapping[str, float]) -> None:
        """Tell of a logged step."""
        for guard in self._guards:
            guard.log(row)
        self._warn()

    def __call__(self, snapshot: _HasRow) -> None:
        """Tell of a snapshot of `excise.fit`."""
        if self._guards:
            self.log(snapshot.row())

    def hand_over(
        self,
        *,
        numbers: Mapping[str, float] | None = None,
        tables: Sequence[Table] = (),
        figures: Sequence[Figure] = (),
    ) -> None:
        """Keep results for the end of the run, when trackers get them; what is not finite is left out."""
        finite = {name: value for name, value in (numbers or {}).items() if math.isfinite(value)}
        self._end = replace(
            self._end,
            numbers={**self._end.numbers, **finite},
            tables=(*self._end.tables, *tables),
            figures=(*self._end.figures, *figures),
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Tell how the run ended, and wait for the trackers in all patience."""
        if self._began is None:
            return
        now = time.monotonic()
        patience = max(_SHORTEST, _SHARE * (now - self._began)) if self._patience is None else self._patience
        end = self._end
        if isinstance(error, KeyboardInterrupt):
            end = replace(end, status="cancelled")
        elif error is not None:
            end = replace(end, status="failed", error=f"{type(error).__name__}: {error}")
        for guard in self._guards:
            guard.finish(end)
        for guard in self._guards:
            guard.wait(now + patience)
        if error is None:
            self._warn()

    def _warn(self) -> None:
        for guard in self._guards:
            if guard.dropped is not None:
                what = f"was dropped, and the run goes on without it: {guard.dropped}. The run directory has everything"
            elif guard.left:
                what = "was not done when the run ended; it goes on by itself, for at most ten minutes"
            else:
                continue
            if id(guard) not in self._warned:
                self._warned.add(id(guard))
                warnings.warn(f"the tracker {guard.name} {what}.", TrackerWarning, stacklevel=3)


def patience_of(text: str | None) -> float | None:
    """The patience that a variable of the environment asks for, in seconds; None where it is not set.

    Raises:
        SettingError: it is no number of seconds.
    """
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not seconds >= 0:
        raise SettingError(f"EXCISE_TRACKER_PATIENCE is a number of seconds of at least 0; {text!r} came.")
    return seconds
