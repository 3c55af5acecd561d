"""Fixed numbers, such as an anchor's point or a direction, as tensors that go with the activations they meet."""

from functools import lru_cache

import torch
from torch import Tensor

__all__ = ["Numbers", "constant_like"]

Numbers = tuple[float, ...] | tuple[tuple[float, ...], ...]
"""A vector, or rows of a matrix."""


def constant_like(values: Numbers, activations: Tensor) -> Tensor:
    """`values` as a tensor of the activations' dtype, on their device; made once, except in a compiled graph."""
    if torch.compiler.is_compiling():
        return torch.tensor(values, dtype=activations.dtype, device=activations.device)
    return _constant(values, activations.dtype, activations.device)


@lru_cache(maxsize=256)
def _constant(values: Numbers, dtype: torch.dtype, device: torch.device) -> Tensor:
    with torch.inference_mode(False):  # Kept for later: a tensor of inference mode could never meet autograd.
        return torch.tensor(values, dtype=dtype, device=device)
