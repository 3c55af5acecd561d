"""Messages in files on a shared file system, which one process writes while another reads.

Where two machines share nothing but a file system, what one has to tell is appended to a file, a frame a message. Who
writes may be ended in the middle of a frame and begin again, so each beginning has a file of its own, numbered; who
reads takes them in that order, and leaves the torn end of a file once there is a later one.
"""

import contextlib
import os
import time
from pathlib import Path
from typing import Any

from excise.executors.frames import read_frame, write_frame

__all__ = ["LetterReader", "LetterWriter"]

_SYNC_SECONDS = 0.2


class LetterWriter:
    """Begins the next file of a sequence, and appends messages to it.

    Args:
        stem: the folder and the beginning of the files' names.
    """

    def __init__(self, stem: Path) -> None:
        attempt = 0
        while True:
            try:
                self._file = _file(stem, attempt).open("xb")
                break
            except FileExistsError:
                attempt += 1
        self._synced = 0.0

    def write(self, message: object, *, last: bool = False) -> None:
        """Append a message; it is on the way to other machines at once, or within moments if there are many."""
        write_frame(self._file, message)
        now = time.monotonic()
        if last or now - self._synced > _SYNC_SECONDS:
            os.fsync(self._file.fileno())
            self._synced = now

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


class LetterReader:
    """Reads what has been written since it was last asked.

    Args:
        stem: the folder and the beginning of the files' names.
    """

    def __init__(self, stem: Path) -> None:
        self._stem = stem
        self._attempt = 0
        self._offset = 0

    @property
    def begun(self) -> bool:
        """Whether the first file is there."""
        return self._attempt > 0 or _file(self._stem, 0).exists()

    def read(self) -> list[Any]:
        """All whole messages that are there and have not been given, in order.

        Raises:
            OSError: a file cannot be read now; nothing is lost, and the next call gives what this one did not.
        """
        messages: list[Any] = []
        attempt, offset = self._attempt, self._offset
        while True:
            # Asked before reading: once there is a later file, nothing is added to this one.
            is_final = _file(self._stem, attempt + 1).exists()
            try:
                with _file(self._stem, attempt).open("rb") as file, contextlib.suppress(EOFError):
                    file.seek(offset)
                    while True:
                        messages.append(read_frame(file))
                        offset = file.tell()
            except FileNotFoundError:
                is_final = False
            if not is_final:
                self._attempt, self._offset = attempt, offset
                return messages
            attempt, offset = attempt + 1, 0

    def remove(self) -> None:
        """Delete the files."""
        for attempt in range(self._attempt + 1):
            _file(self._stem, attempt).unlink(missing_ok=True)


def _file(stem: Path, attempt: int) -> Path:
    return stem.with_name(f"{stem.name}.{attempt}.letters")
