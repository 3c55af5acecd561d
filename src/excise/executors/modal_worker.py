"""What runs on Modal: one function a call, which tells all that happens in order.

It is a plain generator function of a module, which knows of Modal only where a volume is to be kept: so it can be run
anywhere, and is.
"""

import contextlib
import io
import logging
import pickle
import queue
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

from excise.executors.work import Package, carry_out, sendable
from excise.extras import require

__all__ = ["work"]

_Tell = Callable[[tuple[Any, ...]], object]


def work(package: Package, volumes: tuple[str, ...] = ()) -> Iterator[bytes]:
    """Carry out a packed function; one at a time in a process, as its output is looked after.

    Args:
        package: what `excise.executors.work.pack` made.
        volumes: names of Modal's volumes that are mounted here; what was written to them is kept after the call.

    Yields:
        Pickled, as they happen: `("call", number, message)` for what the function calls back with, `("output", line)`
        for what it prints or logs, and at the end `("result", value)` or `("error", exception)`.
    """
    events: queue.SimpleQueue[tuple[Any, ...]] = queue.SimpleQueue()
    threading.Thread(target=_run, args=(package, volumes, events.put), daemon=True).start()
    while True:
        event = events.get()
        try:
            content = pickle.dumps(event)
        except Exception as error:  # Whatever an object's own pickling raises.
            content = pickle.dumps(("error", sendable(error)))
            event = ("error",)
        yield content
        if event[0] in ("result", "error"):
            return


def _run(package: Package, volumes: tuple[str, ...], tell: _Tell) -> None:
    try:
        with _kept(volumes), _output_told(tell), _logging_set_up():
            result = carry_out(package, lambda number, message: tell(("call", number, message)))
    except Exception as error:
        tell(("error", sendable(error)))
    except BaseException as error:  # A SystemExit is no reason to leave the caller waiting.
        tell(("error", RuntimeError(f"the function ended its process: {error!r}")))
    else:
        tell(("result", result))


@contextlib.contextmanager
def _kept(volumes: tuple[str, ...]) -> Iterator[None]:
    """Have what is written to volumes kept, however the block ends: other machines see it when the call is over."""
    try:
        yield
    finally:
        for name in volumes:
            require("modal", "keeping a volume of Modal's").Volume.from_name(name).commit()


@contextlib.contextmanager
def _output_told(tell: _Tell) -> Iterator[None]:
    """Tell each line that is printed; Modal's own logs get it too."""
    out, err = _Lines(sys.stdout, tell), _Lines(sys.stderr, tell)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            yield
        finally:
            out.finish()
            err.finish()


@contextlib.contextmanager
def _logging_set_up() -> Iterator[None]:
    """Have messages of `logging` printed, with the time and from INFO on, and leave logging as it was."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(min(level, logging.INFO))
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


class _Lines(io.TextIOBase):
    """A text stream that tells whole lines, and passes everything on to another."""

    def __init__(self, through: Any, tell: _Tell) -> None:  # noqa: ANN401 - whatever stands for standard output
        self._through = through
        self._tell = tell
        self._begun = ""
        self._lock = threading.Lock()

    def writable(self) -> bool:
        return True

    def write(self, text: str, /) -> int:
        with self._lock:
            *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            self._tell(("output", line))
        self._through.write(text)
        return len(text)

    def flush(self) -> None:
        self._through.flush()

    def finish(self) -> None:
        """Tell a last line without an end."""
        if self._begun:
            self._tell(("output", self._begun))
            self._begun = ""
