"""What forbids an edit before anything is looked at: models or weights that are not plain."""

import reprlib

import torch
from torch import nn

from excise.errors import SettingError, SurgeryError

__all__ = ["check_asked"]


def check_asked(model: object, layer: object) -> None:
    """Refuse what is no model, no name of a layer, or a model in a form that has no plain modules."""
    if not isinstance(model, nn.Module):
        raise SettingError(f"the model is a torch.nn.Module; {reprlib.repr(model)} came.")
    if not isinstance(layer, str):
        raise SettingError(
            f"the layer is a module path, as in `model.named_modules()`; {reprlib.repr(layer)} came."
        )
    if isinstance(model, torch.jit.ScriptModule):
        raise SurgeryError(
            f"a {type(model).__name__} has no Python forward pass to follow; pass the eager module that it was "
            "made from, and script or trace the edited copy."
        )
    if isinstance(getattr(model, "_orig_mod", None), nn.Module):
        raise SurgeryError(
            "a compiled model runs code made for its present weights' shapes; pass the model that was compiled "
            "(`model._orig_mod`), and compile the edited copy."
        )
    for path, module in model.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            raise SurgeryError(
                f"{path!r} is a {type(module).__name__}, whose operations cannot be seen; put the "
                "eager module in its place."
            )
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if nn.parameter.is_lazy(tensor):
            raise SurgeryError(
                f"{name!r} has no shape before the first batch; call the model once, then edit."
            )
        if tensor.is_meta:
            raise SurgeryError(f"{name!r} is on the meta device and has no numbers; load the weights first.")
        if tensor.is_quantized:
            raise SurgeryError(
                f"{name!r} is quantised ({tensor.dtype}); edit the model before it is quantised."
            )
        if tensor.layout is not torch.strided:
            raise SurgeryError(
                f"{name!r} is sparse ({tensor.layout}); make it dense with `.to_dense()` first."
            )
    quantised = next(
        (path for path, module in model.named_modules() if "quantized" in type(module).__module__), None
    )
    if quantised is not None:
        raise SurgeryError(f"{quantised!r} is a quantised module; edit the model before it is quantised.")
