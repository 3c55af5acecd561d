"""A forward pass in which the outputs of some modules are changed, with the weights left as they are."""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["projected", "reworked", "zeroed"]


@contextmanager
def reworked(model: nn.Module, pattern: str, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Changes the output of each module whose path matches a regular expression."""

    def hook(_module: nn.Module, _inputs: Any, output: Any) -> Any:
        return change(output) if isinstance(output, Tensor) else (change(output[0]), *output[1:])

    with ExitStack() as hooks:
        matching = [module for name, module in model.named_modules() if re.fullmatch(pattern, name)]
        assert matching, f"no module matches {pattern}"
        for module in matching:
            hooks.callback(module.register_forward_hook(hook).remove)
        yield


def zeroed(dims: list[int]) -> Callable[[Tensor], Tensor]:
    """Sets features on the last axis to zero."""
    return lambda x: x.index_fill(-1, torch.tensor(dims), 0.0)


def projected(direction: Tensor) -> Callable[[Tensor], Tensor]:
    """Takes what lies along a direction `[d]` out of `[..., d]`."""
    unit = direction / direction.norm()
    return lambda x: x - (x @ unit)[..., None] * unit
