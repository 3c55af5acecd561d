"""Whether a run that never said how it ended is still going on.

A run directory does not name the process that writes it, nor its machine. What can be told is when something was last
written there and, on Linux, whether a process holds the lock of a sweep. So "stopped?" keeps its question mark.
"""

import os
import time
from pathlib import Path

from excise.record import Run

__all__ = ["QUIET", "RUNNING", "STOPPED", "state_of"]

RUNNING = "running"
STOPPED = "stopped?"

QUIET = 15 * 60
"""Seconds without anything written after which a run that nobody holds has probably stopped."""


def state_of(run: Run) -> str:
    """How a run stands: "finished", "failed", "cancelled", "running", or "stopped?" when it seems to be abandoned."""
    if run.status["status"] != "started":
        return run.status["status"]
    going_on = time.time() - _last_written(run.path) < QUIET or _is_locked(run.path)
    return RUNNING if going_on else STOPPED


def _last_written(path: Path) -> float:
    """When the directory or something in it was last written, in seconds since the epoch."""
    latest = 0.0
    try:
        latest = path.stat().st_mtime
        with os.scandir(path) as entries:
            for entry in entries:
                latest = max(latest, entry.stat(follow_symlinks=False).st_mtime)
    except OSError:
        pass  # What is being written may be moved away just now.
    return latest


def _is_locked(path: Path) -> bool:
    """Whether the system lists a lock on the directory; looking does not take the lock from a sweep that starts."""
    try:
        status = path.stat()
        lines = Path("/proc/locks").read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    # A line: "7: FLOCK  ADVISORY  WRITE 4711 08:01:131085 0 EOF", the device in hexadecimal.
    place = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    return any("FLOCK" in line and place in line.split() for line in lines)
