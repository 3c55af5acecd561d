"""Ablate: zero what writes a feature and what reads it; shapes stay."""

from collections.abc import Iterable
from typing import SupportsIndex

from excise.surgery.copying import ModelT
from excise.surgery.edit import plan
from excise.surgery.examples import ExampleInputs

__all__ = ["ablate"]


def ablate(
    model: ModelT,
    layer: str,
    dims: Iterable[SupportsIndex],
    example_inputs: ExampleInputs | None = None,
    *,
    axis: int | None = None,
    strength: float = 1.0,
    keep_constants: bool = False,
) -> ModelT:
    """A copy of the model in which some features of a place are zero and nothing reads them.

    What writes the features (rows of weights, biases, gains, columns of embeddings) and what reads them (columns of
    weights) is set to 0. Where zero stays zero on the way (GELU, ReLU, tanh, a norm; not a sigmoid), both then have
    exactly zero gradient, so that fine-tuning alone cannot bring the features back. Where a function makes a constant
    of zero, the constant goes as well: what reads it is zero.

    Args:
        model: any module; it is left untouched.
        layer: the module whose output holds the features, as in `model.named_modules()`; or "path:operation".
        dims: the features to remove, counted from 0; distinct, and not all of them.
        example_inputs: what the model is called with: a tensor, a tuple of arguments, or a dict of keyword arguments.
            None tries what the first layers with weights would take.
        axis: where the features lie in the output; None is the channel axis behind convolutions, the last one
            elsewhere.
        strength: the share of the features that is taken away, in (0, 1]; below 1 only where sums alone write them.
        keep_constants: whether constants that functions make of zeroed features (0.5 of a sigmoid) stay, in the biases
            of what reads them, as if the features were zeroed at their place only.

    Raises:
        SurgeryError, and its kinds: the edit cannot be made, or not exactly; see `plan`, which also gives a report.
    """
    return plan(
        model,
        layer,
        dims,
        "ablate",
        example_inputs,
        axis=axis,
        strength=strength,
        keep_constants=keep_constants,
    ).apply(model)
