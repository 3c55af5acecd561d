"""A process that carries functions out for the one that started it: `python -m excise.executors.worker`.

Functions come through its standard input and what happens goes to its standard output, as frames; what a function
prints goes to standard error, and what it reads is empty. When its standard input ends, because whoever started it has
gone, or when it is asked to end, it interrupts its function, which may write down that it was, and ends: a sweep that
was killed leaves nothing running.
"""

import os
import queue
import signal
import sys
import threading
import time
from types import FrameType
from typing import IO, NoReturn

from excise.executors.frames import read_frame, write_frame
from excise.executors.work import GRACE, Package, carry_out, sendable

__all__ = ["main"]


def main() -> None:
    """Carry out functions until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that waits for this one.
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        _work()
    except KeyboardInterrupt:
        os._exit(1)


def _work() -> NoReturn:
    out = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    source = os.fdopen(os.dup(sys.stdin.fileno()), "rb")
    with open(os.devnull, "rb") as nothing:  # What a function reads, or a command that it starts.
        os.dup2(nothing.fileno(), sys.stdin.fileno())
    sys.path[:] = read_frame(source)  # Modules are found where the caller finds them.
    packages: queue.SimpleQueue[Package] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(source, packages), daemon=True).start()
    while True:
        package = packages.get()
        try:
            result = carry_out(package, lambda number, message: _tell(out, ("call", number, message)))
            _tell(out, ("result", result))
        except (Exception, SystemExit) as error:
            _tell(out, ("error", sendable(error)))


def _tell(pipe: IO[bytes], message: object) -> None:
    """Send a message; where nobody is left to hear it, there is nobody to work for either."""
    try:
        write_frame(pipe, message)
    except BrokenPipeError:
        raise KeyboardInterrupt from None


def _read(pipe: IO[bytes], packages: "queue.SimpleQueue[Package]") -> None:
    try:
        while True:
            packages.put(read_frame(pipe))
    except EOFError:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(GRACE)
        os._exit(1)


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
