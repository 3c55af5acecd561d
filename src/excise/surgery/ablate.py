"""Ablate: zero what writes a feature and what reads it; shapes stay."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from excise.surgery.edit import ModelT, plan

__all__ = ["ablate"]


def ablate(
    model: ModelT, layer: str, dims: Sequence[int], example_inputs: Tensor | tuple[Any, ...] | None = None
) -> ModelT:
    """A copy of the model in which some features of a layer are zero and nothing reads them.

    The rows of weight and bias that write the features, and the columns that read them, are set to 0. Both then
    have exactly zero gradient, so that fine-tuning alone cannot bring the features back.

    Args:
        model: a model that torch.fx can trace; it is left untouched.
        layer: the module whose output holds the features on its last axis, as in `model.named_modules()`.
        dims: the features to remove, counted from 0; distinct, and not all of them.
        example_inputs: what the model is called with; given, the edit is checked against pruning on them.

    Raises:
        UnknownLayerError: the model has no such layer.
        DimsError: dims outside the layer, repeated, none, or all of them.
        UnfollowableError: the data flow around the layer cannot be followed.
        InexactEditError: pruned and ablated copies differ on the example inputs.
    """
    return plan(model, layer, dims, mode="ablate", example_inputs=example_inputs).apply(model)
