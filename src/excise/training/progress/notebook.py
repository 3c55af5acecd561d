"""Shows how a training goes in a notebook: one output that is replaced in place, in marimo and in Jupyter."""

import sys
import time
from collections.abc import Callable
from html import escape
from types import TracebackType

from excise.numerals import number
from excise.showing import Html, block
from excise.training.history import Snapshot
from excise.training.progress.silent import SilentProgress

__all__ = ["NotebookProgress", "notebook_progress"]

_EVERY = 0.2
"""Seconds between two drawings: a notebook that is sent more falls behind."""


class NotebookProgress(SilentProgress):
    """A bar, the losses and the stage, drawn anew in the same place; notes stay below.

    Args:
        show: replaces what was shown before by some HTML.
    """

    def __init__(self, show: Callable[[str], object]) -> None:
        self._show = show
        self._drawn = -_EVERY
        self._title = "starting"
        self._line = ""
        self._share: float | None = None
        self._notes: list[str] = []
        self._trained = ""

    def __call__(self, snapshot: Snapshot) -> None:
        """Show the step, its losses and the time left."""
        done = snapshot.step + 1
        self._share = done / snapshot.num_steps
        self._title = f"training: step {done:,} of {snapshot.num_steps:,}"
        losses = {"loss": snapshot.loss, "lr": snapshot.lr, **snapshot.terms}
        self._line = ", ".join(f"{name} {number(value)}" for name, value in losses.items())
        if snapshot.step:
            self._line += f"; {snapshot.steps_per_second:.0f} steps/s, {snapshot.seconds_left:.0f} s left"
        self._trained = f": {done:,} steps in {snapshot.seconds:.1f} s"
        self._draw(now=done == snapshot.num_steps)

    def stage(self, name: str) -> None:
        """Show the stage's name."""
        self._title, self._line, self._share = name, "", None
        self._draw(now=True)

    def note(self, text: str) -> None:
        """Show the note, which stays."""
        self._notes.append(text)
        self._draw(now=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Say that it has ended, and after how much training."""
        ended = "done" if error is None else "stopped"
        self._title, self._line, self._share = ended + self._trained, "", None
        self._draw(now=True)

    def _draw(self, *, now: bool) -> None:
        moment = time.monotonic()
        if not now and moment - self._drawn < _EVERY:
            return
        self._drawn = moment
        parts: list[str] = []
        if self._share is not None:
            percent = f"{100 * self._share:.0f} %"
            parts.append(
                Html(f'<progress value="{self._share:.4f}" aria-label="{percent}"></progress> {percent}')
            )
        if self._line:
            parts.append(Html(f'<div class="muted">{escape(self._line)}</div>'))
        self._show(block(self._title, *parts, *self._notes))


def notebook_progress() -> NotebookProgress | None:
    """A display for the notebook that this runs in; None where it runs in none."""
    marimo = sys.modules.get("marimo")
    if marimo is not None and marimo.running_in_notebook():
        return NotebookProgress(lambda html: marimo.output.replace(marimo.Html(html)))
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if ipython is not None and shell is not None and hasattr(shell, "kernel"):
        display = ipython.display
        handle = display.display(display.HTML(""), display_id=True)
        return NotebookProgress(lambda html: handle.update(display.HTML(html)))
    return None
