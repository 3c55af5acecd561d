"""Carries out the chunks of a sweep: one chunk here, several in processes of their own, one a core."""

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from excise.errors import RunError
from excise.experiments.chunk import run_chunk
from excise.experiments.recipe import Recipe
from excise.training import Snapshot
from excise.training.progress import SilentProgress

__all__ = ["cores", "run_chunks"]


def cores() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run_chunks(
    recipe: Recipe,
    chunks: Sequence[Sequence[int]],
    path: Path,
    environment: Mapping[str, Any],
    *,
    workers: int,
    progress: SilentProgress,
    log_every: int = 10,
) -> None:
    """Run each chunk; returns when all have ended.

    Raises:
        RunError: a directory cannot be written, or a worker process died.
        ExciseError: what a chunk could not go on with.
    """
    display = _Display(chunks, recipe.schedule().timeline().num_steps, progress)
    if workers == 1 or len(chunks) <= 1:
        for index, seeds in enumerate(chunks):
            run_chunk(
                recipe,
                seeds,
                path,
                environment,
                log_every=log_every,
                on_step=lambda snapshot, index=index: display.step(index, snapshot),
                on_seed=display.seed,
                notify=display.note,
            )
        return
    settings = {
        "recipe": recipe.spec(),
        "path": str(path),
        "environment": dict(environment),
        "log_every": log_every,
    }
    _run_in_processes([{**settings, "seeds": list(seeds)} for seeds in chunks], workers, display)


class _Display:
    """Turns what the chunks tell into one progress: seed-steps trained, then seeds evaluated."""

    def __init__(self, chunks: Sequence[Sequence[int]], num_steps: int, progress: SilentProgress) -> None:
        self.sizes = [len(chunk) for chunk in chunks]
        self.total = sum(self.sizes) * num_steps
        self.done = [0] * len(chunks)
        self.progress = progress
        self.began = time.perf_counter()
        self.finished = 0
        self.notes: set[str] = set()

    def step(self, chunk: int, snapshot: Snapshot) -> None:
        self.done[chunk] = max(self.done[chunk], (snapshot.step + 1) * self.sizes[chunk])
        self.progress(
            Snapshot(
                step=sum(self.done) - 1,
                num_steps=self.total,
                loss=snapshot.loss,
                objective=snapshot.objective,
                lr=snapshot.lr,
                terms=snapshot.terms,
                weights={},
                seconds=time.perf_counter() - self.began,
            )
        )

    def seed(self, _seed: int) -> None:
        self.finished += 1
        self.progress.stage(f"{self.finished} of {sum(self.sizes)} seeds finished")

    def note(self, note: str) -> None:
        if note not in self.notes:
            self.notes.add(note)
            self.progress.note(note)


def _run_in_processes(tasks: Sequence[dict[str, Any]], workers: int, display: _Display) -> None:
    waiting = list(enumerate(tasks))
    running: dict[int, _Worker] = {}
    messages: Messages = queue.Queue()
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                index, task = waiting.pop(0)
                running[index] = _Worker(index, messages)
                running[index].begin(task)
            index, message = messages.get()
            if message is not None:
                _take(index, message, display)
            elif code := running.pop(index).end():
                raise _death_of_a_worker(f"exit status {code}")
    finally:
        for worker in running.values():
            worker.kill()


Messages = queue.Queue[tuple[int, dict[str, Any] | None]]
"""What worker processes tell, each with the index of its chunk; None when one has ended."""


class _Worker:
    """A process for one chunk, and the thread that listens to it.

    Raises:
        RunError: the process cannot be started.
    """

    def __init__(self, index: int, messages: Messages) -> None:
        try:
            # In a session of its own it does not get the terminal's Ctrl-C, not even while it starts.
            self.process = subprocess.Popen(
                [sys.executable, "-m", "excise.experiments.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                encoding="utf-8",
                start_new_session=True,
            )
        except OSError as error:
            raise RunError(f"cannot start a worker process: {error.strerror or error}.") from error
        self._thread = threading.Thread(target=self._listen, args=(index, messages), daemon=True)
        self._thread.start()

    def begin(self, task: dict[str, Any]) -> None:
        """Give the process its task."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(task) + "\n")
            self.process.stdin.flush()
        except OSError as error:
            raise _death_of_a_worker(error.strerror or str(error)) from error

    def end(self) -> int:
        """Wait for the end of the process; its exit status."""
        self._thread.join()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):  # What a dead process has not read.
                pipe.close()
        return self.process.wait()

    def kill(self) -> None:
        """End the process at once."""
        self.process.kill()
        self.end()

    def _listen(self, index: int, messages: Messages) -> None:
        assert self.process.stdout is not None
        try:
            for line in self.process.stdout:
                with contextlib.suppress(ValueError):  # A process that is killed leaves half a line.
                    messages.put((index, json.loads(line)))
        finally:
            messages.put((index, None))


def _death_of_a_worker(how: str) -> RunError:
    return RunError(
        f"a worker process of the sweep died ({how}); the same command goes on with the seeds that are not finished."
    )


def _take(index: int, message: dict[str, Any], display: _Display) -> None:
    match message["kind"]:
        case "step":
            display.step(
                index,
                Snapshot(
                    step=message["step"],
                    num_steps=0,
                    loss=message["loss"],
                    objective=message["loss"],
                    lr=message["lr"],
                    terms=message["terms"],
                    weights={},
                    seconds=0.0,
                ),
            )
        case "seed":
            display.seed(message["seed"])
        case "note":
            display.note(message["note"])
        case _:
            raise RunError(f"{message['type']}: {message['error']}")
