"""Batches of a stream for trainers that work in epochs, which go on where they stopped when a fit is resumed."""

from collections.abc import Iterator
from typing import Any

import torch

from excise.errors import CheckpointError, SettingError
from excise.seeding import generator
from excise.stream import Batch, Stream, TensorStream
from excise.training.loop import require_stream

__all__ = ["FixedBatches", "StreamLoader"]


class StreamLoader:
    """The batches that `fit` would draw with the same seed, cut into epochs; a train data loader for Lightning.

    Its state is how many batches were drawn. Resumed, it draws those again and passes them over, which takes a
    hundredth of the time of training on them and gives the same bits for any stream. Of several processes each draws
    batches of its own, those of rank 0 being the ones that a single process draws.

    Args:
        stream: where batches come from.
        seed: fixes every draw.
        batches: how many make an epoch; None takes as many as hold each sample of a `TensorStream` once.

    Raises:
        SettingError: what came is no stream, or nothing says how many batches make an epoch, or fewer than 1 do.
    """

    def __init__(self, stream: Stream, *, seed: int = 0, batches: int | None = None) -> None:
        require_stream(stream)
        if batches is None:
            if not isinstance(stream, TensorStream):
                raise SettingError(
                    f"a {type(stream).__name__} does not say how many batches make an epoch: pass batches=..."
                )
            batches = -(-len(stream) // stream.batch_size)
        if batches < 1:
            raise SettingError(f"an epoch holds at least 1 batch; batches={batches} came.")
        self.stream = stream
        self.seed = seed
        self._length = batches
        self._drawn = 0
        self._position = 0
        self._begin_at = 0
        self._batches: Iterator[Batch] | None = None

    def __len__(self) -> int:
        """How many batches make an epoch."""
        return self._length

    def __iter__(self) -> Iterator[Batch]:
        """The batches of the next epoch; after `load_state_dict`, what is left of the epoch that was under way."""
        begin, self._begin_at = self._begin_at, 0
        return self._epoch(begin)

    def _epoch(self, begin: int) -> Iterator[Batch]:
        if self._batches is None:
            self._batches = self.stream.batches(generator(self.seed, _purpose()))
            for _ in range(self._drawn):
                self._next(self._batches)
        for position in range(begin, self._length):
            batch = self._next(self._batches)
            self._drawn += 1
            self._position = position + 1
            yield batch

    def _next(self, batches: Iterator[Batch]) -> Batch:
        batch = next(batches, None)
        if batch is None:
            raise SettingError(
                f"this {type(self.stream).__name__} ended after {self._drawn} batches; a stream is endless."
            )
        return batch

    def state_dict(self) -> dict[str, Any]:
        """How far the batches were drawn; Lightning keeps it in its checkpoints."""
        return {"seed": self.seed, "drawn": self._drawn, "position": self._position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where the loader with that state stopped.

        Raises:
            CheckpointError: that loader drew with another seed, or was in the middle of an epoch of another length.
        """
        if state["seed"] != self.seed:
            raise CheckpointError(
                f"the checkpoint's batches were drawn with seed {state['seed']}, these are with seed {self.seed}; "
                f"make the StreamLoader with seed={state['seed']}."
            )
        if state["position"] > self._length:
            raise CheckpointError(
                f"the checkpoint is {state['position']} batches into an epoch, and an epoch of this StreamLoader "
                f"has {self._length}."
            )
        self._batches = None
        self._drawn = state["drawn"]
        self._begin_at = state["position"] % self._length


class FixedBatches:
    """The same batches in every epoch, such as those to validate on; Lightning takes a list for several loaders.

    Args:
        batches: in the order in which they are to come.
    """

    def __init__(self, *batches: Batch) -> None:
        self._batches = batches

    def __len__(self) -> int:
        """How many batches there are."""
        return len(self._batches)

    def __iter__(self) -> Iterator[Batch]:
        """The batches."""
        return iter(self._batches)


def _purpose() -> str:
    """What the draws of this process are for."""
    distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
    rank = torch.distributed.get_rank() if distributed else 0
    return "data" if rank == 0 else f"data of rank {rank}"
