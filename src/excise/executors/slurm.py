"""Carries functions out as Slurm jobs, through submitit.

A job and its caller share a file system, and nothing else: no ports, no addresses. A job writes what it has to tell to
files in the executor's folder (`letters`), and one thread of the caller's reads them.
"""

import atexit
import concurrent.futures
import contextlib
import os
import shutil
import sys
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from excise.errors import ExecutorError, SettingError, UnreachableError, WorkerDiedError, shorten
from excise.executors.base import Executor, OnCall
from excise.executors.letters import LetterReader
from excise.executors.processes import cores
from excise.executors.slurm_jobs import Cluster, States, SubmittedJob, Task
from excise.executors.slurm_parameters import submitit_parameters
from excise.executors.slurm_worker import Errand
from excise.executors.work import Inbox, pack
from excise.extras import require

__all__ = ["SlurmExecutor"]

T = TypeVar("T")

_SLOTS = 64
_MINUTES = 60
_GATHER_SECONDS = 0.05
"""Between two functions that are submitted in one go."""

_PAUSES = {"slurm": 1.0, "local": 0.05, "debug": 0.05}
"""Seconds between two looks at the files of what runs."""


class SlurmExecutor(Executor):
    """Runs each function as a job; those that are submitted together become one job array.

    A job that Slurm puts into the queue again, because its machine failed or is needed for another, begins its
    function again. Jobs outlive a caller that is killed; an interrupted block cancels them.

    Args:
        folder: for logs, and for what is sent; all machines see it at the same path. None takes a new folder in the
            user's cache, which on a cluster lies in the home directory.
        cluster: "slurm"; "local" runs jobs as processes of this machine, and "debug" runs them in this process, as
            submitit does for trying things out; None stands for "slurm".
        slots: how many jobs are in Slurm's queue or run at once. None takes 64, and one a processor with "local".
        parameters: what each job is given, by submitit's names: partition, timeout_min (an hour if it is not given),
            mem_gb, cpus_per_task, gpus_per_node, account, qos, setup and others (`slurm_parameters`).

    Raises:
        SettingError: no such cluster or parameter, or fewer than one slot.
        UnreachableError: this machine submits no jobs to Slurm.
        MissingExtraError: submitit is not installed.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str] | None = None,
        *,
        cluster: str | None = None,
        slots: int | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> None:
        if slots is not None and slots < 1:
            raise SettingError(f"an executor of Slurm jobs takes at least one; slots={slots} came.")
        known: tuple[Cluster, ...] = ("slurm", "local", "debug")
        if cluster not in (None, *known):
            raise SettingError(f"there is no cluster {cluster!r} of submitit's. Known: {shorten(known)}.")
        submitit = require("submitit", "running Slurm jobs")
        self._cluster: Cluster = known[known.index(cluster or "slurm")]
        settings = {"timeout_min": _MINUTES} | submitit_parameters(parameters or {})
        if self._cluster == "slurm" and not (shutil.which("sbatch") and shutil.which("srun")):
            raise UnreachableError(
                "there is no Slurm on this machine: its commands sbatch and srun were not found. Start this where "
                "jobs are submitted (a login node), or use this machine's processors: --executor processes, or "
                'cluster="local" to try jobs out (--engine cluster=local).'
            )
        self.slots = slots or {"slurm": _SLOTS, "local": cores(), "debug": 1}[self._cluster]
        self._folder = Path(folder) if folder is not None else _cache() / uuid.uuid4().hex[:12]
        self._folder = self._folder.expanduser().absolute()
        self._is_temporary = folder is None and self._cluster != "slurm"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._submitit = submitit.AutoExecutor(self._folder, cluster=self._cluster, slurm_max_num_timeout=0)
        self._submitit.update_parameters(**settings, slurm_array_parallelism=self.slots)
        self._changed = threading.Condition()
        self._waiting: list[Task] = []
        self._running: list[Task] = []
        self._leaving: list[Task] = []
        self._watcher: threading.Thread | None = None
        self._closed = False
        self._killed = False
        atexit.register(self.shutdown, cancel_futures=True)  # A program that ends leaves no jobs.

    def _start(
        self, fn: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any], on_call: OnCall | None
    ) -> "concurrent.futures.Future[T]":
        package = pack(fn, args, kwargs)
        future: concurrent.futures.Future[T] = concurrent.futures.Future()
        stem = self._folder / uuid.uuid4().hex
        task = Task(package, future, Inbox(on_call), LetterReader(stem), stem)
        with self._changed:
            if self._closed:
                raise ExecutorError("this executor was shut down and takes nothing more; open another.")
            if self._cluster == "debug":
                self._submit([task])
            else:
                self._waiting.append(task)
            if self._watcher is None:
                self._watcher = threading.Thread(target=self._watch, daemon=True)
                self._watcher.start()
            self._changed.notify()
        if self._cluster == "debug" and task.job is not None:
            try:
                task.job.job.results()
            finally:  # An interrupt comes out of here.
                task.job.cancel()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take nothing more; see `Executor.shutdown`. What is ended in its middle raises `WorkerDiedError`."""
        with self._changed:
            self._closed = True
            self._killed = self._killed or cancel_futures
            self._changed.notify()
        if wait and self._watcher is not None:
            self._watcher.join()
        if wait:
            atexit.unregister(self.shutdown)
        if self._is_temporary and (wait or self._watcher is None):
            shutil.rmtree(self._folder, ignore_errors=True)

    def _watch(self) -> None:
        """Submit what waits, read what jobs write, and see them out, until there is nothing more to come."""
        states = States()
        while True:
            if self._cluster == "slurm":
                self._gather()
            with self._changed:
                if self._killed:
                    self._kill()
                self._admit()
                running = list(self._running)
            if running:
                assert running[0].job is not None
                states.refresh(running[0].job)
            for task in running:
                self._look_after(task)
            for task in list(self._leaving):
                assert task.job is not None
                with contextlib.suppress(OSError):
                    if task.job.gone:
                        self._leaving.remove(task)
                        task.job.tidy()
            with self._changed:
                if self._waiting or self._running or self._leaving:
                    self._changed.wait(_PAUSES[self._cluster])
                elif self._closed:
                    return
                else:
                    self._changed.wait()

    def _gather(self) -> None:
        """Let what is submitted in one go come together, so that it becomes one job array."""
        before = 0
        while before < len(self._waiting) < self.slots and not self._closed:
            before = len(self._waiting)
            time.sleep(_GATHER_SECONDS)

    def _admit(self) -> None:
        """Submit as much of what waits as there is room for."""
        for task in [task for task in self._waiting if task.future.cancelled()]:
            task.future.set_running_or_notify_cancel()
            self._waiting.remove(task)
        room = self.slots - len(self._running)
        admitted, self._waiting = self._waiting[:room], self._waiting[room:]
        if admitted:
            self._submit(admitted)

    def _submit(self, tasks: list[Task]) -> None:
        try:
            jobs = self._submitit.submit_array(
                [Errand(task.package, tuple(sys.path), task.stem) for task in tasks]
            )
        except Exception as error:  # Whatever sbatch has against it.
            refusal = ExecutorError(f"the job was not taken: {str(error).strip()}")
            refusal.__cause__ = error
            for task in tasks:
                if task.future.set_running_or_notify_cancel():
                    task.future.set_exception(refusal)
            return
        for task, job in zip(tasks, jobs, strict=True):
            task.job = SubmittedJob(job, self._cluster)
            self._running.append(task)

    def _look_after(self, task: Task) -> None:
        """Pass on what a job has written, and end its future with it."""
        assert task.job is not None
        silent = False
        try:
            silent = task.job.silent  # Asked first: what it wrote before it ended is then read below.
            may_begin = task.letters.begun or silent or task.future.cancelled()
            if may_begin and not task.future.running() and not task.future.set_running_or_notify_cancel():
                self._release(task, cancel=True)
                return
            kind, content = task.pass_on()
        except Exception as error:
            if isinstance(error, OSError) and not silent:
                return  # A shared file system has its moments, and the next look may do better.
            kind, content = "refused", error
        if kind == "nothing" and not silent:
            return
        self._release(task, cancel=kind == "refused")
        if kind == "result":
            task.future.set_result(content)
        elif kind in ("nothing", "interrupted"):
            task.future.set_exception(task.job.death(timed_out=kind == "interrupted"))
        else:
            task.future.set_exception(content)

    def _release(self, task: Task, *, cancel: bool = False) -> None:
        """Give the slot of a task to another; its job is seen out."""
        assert task.job is not None
        if cancel:
            task.job.cancel()
        with contextlib.suppress(OSError):
            task.letters.remove()
        with self._changed:
            self._running.remove(task)
            self._leaving.append(task)

    def _kill(self) -> None:
        """Cancel what waits, and end what runs."""
        for task in self._waiting:
            task.future.cancel()
            task.future.set_running_or_notify_cancel()
        self._waiting = []
        for task in list(self._running):
            assert task.job is not None
            self._release(task, cancel=True)
            if task.future.running():
                task.future.set_exception(WorkerDiedError(f"job {task.job.job.job_id} was cancelled."))
            elif task.future.cancel():
                task.future.set_running_or_notify_cancel()


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "excise" / "slurm"
