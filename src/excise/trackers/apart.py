"""A tracker in a process of its own, so that nothing it does can be felt in the training.

The libraries of trackers take a second and more to be imported and to begin; in a thread that would be taken from the
training, since Python runs one thread at a time. In a process it costs another core, at a low priority. Whatever such
a library prints, patches or installs happens there, and what it prints goes to a file in the run directory.
"""

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from excise.errors import TrackerError
from excise.trackers.base import Ended, Tracked, plain

__all__ = ["Apart"]


class Apart:
    """Carries what a tracker is told to a process in which it runs.

    Args:
        target: where the tracker's class is, as "module:Class"; it is made without arguments.
        name: what a user knows it by.
    """

    def __init__(self, target: str, name: str | None = None) -> None:
        self.target = target
        self.name = name or target
        self._process: subprocess.Popen[str] | None = None
        self._ended = threading.Event()
        self._failure: str | None = None
        self._done = False

    def start(self, run: Tracked) -> None:
        """Start the process and tell it of the run; it goes on by itself from there.

        Raises:
            TrackerError: the process cannot be started.
        """
        path = run.path / "trackers" / f"{self.name.replace(os.sep, '_')}.log"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a", encoding="utf-8") as printed:
                # In a session of its own it does not get the terminal's Ctrl-C, and may outlive this process.
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "excise.trackers.process", self.target],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=printed,
                    encoding="utf-8",
                    start_new_session=True,
                )
        except OSError as error:
            raise TrackerError(f"its process cannot be started: {error.strerror or error}") from error
        threading.Thread(target=self._listen, args=(self._process, path), daemon=True).start()
        self._tell("start", plain(run))

    def log(self, row: Mapping[str, float]) -> None:
        """Tell of a logged step.

        Raises:
            TrackerError: the tracker failed, or its process has ended.
        """
        self._tell("log", dict(row))

    def finish(self, end: Ended) -> None:
        """Tell how the run ended, and wait until the tracker is done.

        Raises:
            TrackerError: the tracker failed, or its process has ended.
        """
        self._tell("finish", plain(end))
        self._done = True
        self._ended.wait()
        self._raise()

    def leave(self) -> bool:
        """Whether it has been told everything, so that it may finish by itself; it gives up on its own later."""
        return self._done and self._failure is None

    def abandon(self) -> None:
        """End the process at once."""
        if self._process is not None:
            self._process.kill()

    def _tell(self, kind: str, content: Mapping[str, Any]) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._raise()
        try:
            self._process.stdin.write(json.dumps({"kind": kind, "content": content}) + "\n")
            self._process.stdin.flush()
        except (OSError, ValueError):  # The pipe is closed when the process has ended.
            self._ended.wait(1.0)
            self._raise()
            raise TrackerError("its process does not listen any more") from None

    def _raise(self) -> None:
        if self._failure is not None:
            raise TrackerError(self._failure)

    def _listen(self, process: "subprocess.Popen[str]", printed: Path) -> None:
        """Read what the process has to say: that it is done, or why it is not; its end without either is a failure."""
        assert process.stdout is not None
        failure: str | None = None
        done = False
        for line in process.stdout:
            with contextlib.suppress(ValueError):
                message = json.loads(line)
                failure, done = message.get("failed"), message.get("done", False)
        code = process.wait()
        with contextlib.suppress(OSError):  # What is not empty is kept, and so is its folder.
            if printed.stat().st_size == 0:
                printed.unlink()
                printed.parent.rmdir()
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):  # What a dead process has not read.
                pipe.close()
        if not done:
            self._failure = failure or f"its process ended (exit status {code})"
        self._ended.set()
