"""The process of one tracker: `python -m excise.trackers.process module:Class`, told of a run in lines of JSON.

It reads its standard input to the end, so that the run never waits for it, and guards the tracker just as a run would.
When its input ends without a farewell, the run's process has gone: the tracker is told that the run failed. After the
farewell it has minutes to finish, also when the run's process has exited, and then gives up.
"""

import contextlib
import importlib
import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from excise.trackers.base import Ended, Figure, Table, Tracked
from excise.trackers.guarded import Guard, Limits

__all__ = ["LONGEST", "main"]

LONGEST = 600.0
"""Seconds that a tracker gets to finish by itself, as for an upload over a slow line."""


def main() -> None:
    """Guard the tracker that the command line names, and tell it what standard input says."""
    for number in (signal.SIGINT, getattr(signal, "SIGHUP", signal.SIGINT)):
        signal.signal(number, signal.SIG_IGN)  # Ctrl-C is for the run, which says how it ended.
    if hasattr(os, "nice"):
        os.nice(10)
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    guard = Guard(_Late(sys.argv[1]), Limits(call=60.0))
    told_all = False
    for line in sys.stdin:
        message = json.loads(line)
        content = message["content"]
        if message["kind"] == "start":
            guard.start(_tracked(content))
        elif message["kind"] == "log":
            guard.log(content)
        else:
            guard.finish(_ended(content))
            told_all = True
            break
        if not guard.check():
            break
    if not told_all and guard.dropped is None:
        guard.finish(Ended(status="failed", error="the process of the run ended"))
    guard.wait(time.monotonic() + LONGEST)
    with contextlib.suppress(OSError):  # Nobody may be there to read it.
        out.write(json.dumps({"done": guard.dropped is None, "failed": guard.dropped}) + "\n")
        out.flush()
    os._exit(0)  # A thread that hangs, or what a library does at the exit, is not waited for.


class _Late:
    """The tracker, imported where it is used first, so that the run's rows are read meanwhile."""

    def __init__(self, target: str) -> None:
        self.name = target
        self._tracker: Any = None

    def start(self, run: Tracked) -> None:
        module, _, kind = self.name.partition(":")
        self._tracker = getattr(importlib.import_module(module), kind)()
        self._tracker.start(run)

    def log(self, row: Mapping[str, float]) -> None:
        self._tracker.log(row)

    def finish(self, end: Ended) -> None:
        self._tracker.finish(end)


def _tracked(content: dict[str, Any]) -> Tracked:
    schedule, shared = content["schedule"], content["shared"]
    return Tracked(
        **content
        | {
            "path": Path(content["path"]),
            "seeds": tuple(content["seeds"]),
            "shared": None if shared is None else Path(shared),
            "schedule": None if schedule is None else _table(schedule),
        }
    )


def _ended(content: dict[str, Any]) -> Ended:
    figures = tuple(
        Figure(
            name=figure["name"],
            alt=figure["alt"],
            light=Path(figure["light"]),
            dark=None if figure["dark"] is None else Path(figure["dark"]),
        )
        for figure in content["figures"]
    )
    return Ended(**content | {"tables": tuple(map(_table, content["tables"])), "figures": figures})


def _table(content: dict[str, Any]) -> Table:
    return Table(content["name"], tuple(content["columns"]), tuple(map(tuple, content["rows"])))


if __name__ == "__main__":
    main()
