"""Keeps a tracker from harming the run that it tracks, whatever it does.

A tracker is called in a daemon thread of its own, behind a queue. The run puts into the queue and goes on. A tracker
that raises anything, does not come back from a call, or falls so far behind that its queue is full, is dropped: the
reason is given once, and it is told nothing more. Rows are never left out: a tracker has all of them, or is dropped.
A thread that hangs does not keep Python from exiting.
"""

import contextlib
import queue
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

from excise.trackers.base import Ended, Tracked, Tracker, name_of

__all__ = ["Guard", "Limits"]


@dataclass(frozen=True)
class Limits:
    """How much a tracker may ask of a run.

    Attributes:
        waiting: rows that it may be behind; more, and it is dropped.
        start: seconds for its start.
        call: seconds for one logged step.
    """

    waiting: int = 20_000
    start: float = 100.0
    call: float = 10.0


class Guard:
    """One tracker behind its queue.

    None of the methods raises, and each returns at once, but `wait`, which returns in time.

    Attributes:
        dropped: why the tracker was dropped; None while it was not.
        left: whether it was left to finish by itself.

    Args:
        tracker: is called in a thread of its own from now on.
        limits: how much it may ask.
    """

    def __init__(self, tracker: Tracker, limits: Limits | None = None) -> None:
        self.tracker = tracker
        self.name = name_of(tracker)
        self.dropped: str | None = None
        self.left = False
        self._limits = limits or Limits()
        self._calls: queue.Queue[tuple[str, object]] = queue.Queue()
        self._under_way: tuple[str, float] | None = None
        self._failure: str | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name=f"tracker {self.name}", daemon=True)

    def start(self, run: Tracked) -> None:
        """Tell it that the run begins."""
        self._calls.put(("start", run))
        self._thread.start()

    def log(self, row: Mapping[str, float]) -> None:
        """Tell it of a logged step."""
        if self.check():
            self._calls.put(("log", dict(row)))

    def finish(self, end: Ended) -> None:
        """Tell it how the run ended; `wait` waits for it."""
        if self.check():
            self._calls.put(("finish", end))

    def wait(self, deadline: float) -> None:
        """Wait until it has finished, or drop it when `time.monotonic()` reaches the deadline.

        A tracker that works apart from this process, and has been told everything, is left to finish by itself.
        """
        while self.check() and not self._ended.is_set():
            left = deadline - time.monotonic()
            if left <= 0:
                self._give_up()
                return
            self._ended.wait(min(left, 0.1))
        self.check()  # It may have failed between the two conditions.

    def check(self) -> bool:
        """Whether the tracker is still told of the run; drops it if it failed, hangs or is too far behind."""
        if self.dropped is None:
            reason = self._failure or self._overdue()
            if reason is None and self._calls.qsize() > self._limits.waiting:
                reason = f"it cannot keep up: {self._calls.qsize()} logged steps wait for it"
            if reason is not None:
                self._drop(reason)
        return self.dropped is None

    def _overdue(self) -> str | None:
        under_way = self._under_way
        if under_way is None or under_way[0] == "finish":
            return None
        call, since = under_way
        limit = self._limits.start if call == "start" else self._limits.call
        return f"it hangs in {call!r} since {limit:g} s" if time.monotonic() - since > limit else None

    def _give_up(self) -> None:
        under_way = self._under_way
        if under_way is not None and under_way[0] == "finish" and getattr(self.tracker, "leave", bool)():
            self.left = True
            return
        self._drop(
            "it was not done when the run ended"
            if under_way is None
            else f"it was still in {under_way[0]!r} when the run ended"
        )

    def _drop(self, reason: str) -> None:
        self.dropped = reason
        with contextlib.suppress(Exception):
            getattr(self.tracker, "abandon", bool)()

    def _work(self) -> None:
        try:
            call = ""
            while call != "finish" and self.dropped is None:
                call, told = self._calls.get()
                self._under_way = (call, time.monotonic())
                getattr(self.tracker, call)(told)
                self._under_way = None
        except BaseException as error:  # A tracker may raise SystemExit too.
            words = str(error).strip().splitlines()
            kind = type(error).__name__
            self._failure = f"{kind}: {words[0]}" if words else kind
        self._ended.set()
