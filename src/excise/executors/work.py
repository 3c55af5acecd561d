"""What travels between a caller and whoever works for it: a function with its arguments, calls back, an end.

All engines carry the same: the caller packs a function (`pack`), a worker carries it out (`carry_out`) and numbers
what the function calls back with, and the caller's `Inbox` passes each on once, in order.
"""

import pickle
import platform
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import excise
from excise.errors import ExciseError, ExecutorError, SettingError, WorkerMismatchError
from excise.executors.remote import CallBack, RemoteFunction

__all__ = ["GRACE", "Inbox", "Package", "carry_out", "check_versions", "pack", "sendable", "versions"]

GRACE = 10.0
"""Seconds in which a function that is interrupted may write down that it was."""

Package = tuple[dict[str, str], bytes]
"""The versions of the caller, which are looked at first, and the pickled function with its arguments."""

_MUST_AGREE = ("torch", "numpy")


def pack(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Package:
    """A function with its arguments as bytes.

    Raises:
        SettingError: they cannot be pickled.
    """
    try:
        if getattr(fn, "__module__", "") == "__main__" or "<locals>" in getattr(fn, "__qualname__", ""):
            raise pickle.PicklingError("it is not a function of a module that another process can import")
        return versions(), pickle.dumps((fn, args, kwargs), protocol=pickle.HIGHEST_PROTOCOL)
    except Exception as error:  # Whatever an object's own pickling raises.
        name = getattr(fn, "__qualname__", repr(fn))
        raise SettingError(
            f"{name} cannot be sent to another process: {error}. Put the function at the top of a module, and give it "
            f"arguments that can be pickled."
        ) from error


def carry_out(package: Package, tell: Callable[[int, Any], object]) -> Any:  # noqa: ANN401 - what the function gives
    """Run a packed function in a worker.

    Args:
        package: what `pack` made.
        tell: takes each thing that the function calls back with, and its number, counted from 0.

    Returns:
        The function's result.

    Raises:
        WorkerMismatchError: this worker has other versions than the caller; found before anything is run.
        ExecutorError: the function is made of what this worker does not find.
    """
    asked, content = package
    check_versions(asked)
    fn, args, kwargs = _unpacked(content)
    if not isinstance(fn, RemoteFunction):
        return fn(*args, **kwargs)
    with _numbered(tell) as call_back:
        return fn(*args, on_call=call_back, **kwargs)


def versions() -> dict[str, str]:
    """What must agree between a caller and its workers: Python to the minor version, and packages."""
    found = {"python": ".".join(platform.python_version_tuple()[:2]), "excise": excise.__version__}
    for package in _MUST_AGREE:
        try:
            found[package] = version(package).partition("+")[0]
        except PackageNotFoundError:
            found[package] = "none"
    return found


def check_versions(asked: dict[str, str]) -> None:
    """Hold the caller's versions against those here.

    Raises:
        WorkerMismatchError: they differ.
    """
    here = versions()
    differing = [
        f"{name} {here.get(name, 'none')} instead of {wanted}"
        for name, wanted in asked.items()
        if here.get(name) != wanted
    ]
    if differing:
        raise WorkerMismatchError(
            f"this worker has {', '.join(differing)}, so that its results would not be the caller's. "
            f"Install there what `excise freeze` lists here."
        )


def sendable(error: Exception | SystemExit) -> Exception:
    """The error, with where it was raised; or one that says the same if it cannot be pickled there and back."""
    if isinstance(error, SystemExit):
        return ExecutorError(f"the function ended its process: {error!r}.")
    said = "".join(traceback.format_exception_only(error)).strip()
    trace = "".join(traceback.format_exception(error))
    if not isinstance(error, ExciseError):
        error.add_note(trace)
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        error = RuntimeError(said)
        error.add_note(trace)
    return error


class Inbox:
    """Passes on what a function calls back with: in order, each number at most once.

    Args:
        on_call: who is told.
    """

    def __init__(self, on_call: CallBack | None) -> None:
        self._on_call = on_call
        self._next = 0
        self._lock = threading.Lock()

    def take(self, number: int, message: Any) -> None:  # noqa: ANN401 - anything may be told
        """Pass a message on, unless one of its number, or of a later one, has been."""
        with self._lock:
            if number < self._next:
                return
            self._next = number + 1
            if self._on_call is None:
                return
            try:
                self._on_call(message)
            except (SystemExit, KeyboardInterrupt) as error:  # Would end a thread that others wait for.
                raise ExecutorError(f"who is called back ended with {error!r}.") from error


def _unpacked(content: bytes) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]:
    try:
        return pickle.loads(content)
    except AttributeError as error:
        raise ExecutorError(
            f"a worker does not find what the function or its arguments are made of: {error}. What is defined in a "
            f"script or a notebook is not there; put it into modules that workers can import."
        ) from error


@contextmanager
def _numbered(tell: Callable[[int, Any], object]) -> Iterator[CallBack]:
    """A way to call back, from any thread of a function's for as long as the block is open: no longer than it runs."""
    lock = threading.Lock()
    count, is_open = 0, True

    def call_back(message: Any) -> None:  # noqa: ANN401 - anything may be told
        nonlocal count
        with lock:
            if not is_open:
                raise ExecutorError(
                    "the function has ended, so that nobody hears what its threads call back with."
                )
            tell(count, message)
            count += 1

    try:
        yield call_back
    finally:
        with lock:
            is_open = False
