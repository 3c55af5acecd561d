"""Prune: remove what writes a feature and what reads it; the tensors that carried it become narrower."""

from collections.abc import Iterable
from typing import SupportsIndex

from excise.surgery.copying import ModelT
from excise.surgery.edit import plan
from excise.surgery.examples import ExampleInputs

__all__ = ["prune"]


def prune(
    model: ModelT,
    layer: str,
    dims: Iterable[SupportsIndex],
    example_inputs: ExampleInputs | None = None,
    *,
    axis: int | None = None,
    may_change_output: bool = False,
    keep_constants: bool = False,
) -> ModelT:
    """A copy of the model in which a place lacks some features: `ablate`'s function in a smaller model.

    What writes and what reads the features is removed; the others keep their order. Norms over the features go on
    computing what they did, sizes that modules note follow, and tied parameters stay tied.

    Args:
        model: any module; it is left untouched.
        layer: the module whose output holds the features, as in `model.named_modules()`; or "path:operation".
        dims: the features to remove, counted from 0; distinct, and not all of them.
        example_inputs: what the model is called with: a tensor, a tuple of arguments, or a dict of keyword arguments.
            None tries what the first layers with weights would take.
        axis: where the features lie in the output; None is the channel axis behind convolutions, the last one
            elsewhere.
        may_change_output: whether features may leave the model as outputs, which then get narrower.
        keep_constants: whether constants that functions make of zeroed features (0.5 of a sigmoid) stay, in the biases
            of what reads them, as if the features were zeroed at their place only.

    Raises:
        SurgeryError, and its kinds: the edit cannot be made, or not exactly; see `plan`, which also gives a report.
    """
    return plan(
        model, layer, dims, "prune", example_inputs,
        axis=axis, may_change_output=may_change_output, keep_constants=keep_constants,
    ).apply(model)  # fmt: skip
