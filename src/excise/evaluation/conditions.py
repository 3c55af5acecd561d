"""What each condition of a model (baseline, ablated, pruned ...) makes of the same inputs, as labelled arrays."""

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
import xarray as xr
from torch import nn

from excise.activations import capture
from excise.compute import suited_to
from excise.errors import SettingError, ShapeError

__all__ = ["disagreement", "evaluate", "evaluating", "latents_of", "summarise"]

_ROWS = 8192
"""Samples that are run at a time: few enough that what a small model computes stays in the processor's cache."""


@contextmanager
def evaluating(*models: nn.Module) -> Iterator[None]:
    """Put models into evaluation mode, without gradients, for as long as the block lasts."""
    modes = [(module, module.training) for model in models for module in model.modules()]
    try:
        for model in models:
            model.eval()
        with torch.no_grad(), suited_to(*models):
            yield
    finally:
        for module, mode in modes:
            module.training = mode


def evaluate(
    conditions: Mapping[str, nn.Module], inputs: xr.DataArray, *, feature: str = "channel"
) -> xr.Dataset:
    """Run every condition on the same inputs and measure how well each gives them back.

    Args:
        conditions: models by the name of their condition, the unedited one under "baseline".
        inputs: samples of any shape, dims (..., feature).
        feature: the dim that a model reads and writes.

    Returns:
        `input` (..., feature) as given; `output` (condition, ..., feature); `error` (condition, ...), the mean
        over the feature dim of the squared difference between output and input. Each model runs in its own dtype;
        the arrays are float64 if one of the models is, float32 otherwise.

    Raises:
        SettingError: there is no condition, or the inputs lack the feature dim.
        ShapeError: a condition's outputs are not shaped like its inputs.
    """
    if not conditions:
        raise SettingError("evaluate takes at least one condition.")
    if feature not in inputs.dims:
        raise SettingError(f"the inputs have no dim {feature!r}; theirs are {inputs.dims}.")
    kept = np.float64 if torch.float64 in map(_dtype_of, conditions.values()) else np.float32
    ordered = inputs.transpose(..., feature).astype(kept)
    flat = torch.from_numpy(np.ascontiguousarray(ordered.to_numpy()).reshape(-1, ordered.sizes[feature]))
    outputs, errors = [], []
    with evaluating(*conditions.values()):
        for name, model in conditions.items():
            output = torch.cat([_give_back(name, model, rows) for rows in flat.split(_ROWS)])
            outputs.append(output.reshape(ordered.shape).numpy())
            errors.append((output - flat).square().mean(dim=-1).reshape(ordered.shape[:-1]).numpy())
    dims = tuple(str(dim) for dim in ordered.dims)
    return xr.Dataset(
        {
            "input": ordered,
            "output": (("condition", *dims), np.stack(outputs)),
            "error": (("condition", *dims[:-1]), np.stack(errors)),
        },
        coords={"condition": list(conditions), **ordered.coords},
    )


def latents_of(model: nn.Module, layer: str, inputs: np.ndarray) -> np.ndarray:
    """The activations `[sample, latent]` of a layer for inputs `[sample, feature]`, in float32 or the model's float64.

    Raises:
        UnknownLayerError: the model has no such layer.
        CaptureError: the layer does not run, or its output is no tensor.
    """
    with evaluating(model), capture(model, [layer]) as activations:
        samples = torch.from_numpy(np.ascontiguousarray(inputs, dtype=np.float64))
        model(samples.to(_device_of(model), _dtype_of(model)))
        latents = activations[layer].cpu()
        return (latents if latents.dtype == torch.float64 else latents.float()).numpy()


def disagreement(
    first: nn.Module, second: nn.Module, inputs: xr.DataArray, *, feature: str = "channel"
) -> float:
    """The largest difference between any two outputs of two models that may be the same function.

    It is computed in float64 on copies, where rounding can neither hide a difference nor feign one: in float32 a
    model that divides by a small norm is further from itself, summed in another order, than 1e-6.

    Args:
        first: a model.
        second: another, of the same inputs.
        inputs: samples of any shape, dims (..., feature).
        feature: the dim that a model reads and writes.

    Returns:
        At least 0; NaN where an output is.

    Raises:
        ShapeError: the outputs have different shapes.
    """
    flat = inputs.transpose(..., feature).to_numpy().reshape(-1, inputs.sizes[feature]).astype(np.float64)
    copies = [copy.deepcopy(model).cpu().double() for model in (first, second)]
    with evaluating(*copies):
        furthest = []
        for rows in torch.from_numpy(flat).split(_ROWS):
            one, other = (model(rows) for model in copies)
            if one.shape != other.shape:
                raise ShapeError(
                    f"the models give outputs of different shapes: {list(one.shape)}, {list(other.shape)}."
                )
            furthest.append((one - other).abs().max())
    return float(torch.stack(furthest).max())


def summarise(error: xr.DataArray) -> dict[str, float]:
    """The largest and the median of one condition's errors; NaN where any of them is."""
    return {"max_mse": float(error.max(skipna=False)), "median_mse": float(error.median(skipna=False))}


def _give_back(name: str, model: nn.Module, inputs: torch.Tensor) -> torch.Tensor:
    output = model(inputs.to(_device_of(model), _dtype_of(model)))
    if not isinstance(output, torch.Tensor) or output.shape != inputs.shape:
        came = f"shape {list(output.shape)}" if isinstance(output, torch.Tensor) else type(output).__name__
        raise ShapeError(
            f"condition {name!r} gives back {came} for inputs {list(inputs.shape)}; "
            f"its error takes an output for each input."
        )
    return output.to("cpu", inputs.dtype)


def _device_of(model: nn.Module) -> torch.device:
    parameter = next(model.parameters(), None)
    return torch.device("cpu") if parameter is None else parameter.device


def _dtype_of(model: nn.Module) -> torch.dtype:
    """The floating dtype that a model computes in: that of its first floating parameter, else float32."""
    return next(
        (parameter.dtype for parameter in model.parameters() if parameter.is_floating_point()), torch.float32
    )
