"""Ablate: zero what writes a feature and what reads it; shapes stay."""

from collections.abc import Iterable
from typing import Any, SupportsIndex

from torch import Tensor

from excise.surgery.copying import ModelT
from excise.surgery.edit import plan

__all__ = ["ablate"]


def ablate(
    model: ModelT,
    layer: str,
    dims: Iterable[SupportsIndex],
    example_inputs: Tensor | tuple[Any, ...] | None = None,
) -> ModelT:
    """A copy of the model in which some features of a layer are zero and nothing reads them.

    The rows of weight and bias that write the features, and the columns that read them, are set to 0. Where
    zero stays zero on the way from writer to reader (GELU, ReLU, tanh, a norm; not a sigmoid), both then
    have exactly zero gradient, so that fine-tuning alone cannot bring the features back.

    Args:
        model: a model that torch.fx can trace; it is left untouched.
        layer: the module whose output holds the features on its last axis, as in `model.named_modules()`.
        dims: the features to remove, counted from 0; distinct, and not all of them.
        example_inputs: what the model is called with; given, the edit is checked against pruning on them.
            Give some whenever you can: see `plan` for what no recorded forward pass shows.

    Raises:
        UnknownLayerError: the model has no such layer.
        DimsError: dims outside the layer, repeated, none, or all of them.
        SettingError: a model that is no module, a layer that is no string.
        UnfollowableError: the data flow around the layer cannot be followed, or has hooks on it and there are no
            example inputs.
        InexactEditError: pruned and ablated copies differ on the example inputs.
        SurgeryError: the model is compiled or scripted, cannot be copied, or does not run on the example inputs.
    """
    return plan(model, layer, dims, mode="ablate", example_inputs=example_inputs).apply(model)
