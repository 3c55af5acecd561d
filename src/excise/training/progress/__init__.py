"""Shows how a training goes: live bars on a terminal, in place in a notebook, plain lines elsewhere, or nothing.

A progress display is a value that is passed in: `fit(..., observers=[progress])`. It also announces the stages
that follow training, and is a context manager, so that a terminal is left in order after an error.
"""

from excise.training.progress.choice import progress_for
from excise.training.progress.live import LiveProgress
from excise.training.progress.notebook import NotebookProgress
from excise.training.progress.plain import PlainProgress
from excise.training.progress.silent import SilentProgress

__all__ = ["LiveProgress", "NotebookProgress", "PlainProgress", "SilentProgress", "progress_for"]
