"""A function on its way as a job of submitit's: what it tells, whether it has ended, and why without a result."""

import concurrent.futures
import contextlib
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from excise.errors import WorkerDiedError
from excise.executors.letters import LetterReader
from excise.executors.work import Inbox, Package

__all__ = ["Cluster", "States", "SubmittedJob", "Task"]

Cluster = Literal["slurm", "local", "debug"]

SECONDS_BETWEEN_LOOK_UPS = 15.0
"""Between two calls of sacct, which asks for all jobs at once: the accounting database serves a whole cluster."""

LATE_FILES_SECONDS = 20.0
"""How long a shared file system may take to show what a job on another machine wrote before it ended."""

_FAREWELL_SECONDS = 5.0
"""How long a job whose result has arrived may take until it has ended."""

_LINES_OF_LOG = 20


@dataclass
class SubmittedJob:
    """A job of submitit's.

    Attributes:
        job: it.
        cluster: what carries it out.
    """

    job: Any
    cluster: Cluster
    _ended_at: float | None = field(default=None, init=False)
    _released_at: float | None = field(default=None, init=False)
    _cancelled: bool = field(default=False, init=False)

    @property
    def ended(self) -> bool:
        """Whether it runs no more, as far as is known."""
        if self.cluster == "debug":  # Its `done` would run it.
            return self.job.state != "QUEUED"
        if self.cluster == "local":
            return self.job.done()
        return self.job.paths.result_pickle.exists() or self.job.watcher.is_done(
            self.job.job_id, mode="cache"
        )

    @property
    def silent(self) -> bool:
        """Whether it ended so long ago that nothing that it wrote can still arrive."""
        if not self.ended:
            self._ended_at = None  # It was put into the queue again.
            return False
        if self.cluster != "slurm":
            return True
        if self._ended_at is None:
            self._ended_at = time.monotonic()
        return time.monotonic() - self._ended_at > LATE_FILES_SECONDS

    @property
    def gone(self) -> bool:
        """Whether nothing is to be seen out any more, of a job that nobody waits for; a process is always reaped."""
        if self._released_at is None:
            self._released_at = time.monotonic()
        if self.ended or self.cluster == "local":
            return self.ended
        return self._cancelled or time.monotonic() - self._released_at > _FAREWELL_SECONDS

    def cancel(self) -> None:
        """Have it ended, whether or not it has begun."""
        self._cancelled = True
        with contextlib.suppress(OSError):  # It ended by itself.
            self.job.cancel(check=False)

    def death(self, *, timed_out: bool = False) -> WorkerDiedError:
        """Why there is no result."""
        log = self._log()
        what = "Slurm job" if self.cluster == "slurm" else f"job of submitit's {self.cluster} executor"
        tail = f"\nThe end of its log, {self.job.paths.stderr}:\n{log}" if log else "\nIt left no log."
        return WorkerDiedError(
            f"{what} {self.job.job_id} ended in the middle of its work: {self._reason(log, timed_out)}.{tail}"
        )

    def tidy(self) -> None:
        """Delete what it was sent and what it gave; its logs stay."""
        for path in (self.job.paths.submitted_pickle, self.job.paths.result_pickle):
            Path(path).unlink(missing_ok=True)

    def _reason(self, log: str, timed_out: bool) -> str:
        state = str(self.job.state).upper() if self.cluster == "slurm" else ""
        if timed_out or state.startswith(("TIMEOUT", "DEADLINE")):
            return "its time limit came; ask for more with the parameter timeout_min"
        if state.startswith("OUT_OF_ME") or "oom" in log.casefold() or "out of memory" in log.casefold():
            return "it ran out of memory; ask for more with the parameter mem_gb"
        if state.startswith("CANCELLED"):
            return "it was cancelled"
        if state.startswith("NODE_FAIL"):
            return "its node failed"
        if "Traceback (most recent call last)" in log:
            return "its process failed"
        said = f" (state {state})" if state else ""
        return f"it was killed{said}, as when the machine runs out of memory"

    def _log(self) -> str:
        try:
            text = Path(self.job.paths.stderr).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-_LINES_OF_LOG:])


@dataclass
class Task:
    """A function on its way: waiting for a slot, or a job.

    Attributes:
        package: the function.
        future: its result to come.
        inbox: where what it calls back with goes.
        letters: what its job writes.
        stem: of the files that these are in.
        job: None until it is submitted.
    """

    package: Package
    future: "concurrent.futures.Future[Any]"
    inbox: Inbox
    letters: LetterReader
    stem: Path
    job: SubmittedJob | None = None

    def pass_on(self) -> tuple[str, Any]:
        """Pass on what the function called back with, and say how it ended: with what, or "nothing" so far.

        Raises:
            OSError: what was written cannot be read now.
        """
        for kind, *content in self.letters.read():
            if kind != "call":
                return kind, content[0] if content else None
            try:
                self.inbox.take(*content)
            except Exception as error:  # Who is called back would not have it.
                return "refused", error
        return "nothing", None


class States:
    """Asks Slurm from time to time how all jobs stand."""

    def __init__(self) -> None:
        self._asked = time.monotonic()

    def refresh(self, job: SubmittedJob) -> None:
        """Ask, if the last time is long enough ago; through any of the jobs, for all of them."""
        if job.cluster == "slurm" and time.monotonic() - self._asked > SECONDS_BETWEEN_LOOK_UPS:
            job.job.watcher.update()
            self._asked = time.monotonic()
