"""Carries functions out on a Ray cluster.

A function is a task of Ray's. As many as there are slots are Ray's to schedule; the others wait here, where they can
be cancelled. One thread waits for what ends and for what is called back.
"""

import atexit
import concurrent.futures
import contextlib
import itertools
import os
import pickle
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from excise.errors import ExecutorError, SettingError, WorkerDiedError
from excise.executors.base import Executor, OnCall
from excise.executors.ray_connection import RayConnection
from excise.executors.ray_failures import translated
from excise.executors.ray_worker import Mailbox, warm_up, work
from excise.executors.work import Inbox, Package, pack
from excise.extras import require

__all__ = ["RayExecutor"]

T = TypeVar("T")

_WAIT_SECONDS = 0.05
"""How long Ray is asked to wait before new functions are looked at."""

_LISTEN_SECONDS = 5.0
"""How long the mailbox keeps a question open."""


@dataclass(eq=False)
class _Task:
    """A function on its way."""

    name: str
    package: Package
    future: "concurrent.futures.Future[Any]"
    inbox: Inbox
    can_call: bool
    ref: Any = None


class RayExecutor(Executor):
    """Runs each function as a task on a Ray cluster, one processor each.

    A function whose worker or machine is lost begins again elsewhere, and its future has one result. What it had
    called back with does not arrive again.

    Args:
        address: "auto" or "host:port" for the cluster that this machine belongs to, "ray://host:10001" from elsewhere.
            None starts Ray on this machine, and ends it at shutdown. Where the program has called `ray.init` itself,
            that connection is used and left open.
        slots: how many functions run at once; None takes one for each processor of the cluster.
        retries: how often a function is begun again whose worker was lost.
        runtime_env: what workers need and do not have, as Ray takes it: {"pip": [...], "py_modules": [...]}.
        shares_files: whether workers see this machine's files at the same paths; None says so only of a cluster that
            is started here.

    Raises:
        SettingError: no such address, or a number out of its range.
        UnreachableError: no cluster answers there.
        WorkerMismatchError: the cluster runs another version of Ray or Python.
        MissingExtraError: Ray is not installed.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        slots: int | None = None,
        retries: int = 3,
        runtime_env: Mapping[str, Any] | None = None,
        shares_files: bool | None = None,
    ) -> None:
        if slots is not None and slots < 1:
            raise SettingError(f"an executor on Ray takes at least one function at once; slots={slots} came.")
        if retries < 0:
            raise SettingError(f"a lost function is begun again no or some times; retries={retries} came.")
        self._ray = ray = require("ray", "running on a Ray cluster")
        self._connection = RayConnection(ray, address, slots, runtime_env)
        self.shares_files = self._connection.is_local if shares_files is None else shares_files
        self.slots = slots or max(1, int(ray.cluster_resources().get("CPU", 0)))
        options: dict[str, Any] = {"num_cpus": 1, "max_retries": retries, "retry_exceptions": False}
        if runtime_env is not None and self._connection.is_the_users:
            options["runtime_env"] = dict(runtime_env)
        self._work = ray.remote(work).options(**options)
        self._paths = [os.path.abspath(path) for path in sys.path]
        self._names = (f"{os.urandom(4).hex()}-{count}" for count in itertools.count())
        self._mailbox: Any = None
        self._listening: Any = None
        self._seen = 0
        self._changed = threading.Condition()
        self._waiting: deque[_Task] = deque()
        self._running: dict[str, _Task] = {}
        self._watcher: threading.Thread | None = None
        self._closed = False
        self._killed = False
        warming = ray.remote(warm_up).options(**options, scheduling_strategy="SPREAD")
        self._warming = [warming.remote() for _ in range(self.slots)]
        # Before Ray's own end, which would end the program with an error while the watcher asks for results.
        atexit.register(self.shutdown, cancel_futures=True)

    def _start(
        self, fn: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any], on_call: OnCall | None
    ) -> "concurrent.futures.Future[T]":
        package = pack(fn, args, kwargs)
        future: concurrent.futures.Future[T] = concurrent.futures.Future()
        with self._changed:
            if self._closed:
                raise ExecutorError("this executor was shut down and takes nothing more; open another.")
            self._waiting.append(
                _Task(next(self._names), package, future, Inbox(on_call), on_call is not None)
            )
            if self._watcher is None:
                self._watcher = threading.Thread(target=self._watch, daemon=True)
                self._watcher.start()
            self._changed.notify()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take nothing more; see `Executor.shutdown`. What is ended in its middle raises `WorkerDiedError`."""
        with self._changed:
            self._closed = True
            self._killed = self._killed or cancel_futures
            self._changed.notify()
        if self._watcher is None:
            self._let_go()
        elif wait:
            self._watcher.join()
        if wait:
            atexit.unregister(self.shutdown)

    def _watch(self) -> None:
        """Give Ray what waits and see it out, until there is nothing more to come."""
        try:
            while self._go_on():
                self._see_out()
        except Exception as error:  # the connection is gone
            self._end_all(translated(error, self._ray))
        finally:
            self._let_go()

    def _go_on(self) -> bool:
        """Fill the slots, once there is something for them; False at the end."""
        with self._changed:
            while not (self._closed or self._waiting or self._running):
                self._changed.wait()
            is_killed = self._killed
            starting = []
            while not is_killed and self._waiting and len(self._running) + len(starting) < self.slots:
                starting.append(self._waiting.popleft())
        if is_killed:
            self._end_all(WorkerDiedError("the executor was shut down in the middle of the function's work."))
            return False
        for task in starting:
            if task.future.set_running_or_notify_cancel():
                mailbox = self._open_mailbox() if task.can_call else None
                task.ref = self._work.remote(task.package, self._paths, mailbox, task.name)
                self._running[task.name] = task
        return bool(self._running or self._waiting or not self._closed)

    def _see_out(self) -> None:
        """Wait a moment for letters and ends."""
        refs = [task.ref for task in self._running.values()]
        if not refs:
            return
        heard = [self._listening] if self._listening is not None else []
        ready, _ = self._ray.wait([*heard, *refs], num_returns=1, timeout=_WAIT_SECONDS)
        if not ready:
            return
        ended, _ = self._ray.wait(refs, num_returns=len(refs), timeout=0)
        if heard and (ended or ready == heard):
            self._deliver(at_once=bool(ended))
        for task in [task for task in self._running.values() if task.ref in set(ended)]:
            self._end(task)

    def _open_mailbox(self) -> Any:  # noqa: ANN401 - a handle of Ray's
        if self._mailbox is None:
            here = self._ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
                self._ray.get_runtime_context().get_node_id(), soft=False
            )
            actor = self._ray.remote(Mailbox).options(num_cpus=0, scheduling_strategy=here)
            self._mailbox, self._seen = actor.remote(), 0
            self._listening = self._mailbox.take.remote(0, _LISTEN_SECONDS)
        return self._mailbox

    def _deliver(self, *, at_once: bool) -> None:
        """Pass on the letters that have come: all of them, or those of the open question."""
        asked = self._mailbox.take.remote(self._seen, 0) if at_once else self._listening
        try:
            before, letters = self._ray.get(asked)
        except self._ray.exceptions.RayError as error:
            self._mailbox = self._listening = None
            for task in [task for task in self._running.values() if task.can_call]:
                self._fail(task, translated(error, self._ray))
            return
        for name, number, message in letters[self._seen - before :]:
            self._seen += 1
            task = self._running.get(name)
            if task is not None and not task.future.done():
                try:
                    task.inbox.take(number, pickle.loads(message))
                except Exception as error:  # what was called back was not taken
                    self._fail(task, error)
        if not at_once:
            self._listening = self._mailbox.take.remote(self._seen, _LISTEN_SECONDS)

    def _end(self, task: _Task) -> None:
        """Resolve the future of a function that has ended."""
        del self._running[task.name]
        if task.future.done():
            return
        try:
            kind, content = pickle.loads(self._ray.get(task.ref))
        except Exception as error:
            self._fail(task, translated(error, self._ray))
            return
        if kind == "result":
            task.future.set_result(content)
        else:
            self._fail(task, content)

    def _fail(self, task: _Task, error: Exception) -> None:
        """Give the future its error; the function keeps its slot until it ends.

        To cancel it could end this process: Ray 2.60 does not survive a result that arrives for a cancelled task.
        """
        if not task.future.done():
            task.future.set_exception(error)

    def _end_all(self, error: Exception) -> None:
        with self._changed:
            self._closed = True
            waiting, self._waiting = list(self._waiting), deque()
        for task in waiting:
            task.future.cancel()
        for task in self._running.values():
            if not self._connection.is_last:  # With the connection, what runs ends anyway.
                with contextlib.suppress(Exception):  # The connection is gone.
                    if not self._ray.wait([task.ref], timeout=0)[0]:
                        self._ray.cancel(task.ref, force=True)
            self._fail(task, error)
        self._running.clear()

    def _let_go(self) -> None:
        if self._mailbox is not None:
            self._ray.kill(self._mailbox)
        self._mailbox = self._listening = None
        self._warming.clear()
        self._connection.close()
