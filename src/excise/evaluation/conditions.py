"""What each condition of a model (baseline, ablated, pruned ...) makes of the same inputs, as labelled arrays."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
import xarray as xr
from torch import nn

from excise.activations import capture
from excise.compute import suited_to
from excise.errors import SettingError

__all__ = ["evaluate", "evaluating", "latents_of", "summarise"]


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


def evaluate(conditions: Mapping[str, nn.Module], inputs: xr.DataArray, *, feature: str = "channel") -> xr.Dataset:
    """Run every condition on the same inputs and measure how well each gives them back.

    Args:
        conditions: models by the name of their condition, the unedited one under "baseline".
        inputs: samples of any shape, dims (..., feature).
        feature: the dim that a model reads and writes.

    Returns:
        `input` (..., feature) as given; `output` (condition, ..., feature); `error` (condition, ...), the mean
        over the feature dim of the squared difference between output and input. All float32.

    Raises:
        SettingError: there is no condition, or the inputs lack the feature dim.
    """
    if not conditions:
        raise SettingError("evaluate takes at least one condition.")
    if feature not in inputs.dims:
        raise SettingError(f"the inputs have no dim {feature!r}; theirs are {inputs.dims}.")
    ordered = inputs.transpose(..., feature).astype(np.float32)
    flat = torch.from_numpy(np.ascontiguousarray(ordered.to_numpy()).reshape(-1, ordered.sizes[feature]))
    outputs, errors = [], []
    with evaluating(*conditions.values()):
        for model in conditions.values():
            output = model(flat.to(_device_of(model))).cpu()
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
    """The activations `[sample, latent]` of a layer for inputs `[sample, feature]`, float32.

    Raises:
        UnknownLayerError: the model has no such layer.
        CaptureError: the layer does not run, or its output is no tensor.
    """
    with evaluating(model), capture(model, [layer]) as activations:
        model(torch.from_numpy(np.ascontiguousarray(inputs, dtype=np.float32)).to(_device_of(model)))
        return activations[layer].cpu().numpy()


def summarise(error: xr.DataArray) -> dict[str, float]:
    """The largest and the median of one condition's errors."""
    return {"max_mse": float(error.max()), "median_mse": float(error.median())}


def _device_of(model: nn.Module) -> torch.device:
    parameter = next(model.parameters(), None)
    return torch.device("cpu") if parameter is None else parameter.device
