"""A process that runs one sweep after another: `python -m excise.experiments.reproduction.worker`, spoken to by pipes.

Each task is a line of JSON in standard input, `null` the last; what happens is told as lines of JSON. Asked to end, or
left alone because whoever started it has gone, it ends as an interrupted sweep does.
"""

import contextlib
import json
import os
import queue
import signal
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import Any, TextIO

from excise.errors import ExciseError
from excise.experiments.recipe import Recipe
from excise.experiments.sweep import run_sweep
from excise.training import Snapshot
from excise.training.progress import SilentProgress

__all__ = ["main"]

_GRACE = 10.0
"""Seconds in which a process that was left alone may write down that it ends."""


class _Telling(SilentProgress):
    """Tells how far a sweep is, and its notes."""

    def __init__(self, part: int, name: str, out: TextIO) -> None:
        self.part = part
        self.name = name
        self.out = out

    def __call__(self, snapshot: Snapshot) -> None:
        """Tell the share of the training that is done."""
        share = (snapshot.step + 1) / snapshot.num_steps
        _tell(self.out, kind="step", part=self.part, share=share, loss=snapshot.loss, lr=snapshot.lr)

    def note(self, text: str) -> None:
        """Tell the note, with the recipe's name: it stands among those of others."""
        _tell(self.out, kind="note", note=f"{self.name}, {text}")


def main() -> None:
    """Carry out the tasks that stand in standard input."""
    out = sys.stdout
    tasks: queue.Queue[dict[str, Any] | None] = queue.Queue()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that waits for this one.
    signal.signal(signal.SIGTERM, _interrupt)

    def warn(message: Warning | str, *_rest: object, **_others: object) -> None:
        _tell(out, kind="note", note=str(message))

    warnings.showwarning = warn
    threading.Thread(target=_read, args=(sys.stdin, tasks), daemon=True).start()
    try:
        while (task := tasks.get()) is not None:
            recipe = Recipe.model_validate(task["recipe"])
            run_sweep(
                recipe,
                task["seeds"],
                Path(task["path"]),
                progress=_Telling(task["part"], recipe.name, out),
                workers=task["workers"],
            )
            _tell(out, kind="done", part=task["part"])
    except ExciseError as error:
        _tell(out, kind="error", error=str(error))
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(1)


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _read(stream: TextIO, tasks: "queue.Queue[dict[str, Any] | None]") -> None:
    for line in stream:
        task = json.loads(line)
        tasks.put(task)
        if task is None:
            return
    os.kill(os.getpid(), signal.SIGTERM)  # The pipe was closed without a word: whoever held it is gone.
    time.sleep(_GRACE)
    os._exit(1)


def _tell(out: TextIO, **message: object) -> None:
    with contextlib.suppress(BrokenPipeError):  # Nobody listens any more: `_read` ends this process.
        out.write(json.dumps(message) + "\n")
        out.flush()


if __name__ == "__main__":
    main()
