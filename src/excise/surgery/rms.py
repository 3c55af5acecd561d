"""Modules that compute an RMS norm, recognised by what they compute and not by their names.

x / sqrt(mean(x^2) + eps) times a gain, or times one plus it: torch has a module for it, and most transformers have
one of their own (LlamaRMSNorm, T5LayerNorm, GemmaRMSNorm).
"""

import torch
from torch import Tensor, nn

__all__ = ["looks_like_rms_norm"]


def looks_like_rms_norm(module: nn.Module, x: Tensor) -> tuple[str, float] | None:
    """The name of the eps attribute and what is added to the weight to make the gain; None for anything else.

    Args:
        module: any module.
        x: what it was called with, `[..., features]`.
    """
    parameters = list(module.parameters(recurse=False))
    plain = next(module.children(), None) is None and not isinstance(module, nn.LayerNorm)
    if not plain or len(parameters) != 1 or parameters[0].ndim != 1 or x.ndim < 2:
        return None
    weight = parameters[0]
    if weight.shape[0] != x.shape[-1] or not x.is_floating_point():
        return None
    names = [name for name, value in vars(module).items() if isinstance(value, float)]
    if isinstance(module, nn.RMSNorm) and module.eps is None:
        names = ["eps"]
    if not names:
        return None
    probe = torch.linspace(-2, 3, 2 * x.shape[-1], dtype=x.dtype, device=x.device).reshape(2, -1).sin() * 0.5
    try:
        # `forward` alone: the module's hooks are the user's and the recorder's.
        outputs = [module.forward(scale * probe) for scale in (1.0, 1e-3)]
    # A module that cannot take the probe is not what is looked for.
    except Exception:
        return None
    for name in names:
        for offset in (0.0, 1.0):
            if all(
                isinstance(output, Tensor)
                and output.shape == probe.shape
                and _close(output, _rms_norm(scale * probe, weight, getattr(module, name), offset))
                for output, scale in zip(outputs, (1.0, 1e-3), strict=True)
            ):
                return name, offset
    return None


def _rms_norm(x: Tensor, weight: Tensor, eps: float | None, offset: float) -> Tensor:
    wide = x.double()
    eps = torch.finfo(x.dtype).eps if eps is None else eps
    return wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps) * (weight.double() + offset)


def _close(one: Tensor, other: Tensor) -> bool:
    tolerance = 1e-5 if one.dtype in (torch.float32, torch.float64) else 2e-2
    return torch.allclose(one.double(), other, rtol=tolerance, atol=tolerance * 1e-1)
