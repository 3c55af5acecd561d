"""Shows how a training goes: live bars on a terminal, plain lines elsewhere, or nothing.

A progress display is a value that is passed in: `fit(..., observers=[progress])`. It also announces the stages
that follow training, and is a context manager, so that a terminal is left in order after an error.
"""

import contextlib
import sys
from contextlib import AbstractContextManager
from types import TracebackType
from typing import IO, Protocol, cast, runtime_checkable

from rich.columns import Columns
from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from excise.training.history import Snapshot

__all__ = ["LiveProgress", "PlainProgress", "SilentProgress", "progress_for"]


@runtime_checkable
class TextOut(Protocol):
    """Where text can be written: a terminal, a file, a `StringIO`."""

    def write(self, text: str, /) -> object:
        """Take the text."""
        ...

    def flush(self) -> object:
        """Pass on what was written."""
        ...


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
        speed = _speed(snapshot)
        left = f"  {speed}  {snapshot.seconds_left:.0f} s left" if speed else ""
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


class LiveProgress(SilentProgress):
    """A bar and a table of the losses, redrawn in place a few times a second."""

    def __init__(self, console: Console) -> None:
        self._bar = Progress(
            TextColumn("{task.description}", style="bold", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(),
            console=console,
        )
        self._task = self._bar.add_task("starting", total=None, speed="")
        self._latest: Snapshot | None = None
        self._stage = ""
        self._live = Live(console=console, refresh_per_second=8, transient=True, get_renderable=self._render)

    def __enter__(self) -> "LiveProgress":
        """Start drawing."""
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop drawing and give the terminal back."""
        self._live.stop()

    def __call__(self, snapshot: Snapshot) -> None:
        """Show the step's losses, learning rate and speed."""
        self._latest = snapshot
        self._bar.update(
            self._task,
            description=f"{self._stage}: training" if self._stage else "training",
            total=snapshot.num_steps,
            completed=snapshot.step + 1,
            speed=_speed(snapshot),
        )

    def stage(self, name: str) -> None:
        """Show the stage's name instead of the losses."""
        self._latest = None
        self._stage = name
        # A task of rich's that has a total keeps it; a stage has none, so that it shows no share and no time.
        self._bar.remove_task(self._task)
        self._task = self._bar.add_task(name, total=None, speed="")

    def note(self, text: str) -> None:
        """Print the note above the bar, where it stays."""
        self._live.console.print(text, markup=False, highlight=False)

    def _render(self) -> Table:
        lines = Table.grid()
        lines.add_row(self._bar.get_renderable())
        if self._latest is not None:
            shown = {"loss": self._latest.loss, "lr": self._latest.lr, **self._latest.terms}
            numbers = [Text.assemble((name, "dim"), f" {value:.2e}") for name, value in shown.items()]
            lines.add_row(Columns(numbers, padding=(0, 2)))
        return lines


def _speed(snapshot: Snapshot) -> str:
    """The speed in words; nothing after the first step, which spends most of its time on getting ready."""
    return f"{snapshot.steps_per_second:.0f} steps/s" if snapshot.step else ""


def progress_for(file: TextOut | None = None) -> SilentProgress:
    """Bars where `file` (None is standard error) is a terminal that can redraw a line, plain lines elsewhere."""
    out = sys.stderr if file is None else file
    console = Console(file=cast(IO[str], out))
    redraws = console.is_terminal and not console.is_dumb_terminal
    return LiveProgress(console) if redraws else PlainProgress(out)
