"""Lines for logs and pipes."""

import contextlib
from typing import Protocol, runtime_checkable

from excise.training.history import Snapshot
from excise.training.progress.silent import SilentProgress, speed

__all__ = ["PlainProgress", "TextOut"]


@runtime_checkable
class TextOut(Protocol):
    """Where text can be written: a terminal, a file, a `StringIO`."""

    def write(self, text: str, /) -> object:
        """Take the text."""
        ...

    def flush(self) -> object:
        """Pass on what was written."""
        ...


class PlainProgress(SilentProgress):
    """Prints about a dozen lines a training, for logs and pipes.

    Args:
        file: where lines go.
        lines: how many lines a training gets.
    """

    def __init__(self, file: TextOut, lines: int = 12) -> None:
        self._file = file
        self._lines = lines
        self._next = 0.0

    def __call__(self, snapshot: Snapshot) -> None:
        """Print one line whenever another twelfth of the training is done."""
        done = snapshot.step + 1
        if snapshot.step == 0:
            self._next = 0.0
        if done < self._next and done < snapshot.num_steps:
            return
        self._next = done + snapshot.num_steps / self._lines
        terms = "".join(f"  {name} {value:.2e}" for name, value in snapshot.terms.items())
        pace = speed(snapshot)
        left = f"  {pace}  {snapshot.seconds_left:.0f} s left" if pace else ""
        self._print(
            f"step {done}/{snapshot.num_steps}  loss {snapshot.loss:.2e}  lr {snapshot.lr:.1e}{terms}{left}"
        )

    def stage(self, name: str) -> None:
        """Print the stage's name."""
        self._print(name)

    def note(self, text: str) -> None:
        """Print the note."""
        self._print(text)

    def _print(self, line: str) -> None:
        """Print a line; a reader that has gone away (`| head`) or a full disk does not end the training it watched."""
        with contextlib.suppress(OSError):
            self._file.write(f"{line}\n")
            self._file.flush()
