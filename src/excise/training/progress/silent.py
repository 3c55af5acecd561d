"""The display that shows nothing, which the others build on."""

from contextlib import AbstractContextManager
from types import TracebackType

from excise.training.history import Snapshot

__all__ = ["SilentProgress", "speed"]


class SilentProgress(AbstractContextManager["SilentProgress", None]):
    """Shows nothing; the base of the displays that do."""

    def __call__(self, snapshot: Snapshot) -> None:
        """Be told of a logged training step."""

    def stage(self, name: str) -> None:
        """Be told that a stage after (or before) training begins."""

    def note(self, text: str) -> None:
        """Be told what a user should know about the training; it stays to be read."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the output in order."""


def speed(snapshot: Snapshot) -> str:
    """The speed in words; nothing after the first step, which spends most of its time on getting ready."""
    return f"{snapshot.steps_per_second:.0f} steps/s" if snapshot.step else ""
