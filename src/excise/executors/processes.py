"""Carries functions out in processes of this machine that end with their caller.

`concurrent.futures.ProcessPoolExecutor` forks, or starts its processes through `multiprocessing`, and neither ends them
when the caller is killed. These are started anew (torch has threads, which a fork does not survive), live for as long
as the pipe to them is open, and take one function after another.
"""

import concurrent.futures
import contextlib
import os
import pickle
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from excise.errors import ExecutorError, SettingError, WorkerDiedError
from excise.executors.base import Executor, OnCall
from excise.executors.frames import read_frame, write_frame
from excise.executors.work import GRACE, Inbox, Package, pack

__all__ = ["Processes", "cores"]

T = TypeVar("T")

_LOOK = 0.05
"""Seconds between two looks at whether processes that were asked to end have ended."""


def cores() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass(frozen=True)
class _Order:
    """A function that waits for a process."""

    package: Package
    future: "concurrent.futures.Future[Any]"
    inbox: Inbox


class Processes(Executor):
    """Runs functions in processes of their own, started when there is work for them.

    Args:
        slots: how many processes there are at most; None takes one a processor.

    Raises:
        SettingError: fewer than one.
    """

    def __init__(self, slots: int | None = None) -> None:
        if slots is not None and slots < 1:
            raise SettingError(f"an executor of processes takes at least one; slots={slots} came.")
        self.slots = cores() if slots is None else slots
        self._orders: queue.SimpleQueue[_Order | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._processes: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._waiting = 0
        self._idle = 0
        self._closed = False
        self._killed = False

    def _start(
        self, fn: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any], on_call: OnCall | None
    ) -> "concurrent.futures.Future[T]":
        package = pack(fn, args, kwargs)
        future: concurrent.futures.Future[T] = concurrent.futures.Future()
        with self._lock:
            if self._closed:
                raise ExecutorError("this executor was shut down and takes nothing more; open another.")
            self._orders.put(_Order(package, future, Inbox(on_call)))
            self._waiting += 1
            if self._waiting > self._idle and len(self._threads) < self.slots:
                thread = threading.Thread(target=self._serve, daemon=True)
                self._threads.append(thread)
                self._idle += 1
                thread.start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take nothing more; see `Executor.shutdown`. What is ended in its middle raises `WorkerDiedError`."""
        with self._lock:
            already, self._closed = self._closed, True
            if cancel_futures:
                self._killed = True
                with contextlib.suppress(queue.Empty):
                    while True:
                        order = self._orders.get_nowait()
                        if order is not None:
                            order.future.cancel()
                for process in self._processes:
                    process.terminate()
                threading.Thread(target=self._kill_late, daemon=True).start()
            if not already or cancel_futures:
                for _ in self._threads:
                    self._orders.put(None)
        if wait:
            for thread in self._threads:
                thread.join()

    def _kill_late(self) -> None:
        """End what does not end when it is asked to."""
        deadline = time.monotonic() + GRACE
        while self._processes and time.monotonic() < deadline:
            time.sleep(_LOOK)
        for process in tuple(self._processes):
            process.kill()

    def _serve(self) -> None:
        """Give one process one order after another."""
        process: subprocess.Popen[bytes] | None = None
        try:
            while (order := self._orders.get()) is not None:
                with self._lock:
                    self._waiting -= 1
                    self._idle -= 1
                try:
                    if order.future.set_running_or_notify_cancel():
                        if process is None or process.poll() is not None:
                            process = self._launch()
                        self._carry_out(process, order)
                except Exception as error:  # a process that died, or what was called back was not taken
                    order.future.set_exception(error)
                    if process is not None:
                        process.kill()
                    process = self._end(process)
                finally:
                    with self._lock:
                        self._idle += 1
        finally:
            self._end(process)

    def _launch(self) -> "subprocess.Popen[bytes]":
        try:
            # In a session of its own it does not get the terminal's Ctrl-C, not even while it starts.
            process = subprocess.Popen(
                [sys.executable, "-m", "excise.executors.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise ExecutorError(f"cannot start a worker process: {error.strerror or error}.") from error
        with self._lock:
            self._processes.add(process)
            if self._killed:
                process.kill()
        assert process.stdin is not None
        with contextlib.suppress(OSError):  # It died; who gives it an order will notice.
            write_frame(process.stdin, sys.path)
        return process

    def _carry_out(self, process: "subprocess.Popen[bytes]", order: _Order) -> None:
        """Have one order carried out.

        Raises:
            WorkerDiedError: the process ended before the function did.
        """
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            write_frame(process.stdin, order.package)
            while True:
                kind, *content = read_frame(process.stdout)
                if kind == "call":
                    order.inbox.take(*content)
                    continue
                if kind == "result":
                    order.future.set_result(*content)
                else:
                    order.future.set_exception(content[0])
                return
        except (OSError, EOFError, pickle.UnpicklingError) as error:
            raise _death(process.wait()) from error

    def _end(self, process: "subprocess.Popen[bytes] | None") -> None:
        """Let a process go: it ends when its pipe is closed."""
        if process is None:
            return
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):  # What a dead process has not read.
                pipe.close()
        process.wait()
        with self._lock:
            self._processes.discard(process)


def _death(code: int) -> WorkerDiedError:
    if code < 0:
        how = f"signal {-code}" + (", as when the machine runs out of memory" if code == -9 else "")
    else:
        how = f"exit status {code}"
    return WorkerDiedError(f"a worker process died in the middle of its work ({how}).")
