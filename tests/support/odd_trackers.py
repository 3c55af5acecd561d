"""A tracker that keeps what it was told, and trackers that go wrong; some are for processes of their own."""

import os
import threading
import time
from collections.abc import Mapping
from typing import Any

from excise.trackers import Ended, Tracked

__all__ = ["Broken", "Dying", "Failing", "Late", "Slow", "Told"]


class Told:
    """A tracker that keeps what it was told."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.threads: set[threading.Thread] = set()

    def start(self, run: Tracked) -> None:
        self._keep("start", run)

    def log(self, row: Mapping[str, float]) -> None:
        self._keep("log", row)

    def finish(self, end: Ended) -> None:
        self._keep("finish", end)

    @property
    def steps(self) -> list[float]:
        return [row["step"] for kind, row in self.calls if kind == "log"]

    @property
    def end(self) -> Ended:
        return self.calls[-1][1]

    def _keep(self, kind: str, told: Any) -> None:
        self.calls.append((kind, told))
        self.threads.add(threading.current_thread())


class Broken(Told):
    """A tracker in which one call goes wrong: it raises what it was given, or hangs where that is None."""

    name = "mine"

    def __init__(self, call: str, error: BaseException | None = None) -> None:
        super().__init__()
        self.call = call
        self.error = error
        self.released = threading.Event()

    def _keep(self, kind: str, told: Any) -> None:
        super()._keep(kind, told)
        if kind == self.call:
            if self.error is None:
                self.released.wait(60)
            else:
                raise self.error


class Dying(Told):
    """For a process of its own: it ends the process in the middle."""

    def log(self, row: Mapping[str, float]) -> None:
        os._exit(3)


class Failing(Told):
    def log(self, row: Mapping[str, float]) -> None:
        print("what a library prints")
        raise SystemExit("the key is wrong")


class Late(Told):
    """For a process of its own: it takes seconds to finish, and leaves a file when it has."""

    def start(self, run: Tracked) -> None:
        self.path = run.path

    def finish(self, end: Ended) -> None:
        time.sleep(1.0)
        (self.path / "finished").touch()


class Slow(Told):
    """A tracker that takes its time for each row."""

    def log(self, row: Mapping[str, float]) -> None:
        time.sleep(0.005)
        super().log(row)
