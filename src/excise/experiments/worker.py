"""A process of its own for chunks of a sweep: `python -m excise.experiments.worker`, spoken to through its pipes.

It reads its task as one line of JSON, and writes what happens as lines of JSON; what else would go to its standard
output goes to standard error. When its standard input ends, because whoever started it has gone, it ends at once: a
sweep that was killed leaves nothing running.
"""

import json
import os
import signal
import sys
import threading
import warnings
from pathlib import Path
from typing import TextIO

from excise.errors import ExciseError
from excise.experiments.chunk import run_chunk
from excise.experiments.recipe import Recipe
from excise.training import Snapshot

__all__ = ["main"]


def main() -> None:
    """Carry out the one task that stands in standard input."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that waits for this one.
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    task = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with, args=(sys.stdin,), daemon=True).start()

    def tell(**message: object) -> None:
        out.write(json.dumps(message) + "\n")
        out.flush()

    def warn(message: Warning | str, *_rest: object, **_others: object) -> None:
        tell(kind="note", note=str(message))

    def step(snapshot: Snapshot) -> None:
        tell(kind="step", step=snapshot.step, loss=snapshot.loss, terms=dict(snapshot.terms), lr=snapshot.lr)

    warnings.showwarning = warn
    try:
        run_chunk(
            Recipe.model_validate(task["recipe"]),
            task["seeds"],
            Path(task["path"]),
            task["environment"],
            log_every=task["log_every"],
            on_step=step,
            on_seed=lambda seed: tell(kind="seed", seed=seed),
            notify=lambda note: tell(kind="note", note=note),
        )
    except ExciseError as error:
        tell(kind="error", error=str(error), type=type(error).__name__)
        sys.exit(1)


def _end_with(stream: TextIO) -> None:
    stream.read()
    os._exit(1)


if __name__ == "__main__":
    main()
