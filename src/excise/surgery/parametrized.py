"""Weights that are computed from others (`torch.nn.utils.parametrize`), and stay so when they are edited."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from excise.errors import UnfollowableError

__all__ = ["give_weight"]


def give_weight(module: nn.Module, name: str, wanted: Tensor, path: str) -> None:
    """Let a parametrized tensor of a module compute `wanted`, perhaps of another shape, with its parametrization kept.

    Args:
        module: what holds the tensor.
        name: the tensor's name in it.
        wanted: what it should be.
        path: the tensor's path in the model, for messages.

    Raises:
        UnfollowableError: its parametrization cannot, as an orthogonal or a spectral norm of the edited weight would
            differ.
    """
    assert isinstance(module.parametrizations, nn.ModuleDict)
    chain = module.parametrizations[name]
    assert isinstance(chain, parametrize.ParametrizationList)
    kinds = [type(one).__name__ for one in chain]
    try:
        if kinds == ["_WeightNorm"]:
            _give_direction_and_length(chain, wanted)
        else:
            originals: Any = wanted
            for one in reversed(list(chain)):
                inverse: Any = one.right_inverse
                originals = inverse(originals)
            parts = originals if isinstance(originals, tuple) else (originals,)
            names = ["original"] if len(parts) == 1 else [f"original{at}" for at in range(len(parts))]
            for own, part in zip(names, parts, strict=True):
                _replace(chain, own, part)
        given = getattr(module, name)
        exact = given.shape == wanted.shape and torch.allclose(given, wanted, rtol=1e-5, atol=1e-6)
    # A parametrization of the user's own may refuse a shape or a value with any error.
    except Exception as error:
        raise _refused(path, kinds) from error
    if not exact:
        raise _refused(path, kinds)


def _give_direction_and_length(chain: parametrize.ParametrizationList, wanted: Tensor) -> None:
    """A row of zeros keeps a direction, at length 0: a direction of length 0 would be 0 / 0."""
    norm: Any = chain[0]
    dim: int = norm.dim
    length = torch.norm_except_dim(wanted, 2, dim)
    direction = wanted
    if chain.get_parameter("original1").shape == wanted.shape:
        direction = torch.where(length == 0, chain.get_parameter("original1").detach(), wanted)
    _replace(chain, "original0", length)
    _replace(chain, "original1", direction)


def _replace(chain: parametrize.ParametrizationList, name: str, new: Tensor) -> None:
    old = chain.get_parameter(name)
    if old.shape == new.shape:
        old.detach().copy_(new)
    else:
        setattr(chain, name, nn.Parameter(new.clone(), requires_grad=old.requires_grad))


def _refused(path: str, kinds: list[str]) -> UnfollowableError:
    return UnfollowableError(
        path,
        f"it is computed by {', '.join(kinds)}, which cannot give the edited weight. Make it plain first with "
        f"torch.nn.utils.parametrize.remove_parametrizations.",
    )
