"""Runs several sweeps at once, each whole in a process of its own, one a core.

A sweep of two seeds leaves other cores idle, and a process costs seconds to start: so a process takes one sweep after
another. Interrupted, each process is asked to end, and its sweep says cancelled; what was finished is kept.
"""

import queue
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

from excise.errors import ExecutorError, RunError
from excise.executors import Executor, Processes
from excise.experiments.reproduction.part_elsewhere import PartNote, PartOrder, PartStep, carry_out_part
from excise.experiments.reproduction.parts import Part
from excise.experiments.sweep import run_sweep
from excise.training.progress import SilentProgress

__all__ = ["run_at_once"]


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
    with Processes(processes) as own:
        _AtOnce(ordered, own, processors // processes, progress).run()


class _AtOnce:
    """The sweeps that are out, and how far they are together."""

    def __init__(
        self,
        parts: Sequence[tuple[Part, Path]],
        executor: Executor,
        workers: int,
        progress: SilentProgress,
    ) -> None:
        self.parts = parts
        self.executor = executor
        self.workers = workers
        self.progress = progress
        self.done = [0.0] * len(parts)
        self.finished = 0
        self.notes: set[str] = set()
        self.began = time.perf_counter()
        self.messages: queue.SimpleQueue[tuple[int, object]] = queue.SimpleQueue()

    def run(self) -> None:
        """Send all sweeps, and wait for the last to end."""
        for number in range(len(self.parts)):
            self._send(number)
        while self.finished < len(self.parts):
            self._take(*self.messages.get())

    def _send(self, number: int) -> None:
        part, path = self.parts[number]
        order = PartOrder(dict(part.recipe.spec()), tuple(part.seeds), str(path), self.workers)
        future = self.executor.submit(
            carry_out_part, order, on_call=lambda message: self.messages.put((number, message))
        )
        future.add_done_callback(lambda ended: self.messages.put((number, ended)))

    def _take(self, number: int, message: object) -> None:
        part, _ = self.parts[number]
        match message:
            case PartStep(share, snapshot):
                self.done[number] = share * part.steps
                self.progress(
                    replace(
                        snapshot,
                        step=max(0, int(sum(self.done)) - 1),
                        num_steps=sum(each.steps for each, _ in self.parts),
                        terms={},
                        weights={},
                        seconds=time.perf_counter() - self.began,
                    )
                )
            case PartNote(text):
                if text not in self.notes:
                    self.notes.add(text)
                    self.progress.note(text)
            case Future():
                try:
                    message.result()
                except ExecutorError as error:
                    raise RunError(f"{error} The same command goes on with what is not finished.") from error
                self.finished += 1
                self.done[number] = part.steps
                self.progress.stage(
                    f"{part.recipe.name} is finished, {self.finished} of {len(self.parts)} sweeps"
                )
