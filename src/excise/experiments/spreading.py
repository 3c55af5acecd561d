"""Spreads the chunks of a sweep over an executor: processes of this machine, or an engine elsewhere.

Nothing finished is lost: the seeds of a worker that died are begun again, in two halves in case they did not fit its
memory together; the other chunks go on. A seed counts once, however often it was begun.
"""

import queue
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from excise.errors import ExecutorError, RunError, WorkerDiedError
from excise.executors import Executor, Inline
from excise.experiments.chunk import failure_of, finished_run, free_path, run_chunk
from excise.experiments.elsewhere import (
    ChunkOrder,
    NoteTold,
    SeedFinished,
    StepTaken,
    carry_out_chunk,
    unpack_run,
)
from excise.experiments.recipe import Recipe
from excise.training import Snapshot
from excise.training.progress import SilentProgress

__all__ = ["run_chunks"]

_TOLD = 100
"""How often, in about, a sweep tells how many of its seeds are finished; a small one tells of each."""


def run_chunks(
    recipe: Recipe,
    chunks: Sequence[Sequence[int]],
    path: Path,
    environment: Mapping[str, Any],
    *,
    executor: Executor,
    progress: SilentProgress,
    log_every: int = 10,
) -> None:
    """Run each chunk; returns when all have ended.

    Raises:
        RunError: a directory cannot be written, or a worker died of a single seed.
        ExciseError: what a chunk could not go on with.
    """
    display = _Display(sum(map(len, chunks)), recipe.schedule().timeline().num_steps, progress)
    if isinstance(executor, Inline):
        for seeds in chunks:
            chunk = display.begin(len(seeds))
            run_chunk(
                recipe,
                seeds,
                path,
                environment,
                log_every=log_every,
                on_step=lambda snapshot, chunk=chunk: display.step(chunk, snapshot),
                on_seed=display.seed,
                notify=display.note,
            )
        return
    place = str(path.resolve()) if executor.shares_files else None
    blank = ChunkOrder(dict(recipe.spec()), (), place, dict(environment), log_every)
    _Spreading(blank, path, executor, display).run(chunks)


@dataclass(frozen=True)
class _Sent:
    """A chunk that an executor has.

    Attributes:
        seeds: those of the chunk.
        number: under which the display counts it.
    """

    seeds: tuple[int, ...]
    number: int


class _Spreading:
    """The chunks that are out, and what comes back."""

    def __init__(self, blank: ChunkOrder, path: Path, executor: Executor, display: "_Display") -> None:
        self.blank = blank
        self.path = path
        self.executor = executor
        self.display = display
        self.out: dict[Future[None], _Sent] = {}
        self.messages: queue.SimpleQueue[tuple[_Sent, Any]] = queue.SimpleQueue()
        self.deaths: list[str] = []

    def run(self, chunks: Sequence[Sequence[int]]) -> None:
        """Send all chunks, and wait for the last to end."""
        try:
            for seeds in chunks:
                self._send(tuple(seeds))
            while self.out:
                self._take(*self.messages.get())
        finally:
            for future in self.out:
                future.cancel()
        if self.deaths:
            raise RunError(
                f"{'; '.join(self.deaths)}. All other seeds are finished; the same command goes on with these."
            )

    def _send(self, seeds: tuple[int, ...]) -> None:
        sent = _Sent(seeds, self.display.begin(len(seeds)))
        order = ChunkOrder(**{**vars(self.blank), "seeds": seeds})
        future = self.executor.submit(
            carry_out_chunk, order, on_call=lambda message: self.messages.put((sent, message))
        )
        self.out[future] = sent
        future.add_done_callback(lambda ended: self.messages.put((sent, ended)))

    def _take(self, sent: _Sent, message: object) -> None:
        match message:
            case StepTaken(snapshot):
                self.display.step(sent.number, snapshot)
            case NoteTold(text):
                self.display.note(text)
            case SeedFinished(seed, packed):
                if packed is not None and self._is_missing(seed):
                    unpack_run(packed, free_path(self.path, seed))
                self.display.seed(seed)
            case Future():
                del self.out[message]
                self._end(sent, message)

    def _end(self, sent: _Sent, future: "Future[None]") -> None:
        """A chunk has ended: what a worker that died had not finished is begun again."""
        missing = tuple(seed for seed in sent.seeds if self._is_missing(seed))
        try:
            future.result()
        except WorkerDiedError as error:
            if len(missing) == 1 == len(sent.seeds):
                self.deaths.append(f"seed {missing[0]}: {str(error).rstrip('.')}")
                return
            self.display.note(f"note: {error} Its seeds that are not finished are begun again.")
            middle = -(-len(missing) // 2)
            for half in filter(None, (missing[:middle], missing[middle:])):
                self._send(half)
        except ExecutorError as error:
            raise RunError(
                f"{error} The same command goes on with the seeds that are not finished."
            ) from error
        else:
            if missing == sent.seeds:
                raise RunError(f"seeds {', '.join(map(str, missing))} were run and have not arrived.")
            if missing:  # What a machine had told of was lost with it.
                self._send(missing)
            for seed in sent.seeds:
                if seed not in missing:
                    self.display.seed(seed)

    def _is_missing(self, seed: int) -> bool:
        return finished_run(self.path, seed) is None and failure_of(self.path, seed) is None


class _Display:
    """Turns what the chunks tell into one progress: seed-steps trained, then seeds evaluated."""

    def __init__(self, seeds: int, num_steps: int, progress: SilentProgress) -> None:
        self.seeds = seeds
        self.total = seeds * num_steps
        self.sizes: list[int] = []
        self.done: list[int] = []
        self.progress = progress
        self.began = time.perf_counter()
        self.finished: set[int] = set()
        self.notes: set[str] = set()

    def begin(self, size: int) -> int:
        """Count a chunk of so many seeds; the number under which it is counted."""
        self.sizes.append(size)
        self.done.append(0)
        return len(self.sizes) - 1

    def step(self, chunk: int, snapshot: Snapshot) -> None:
        self.done[chunk] = max(self.done[chunk], (snapshot.step + 1) * self.sizes[chunk])
        self.progress(
            Snapshot(
                step=min(sum(self.done), self.total) - 1,
                num_steps=self.total,
                loss=snapshot.loss,
                objective=snapshot.objective,
                lr=snapshot.lr,
                terms=snapshot.terms,
                weights={},
                seconds=time.perf_counter() - self.began,
            )
        )

    def seed(self, seed: int) -> None:
        if seed in self.finished:
            return
        self.finished.add(seed)
        count = len(self.finished)
        if count == self.seeds or count % max(1, self.seeds // _TOLD) == 0:
            self.progress.stage(f"{count} of {self.seeds} seeds finished")

    def note(self, note: str) -> None:
        if note not in self.notes:
            self.notes.add(note)
            self.progress.note(note)
