"""Carries out the chunks of a sweep: one chunk here, several in processes of their own, one a core."""

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

from torch import nn

from excise.errors import RunError
from excise.experiments.chunk import run_chunk
from excise.experiments.recipe import Recipe
from excise.seeding import generator
from excise.training import Snapshot
from excise.training.progress import SilentProgress

__all__ = ["cores", "plan_chunks", "run_chunks"]

_MOST = 32
"""Seeds a chunk: more of them no longer fit a core's cache together, and cost more each."""

_FEWEST = 4
"""Seeds a chunk below which another process costs more than it saves."""

_SHARE = 0.25
"""The share of the free memory that all chunks together may take."""


def cores() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def plan_chunks(recipe: Recipe, seeds: Sequence[int], workers: int) -> list[list[int]]:
    """The seeds in groups that are trained together: as many groups as workers, or more where memory asks for it."""
    if not seeds:
        return []
    count = max(1, min(workers, len(seeds) // _FEWEST))
    largest = min(_MOST, max(1, int(_SHARE * _free_memory() / count / _bytes_a_seed(recipe))))
    count = max(count, -(-len(seeds) // largest))
    if count > workers > 1:
        count = -(-count // workers) * workers
    count = min(count, len(seeds))
    size, longer = divmod(len(seeds), count)
    chunks, start = [], 0
    for index in range(count):
        end = start + size + (index < longer)
        chunks.append(list(seeds[start:end]))
        start = end
    return chunks


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
    if workers == 1 or len(chunks) == 1:
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
    _run_in_processes(recipe, chunks, path, environment, workers=workers, display=display)


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
        self.done[chunk] = (snapshot.step + 1) * self.sizes[chunk]
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
            self.progress.stage(note)


def _run_in_processes(
    recipe: Recipe,
    chunks: Sequence[Sequence[int]],
    path: Path,
    environment: Mapping[str, Any],
    *,
    workers: int,
    display: _Display,
) -> None:
    waiting = list(enumerate(chunks))
    running: dict[int, subprocess.Popen[str]] = {}
    messages: queue.Queue[tuple[int, dict[str, Any] | None]] = queue.Queue()
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                index, seeds = waiting.pop(0)
                task = {
                    "recipe": recipe.spec(),
                    "seeds": list(seeds),
                    "path": str(path),
                    "environment": dict(environment),
                }
                running[index] = _start(task)
                threading.Thread(target=_listen, args=(index, running[index], messages), daemon=True).start()
            index, message = messages.get()
            if message is None:
                code = running.pop(index).wait()
                if code:
                    raise RunError(
                        f"a worker process of the sweep died (exit status {code}); the same command goes on with the "
                        f"seeds that are not finished."
                    )
            else:
                _take(index, message, display)
    finally:
        for process in running.values():
            process.kill()
            process.wait()


def _start(task: dict[str, Any]) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "excise.experiments.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(task) + "\n")
    process.stdin.flush()
    return process


def _listen(
    index: int,
    process: subprocess.Popen[str],
    messages: "queue.Queue[tuple[int, dict[str, Any] | None]]",
) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        messages.put((index, json.loads(line)))
    messages.put((index, None))


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


def _bytes_a_seed(recipe: Recipe) -> int:
    """About how much memory one seed of a stack takes: weights with their optimiser, activations, pairs of a batch."""
    model = recipe.model.build(generator(0, "init"))
    parameters = sum(parameter.numel() for parameter in model.parameters())
    widths = sum(module.out_features for module in model.modules() if isinstance(module, nn.Linear))
    batch = recipe.data.batch_size
    return 4 * (6 * parameters + 6 * batch * widths + 8 * batch * batch)


def _free_memory() -> int:
    """Bytes of memory that are free; where that cannot be told, 2 GiB."""
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return 2 * 2**30
