"""A chunk of a sweep carried out by a worker: it tells how it goes, and sends home the directories that it wrote.

Where a worker sees the caller's files it writes each seed's directory in its place. Where it does not, the directory
travels in what the worker calls back with, as soon as the seed is finished: what is home stays, whatever becomes of
the worker.
"""

import io
import tarfile
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from excise.errors import RunError
from excise.executors import CallBack, remote
from excise.experiments.chunk import finished_run, run_chunk
from excise.experiments.recipe import Recipe
from excise.record.environment import describe_environment
from excise.training import Snapshot

__all__ = ["ChunkOrder", "NoteTold", "SeedFinished", "StepTaken", "carry_out_chunk", "unpack_run"]


@dataclass(frozen=True)
class ChunkOrder:
    """What a worker needs to know.

    Attributes:
        spec: the recipe, as JSON-ready data.
        seeds: those of the chunk.
        path: the sweep's directory; None where the worker does not see it.
        environment: what the sweep runs on; a worker that does not see the caller's files says what it runs on itself.
        log_every: log each so many steps.
    """

    spec: dict[str, Any]
    seeds: tuple[int, ...]
    path: str | None
    environment: dict[str, Any]
    log_every: int


@dataclass(frozen=True)
class StepTaken:
    """A logged step of the chunk's training: the mean over its seeds."""

    snapshot: Snapshot


@dataclass(frozen=True)
class SeedFinished:
    """A seed's directory is written.

    Attributes:
        seed: which.
        packed: the directory as a tar archive, where it is not in its place yet.
    """

    seed: int
    packed: bytes | None


@dataclass(frozen=True)
class NoteTold:
    """Something that a user should know about the training."""

    text: str


@remote
def carry_out_chunk(order: ChunkOrder, *, call_back: CallBack) -> None:
    """Train, evaluate and write the seeds of a chunk; a seed that lies there finished is not run again.

    Raises:
        RunError: a directory cannot be written.
    """
    recipe = Recipe.model_validate(order.spec)
    if order.path is not None:
        path = Path(order.path)
        seeds = [seed for seed in order.seeds if finished_run(path, seed) is None]
        _run(recipe, path, order, call_back, seeds=seeds, pack=lambda _path: None)
        return
    with tempfile.TemporaryDirectory(prefix="excise-") as folder:
        _run(recipe, Path(folder), order, call_back, seeds=order.seeds, pack=_packed)


def unpack_run(packed: bytes, path: Path) -> None:
    """Put the directory of a seed that was written elsewhere where it belongs, whole or not at all.

    Raises:
        RunError: it cannot be written.
    """
    place = path.with_name(f".{path.name}-arriving")
    try:
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            archive.extractall(place, filter="data")
        place.rename(path)
    except (OSError, tarfile.TarError) as error:
        raise RunError(f"cannot make {path}: {error}.") from error


def _run(
    recipe: Recipe,
    path: Path,
    order: ChunkOrder,
    call_back: CallBack,
    *,
    seeds: Sequence[int],
    pack: Callable[[Path], bytes | None],
) -> None:
    environment = order.environment
    if order.path is None:
        environment = {**environment, **describe_environment(), "git_commit": environment.get("git_commit")}
    if not seeds:
        return
    with _warnings_to(lambda note: call_back(NoteTold(note))):
        run_chunk(
            recipe,
            seeds,
            path,
            environment,
            log_every=order.log_every,
            on_step=lambda snapshot: call_back(StepTaken(snapshot)),
            on_seed=lambda seed: call_back(SeedFinished(seed, pack(path / f"seed-{seed}"))),
            notify=lambda note: call_back(NoteTold(note)),
        )


@contextmanager
def _warnings_to(tell: Callable[[str], object]) -> Iterator[None]:
    """Have what would be printed as a warning told instead."""

    def show(message: Warning | str, *_rest: object, **_others: object) -> None:
        tell(str(message))

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


def _packed(path: Path) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        archive.add(path, arcname=".")
    return content.getvalue()
