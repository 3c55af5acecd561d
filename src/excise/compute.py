"""Settings of torch that suit a tiny model: one thread, no oneDNN, no subnormal numbers.

An operation on a few hundred numbers takes less time than waking a thread pool or choosing a oneDNN kernel for
it, and a sum of high powers is full of numbers below 1e-38, which the processor handles in slow motion. On the
colour autoencoder the three together save a third of a training step. The settings are torch's, for the whole
process; the block restores them.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

__all__ = ["suited_to"]

_TINY = 1_000_000
"""Models of fewer parameters than this are tiny."""


@contextmanager
def suited_to(*models: nn.Module) -> Iterator[None]:
    """Run the block with settings that suit the models; for models that are not tiny, nothing changes.

    Fixed settings also fix the bits: the same work in this block gives the same numbers on the same machine.
    """
    if sum(parameter.numel() for model in models for parameter in model.parameters()) >= _TINY:
        yield
        return
    threads, onednn, flushed = torch.get_num_threads(), torch.backends.mkldnn.enabled, _flushes_subnormals()
    torch.set_num_threads(1)
    torch.backends.mkldnn.enabled = False
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.backends.mkldnn.enabled = onednn
        torch.set_flush_denormal(flushed)


def _flushes_subnormals() -> bool:
    """Whether this thread rounds subnormal numbers to 0; torch has a setter, but no getter."""
    return (torch.tensor([1e-39]) * 0.5).item() == 0
