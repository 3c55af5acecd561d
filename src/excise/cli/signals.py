"""Lets a signal end a command as Ctrl-C does."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import CodeType, FrameType

__all__ = ["Ended", "ending_on_signals"]

_IMPORT_PAUSE = 0.05
"""After so many seconds a signal that came in the middle of an import is given again."""


class Ended(KeyboardInterrupt):
    """A signal asked the command to end: Ctrl-C, `kill`, a batch system, a terminal that closes.

    Each ends a run as Ctrl-C does, so that the run directory says cancelled instead of started for ever.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__()


@contextmanager
def ending_on_signals(command: CodeType) -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the block as Ctrl-C does; one that is ignored (nohup) stays so.

    Args:
        command: the function in which the command runs; imports that began outside it do not count.
    """
    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    caught = [number for number in numbers if before[number] in (signal.SIG_DFL, signal.default_int_handler)]
    if threading.current_thread() is not threading.main_thread():
        caught = []  # only the main thread may set handlers

    def end(number: int, frame: FrameType | None) -> None:
        if not _is_importing(frame, command):
            raise Ended(number)
        # A library that is interrupted as it is imported may swallow that, or stay half imported: ask again later.
        later = threading.Timer(_IMPORT_PAUSE, signal.raise_signal, [number])
        later.daemon = True
        later.start()

    for number in caught:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in caught:
            signal.signal(number, before[number])


def _is_importing(frame: FrameType | None, command: CodeType) -> bool:
    """Whether an import that this command began is under way."""
    while frame is not None and frame.f_code is not command:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False
