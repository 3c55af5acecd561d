"""Functions for executors to carry out."""

import contextlib
import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path

from excise.errors import ExecutorError
from excise.executors import CallBack, remote


def square(x: float) -> float:
    return x * x


def fail(what: str) -> None:
    raise ValueError(what)


def fail_unpicklably() -> None:
    error = ValueError("unpicklable")
    error.more = lambda: None  # pyright: ignore[reportAttributeAccessIssue] - an attribute that cannot be pickled
    raise error


def process_id() -> int:
    return os.getpid()


def slow_process_id(_index: int) -> int:
    time.sleep(0.2)
    return os.getpid()


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def run_out_of_memory() -> None:
    raise MemoryError


def sleep(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def speak(words: str) -> None:
    print(words, flush=True)


@remote
def count(to: int, *, call_back: CallBack) -> int:
    for number in range(to):
        call_back(number)
    return to


@remote
def die_once(marker: Path, to: int, *, call_back: CallBack) -> int:
    """Counts; the first time, dies in the middle."""
    for number in range(to):
        call_back(number)
        if number == to // 2 and not marker.exists():
            marker.touch()
            time.sleep(0.3)  # What was called back is on its way.
            die()
    return to


@remote
def wait_for(gate: Path, *, call_back: CallBack) -> str:
    """Ends only if its caller hears it meanwhile."""
    call_back("waiting")
    until = time.monotonic() + 30
    while not gate.exists() and time.monotonic() < until:
        time.sleep(0.02)
    return "open" if gate.exists() else "closed"


def run_into_time_limit() -> None:
    """Gets the signal that Slurm sends before it ends a job."""
    os.kill(os.getpid(), signal.SIGUSR2)
    time.sleep(30)


@remote
def tell_all(*, call_back: CallBack) -> str:
    """Prints, logs and calls back."""
    print("first\nsecond")
    call_back("between")
    logging.getLogger("study").info("logged")
    print("to the other", file=sys.stderr)
    print("no end", end="")
    return "done"


def give_unpicklable() -> object:
    return lambda: None


def leave() -> None:
    sys.exit(3)


@remote
def count_on_ray(folder: Path, name: str, to: int, *, call_back: CallBack) -> tuple[str, str]:
    """Says on which node it is, leaves a file for each time that it is begun, and counts slowly."""
    import ray

    node = ray.get_runtime_context().get_node_id()
    (folder / f"{name}-{os.getpid()}").touch()
    call_back(node)
    for number in range(to):
        time.sleep(0.05)
        call_back(number)
    return name, node


@remote
def be_preempted_once(marker: Path, to: int, *, call_back: CallBack) -> int:
    """Counts; the first time, gets in the middle the signal with which Slurm takes the machine back."""
    for number in range(to):
        call_back(number)
        if number == to // 2 and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGUSR2)
    return to


@remote
def count_in_threads(threads: int, to: int, *, call_back: CallBack) -> int:
    """Counts in several threads at once, each thing told long enough to be torn apart."""

    def count_here(thread: int) -> None:
        for number in range(to):
            call_back((thread, number, "x" * 2000))

    counting = [threading.Thread(target=count_here, args=(thread,)) for thread in range(threads)]
    for thread in counting:
        thread.start()
    for thread in counting:
        thread.join()
    return threads


@remote
def tell_too_late(*, call_back: CallBack) -> str:
    """Ends before its thread tells anything."""

    def tell() -> None:
        time.sleep(0.2)
        with contextlib.suppress(ExecutorError):
            call_back("too late")

    threading.Thread(target=tell, daemon=True).start()
    return "ended"


def read_input() -> str:
    return sys.stdin.read()


class OddError(Exception):
    """Can be pickled, but not made again: it takes two arguments and keeps one; nor can it be printed."""

    def __init__(self, first: int, second: int) -> None:
        super().__init__(first + second)

    def __str__(self) -> str:
        raise LookupError("nothing to say")


def fail_oddly() -> None:
    raise OddError(1, 2)


def wait_long(marker: str) -> None:
    """Writes down in which process it waits, whole at once, and waits."""
    Path(f"{marker}.new").write_text(str(os.getpid()))
    Path(f"{marker}.new").rename(marker)
    time.sleep(120)
