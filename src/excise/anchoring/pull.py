"""The weighted terms on one layer as a single node of the graph.

A training step on a small model spends most of its time on bookkeeping, not arithmetic. Terms know their own
slopes, so instead of a dozen nodes each they enter the graph together, as one whose gradient is already there.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from excise.anchoring.regularizers import Regularizer
from excise.errors import ShapeError

__all__ = ["pull", "value_and_slope"]

_COARSE = (torch.float16, torch.bfloat16)
"""Types in which the cosine of a vector to itself is not 1 to the 1e-5 that `Separate` counts on."""

Part = tuple[Regularizer | Callable[[Tensor], Tensor], Tensor | None, float]
"""A regularizer, the share of each sample `[batch]` (None for all alike), and the weight of the term."""


def pull(activations: Tensor, parts: list[Part]) -> tuple[Tensor, list[Tensor]]:
    """The sum of weight x term over the terms on one layer.

    Args:
        activations: the layer's output, `[batch, ..., latent]`.
        parts: the terms; at least one.

    Returns:
        The sum, a scalar with a graph to the activations (differentiable once), and each term's unweighted value.
        Half-precision activations, also those of autocast, are computed with in single precision.

    Raises:
        RuntimeError: in backward, when the slope is to be differentiated again (`create_graph=True`).
        ShapeError: there are not as many shares as samples, or no samples, or a regularizer's values have another
            shape than the samples.
    """
    values: list[Tensor] = []
    total = _Pull.apply(activations, parts, values)
    assert isinstance(total, Tensor)
    return total, values


class _Pull(Function):
    @staticmethod
    def forward(ctx: Any, activations: Tensor, parts: list[Part], values: list[Tensor]) -> Tensor:  # noqa: ANN401 - torch's own
        flat = activations.detach().reshape(-1, activations.shape[-1])
        if flat.dtype in _COARSE:
            flat = flat.float()
        total = slope = None
        with _full_precision(flat.device.type):
            for regularizer, shares, weight in parts:
                value, part = value_and_slope(
                    regularizer, flat, _flat_shares(shares, activations.shape, flat), activations.shape
                )
                values.append(value)
                total = value * weight if total is None else torch.add(total, value, alpha=weight)
                slope = part * weight if slope is None else slope.add_(part, alpha=weight)
        assert total is not None
        assert slope is not None
        ctx.slope = slope.view(activations.shape).to(activations.dtype)
        return total

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None, None]:  # noqa: ANN401 - torch's own
        # Gradients are recorded here only under create_graph=True; what they would miss is not 0.
        if torch.is_grad_enabled():
            raise RuntimeError(
                "terms can be differentiated once only; call backward without create_graph=True."
            )
        return ctx.slope * grad_outputs[0], None, None


def value_and_slope(
    regularizer: Regularizer | Callable[[Tensor], Tensor], flat: Tensor, shares: Tensor, shape: torch.Size
) -> tuple[Tensor, Tensor]:
    """The sum of shares x values and its gradient, by the regularizer's own formula or, of a function, by autograd."""
    if isinstance(regularizer, Regularizer):
        return regularizer.value_and_slope(flat, shares)
    with torch.enable_grad():
        leaf = flat.clone().requires_grad_()
        values = regularizer(leaf.view(shape))
        if values.shape != shape[:-1]:
            raise ShapeError(
                f"a regularizer gives one value a sample: activations {list(shape)} to values {list(shape[:-1])}; "
                f"{list(values.shape)} came."
            )
        value = torch.dot(values.flatten(), shares.to(values.dtype))
        slope = torch.autograd.grad(value, leaf, allow_unused=True)[0] if value.requires_grad else None
    return value.detach(), torch.zeros_like(flat) if slope is None else slope


def _full_precision(device: str) -> AbstractContextManager[object]:
    """Autocast switched off where it is on: it would compute cosines too coarsely to tell duplicates."""
    return torch.autocast(device, enabled=False) if torch.is_autocast_enabled(device) else nullcontext()


def _flat_shares(shares: Tensor | None, shape: torch.Size, flat: Tensor) -> Tensor:
    """One share a sample, or a position of each sample, in the dtype of `flat`; they sum to 1."""
    samples = shape[:-1]
    count = samples.numel()
    if shares is None:
        if not count:
            raise ShapeError(f"the layer's activations hold no sample (shape {list(shape)}).")
        return torch.full((count,), 1 / count, dtype=flat.dtype, device=flat.device)
    if len(shares) != samples[0]:
        raise ShapeError(
            f"labels are given for {len(shares)} samples, but the layer has activations for {samples[0]} "
            f"(shape {list(shape)})."
        )
    shares = shares.to(flat.dtype)
    positions = count // len(shares)
    return shares if positions == 1 else (shares / positions).repeat_interleave(positions)
