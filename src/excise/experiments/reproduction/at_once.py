"""Runs several sweeps at once, each in a process of its own, one a core.

A sweep of two seeds leaves other cores idle, and a process costs seconds to start: so a process takes one sweep after
another. Interrupted, each process is asked to end, and its sweep says cancelled; what was finished is kept.
"""

import contextlib
import json
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from excise.errors import RunError
from excise.executors import Executor
from excise.experiments.reproduction.parts import Part
from excise.experiments.sweep import run_sweep
from excise.training import Snapshot
from excise.training.progress import SilentProgress

__all__ = ["run_at_once"]

_GRACE = 10.0
"""Seconds in which a process that was asked to end may write down that it did."""

_Message = tuple[int, dict[str, Any] | None]


def run_at_once(
    parts: Sequence[tuple[Part, Path]],
    *,
    processors: int,
    progress: SilentProgress | None = None,
    executor: Executor | None = None,
) -> None:
    """Run each part's sweep into its directory, the longest first; returns when all have ended.

    Args:
        parts: what to run, and where; a directory may hold an unfinished sweep.
        processors: how many sweeps train at once; what is left over is given to each of them.
        progress: shows how they go together.
        executor: where the sweeps train instead, one after the other: each spreads over all of it.

    Raises:
        RunError: a directory cannot be written, or a process died.
    """
    progress = progress or SilentProgress()
    processes = min(processors, len(parts))
    if processes <= 1 or executor is not None:
        for part, path in parts:
            progress.stage(f"{part.recipe.name}, {len(part.seeds)} seeds")
            workers = processors if executor is None else None
            run_sweep(part.recipe, part.seeds, path, progress=progress, workers=workers, executor=executor)
        return
    ordered = sorted(parts, key=lambda entry: entry[0].steps, reverse=True)
    _Pool(ordered, processes, processors // processes, progress).run()


class _Pool:
    """The processes, what is still to be done, and how far it is."""

    def __init__(
        self, parts: Sequence[tuple[Part, Path]], processes: int, workers: int, progress: SilentProgress
    ) -> None:
        self.parts = parts
        self.waiting = list(range(len(parts)))
        self.finished = 0
        self.done = [0.0] * len(parts)
        self.workers = workers
        self.progress = progress
        self.began = time.perf_counter()
        self.messages: queue.Queue[_Message] = queue.Queue()
        self.running: dict[int, subprocess.Popen[str]] = {}
        self.processes = processes
        self.notes: set[str] = set()

    def run(self) -> None:
        """Run all; on the way out, whatever the reason, no process is left."""
        try:
            for index in range(self.processes):
                self._start(index)
            while self.running:
                self._take(*self.messages.get())
        finally:
            self._stop()

    def _start(self, index: int) -> None:
        process = subprocess.Popen(
            [sys.executable, "-m", "excise.experiments.reproduction.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        self.running[index] = process
        threading.Thread(target=_listen, args=(index, process, self.messages), daemon=True).start()
        self._give(index)

    def _give(self, index: int) -> None:
        """Give a process the next sweep, or word that there is none."""
        task: dict[str, Any] | None = None
        if self.waiting:
            number = self.waiting.pop(0)
            part, path = self.parts[number]
            task = {
                "part": number,
                "recipe": part.recipe.spec(),
                "seeds": part.seeds,
                "path": str(path),
                "workers": self.workers,
            }
        stdin = self.running[index].stdin
        assert stdin is not None
        with contextlib.suppress(BrokenPipeError):  # It died; its exit status tells.
            stdin.write(json.dumps(task) + "\n")
            stdin.flush()

    def _take(self, index: int, message: dict[str, Any] | None) -> None:
        if message is None:
            process = self.running.pop(index)
            code = process.wait()
            _close(process)
            if code:
                raise RunError(
                    f"a process of the reproduction died (exit status {code}); the same command goes on with "
                    f"what is not finished."
                )
            return
        match message["kind"]:
            case "step":
                self._show(message)
            case "note":
                if message["note"] not in self.notes:
                    self.notes.add(message["note"])
                    self.progress.note(message["note"])
            case "done":
                self.finished += 1
                part, _ = self.parts[message["part"]]
                self.done[message["part"]] = part.steps
                self.progress.stage(
                    f"{part.recipe.name} is finished, {self.finished} of {len(self.parts)} sweeps"
                )
                self._give(index)
            case _:
                raise RunError(message["error"])

    def _show(self, message: dict[str, Any]) -> None:
        """Show seed-steps of all sweeps together."""
        number = message["part"]
        self.done[number] = message["share"] * self.parts[number][0].steps
        self.progress(
            Snapshot(
                step=max(0, int(sum(self.done)) - 1),
                num_steps=sum(part.steps for part, _ in self.parts),
                loss=message["loss"],
                objective=message["loss"],
                lr=message["lr"],
                terms={},
                weights={},
                seconds=time.perf_counter() - self.began,
            )
        )

    def _stop(self) -> None:
        for process in self.running.values():
            process.terminate()
        for process in self.running.values():
            try:
                process.wait(_GRACE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            _close(process)


def _close(process: subprocess.Popen[str]) -> None:
    """Close the pipe to a process that has ended; the one from it is closed by who listens."""
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close()


def _listen(index: int, process: subprocess.Popen[str], messages: "queue.Queue[_Message]") -> None:
    assert process.stdout is not None
    with process.stdout:
        for line in process.stdout:
            messages.put((index, json.loads(line)))
    messages.put((index, None))
