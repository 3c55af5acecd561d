"""Chooses the display that suits where this runs."""

import sys
from typing import IO, cast

from rich.console import Console

from excise.training.progress.live import LiveProgress
from excise.training.progress.notebook import notebook_progress
from excise.training.progress.plain import PlainProgress, TextOut
from excise.training.progress.silent import SilentProgress

__all__ = ["progress_for"]


def progress_for(file: TextOut | None = None) -> SilentProgress:
    """Bars where `file` (None is standard error) is a terminal that can redraw a line, plain lines elsewhere.

    In a notebook, where no file is given, one output that is replaced in place.
    """
    if file is None and (inside := notebook_progress()) is not None:
        return inside
    out = sys.stderr if file is None else file
    console = Console(file=cast(IO[str], out))
    redraws = console.is_terminal and not console.is_dumb_terminal
    return LiveProgress(console) if redraws else PlainProgress(out)
