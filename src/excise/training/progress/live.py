"""A bar on a terminal, redrawn in place."""

from types import TracebackType

from rich.columns import Columns
from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from excise.training.history import Snapshot
from excise.training.progress.silent import SilentProgress, speed

__all__ = ["LiveProgress"]


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
            speed=speed(snapshot),
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
