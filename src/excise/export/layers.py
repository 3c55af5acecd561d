"""A model's architecture as data, from which the loading stub builds it again with plain torch."""

from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from excise.errors import ExportError

__all__ = ["STUB", "check_same_function", "describe_parts", "load_stub"]

STUB = Path(__file__).with_name("loading_stub.py")
"""The source of the `load.py` that goes with every export."""


def describe_parts(model: nn.Module) -> dict[str, list[dict[str, Any]]]:
    """The layers of each part of a model, in the order in which they run.

    Args:
        model: parts that run one after the other, each a layer or a Sequential of layers.

    Raises:
        ExportError: it has a layer that the loading stub does not know.
    """
    return {
        name: [_describe(layer) for layer in (part if isinstance(part, nn.Sequential) else [part])]
        for name, part in model.named_children()
    }


def load_stub(folder: Path) -> ModuleType:
    """The `load.py` of an export as a module; no bytecode is left beside it."""
    path = folder / "load.py"
    module = ModuleType("load")
    module.__file__ = str(path)
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), module.__dict__)
    return module


def check_same_function(exported: nn.Module, model: nn.Module, inputs: int, condition: str) -> None:
    """Hold a model that was read back against the one that was exported.

    Args:
        exported: what the loading stub gave.
        model: what was exported, in evaluation mode.
        inputs: how many numbers one input has.
        condition: its name, for the message.

    Raises:
        ExportError: an output differs in a bit.
    """
    x = torch.rand(257, inputs, generator=torch.Generator().manual_seed(0)) * 2 - 0.5
    with torch.no_grad():
        wanted, came = model(x), exported(x)
    # Bits are compared, so that a NaN is the same as itself.
    if wanted.shape != came.shape or not torch.equal(wanted.view(torch.uint8), came.view(torch.uint8)):
        raise ExportError(
            f"{condition!r} read back from the export does not compute what the model of the run does, so that "
            f"nothing was exported. This is a model that the loading stub cannot build."
        )


def _describe(layer: nn.Module) -> dict[str, Any]:
    kind = type(layer).__name__
    if type(layer) is nn.Linear:
        return {
            "kind": kind,
            "inputs": layer.in_features,
            "outputs": layer.out_features,
            "bias": layer.bias is not None,
        }
    if kind in ("GELU", "Sigmoid", "L2Norm"):
        return {"kind": kind}
    raise ExportError(
        f"the model has a {kind}, which the loading stub of an export cannot build; it knows Linear, GELU, Sigmoid "
        f"and L2Norm. `excise.export.to_onnx` exports any model, and `excise.surgery.save` keeps an edited one."
    )
