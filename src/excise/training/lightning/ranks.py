"""Numbers of several processes put together; of a single one they are left as they are."""

from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
import torch

__all__ = ["gather", "sum_over_ranks"]


def sum_over_ranks(trainer: pl.Trainer, numbers: Sequence[float]) -> list[float]:
    """The sum of each number over the processes, all of which must call this with as many numbers."""
    if trainer.world_size == 1:
        return list(numbers)
    mine = torch.tensor(numbers, dtype=torch.float64, device=trainer.strategy.root_device)
    summed = trainer.strategy.reduce(mine, reduce_op="sum")
    assert isinstance(summed, torch.Tensor)
    return summed.tolist()


def gather(trainer: pl.Trainer, value: Any) -> list[Any]:  # noqa: ANN401 - anything that can be pickled
    """The value of each process, in their order, on all of them."""
    if trainer.world_size == 1:
        return [value]
    values: list[Any] = [None] * trainer.world_size
    torch.distributed.all_gather_object(values, value)
    return values
