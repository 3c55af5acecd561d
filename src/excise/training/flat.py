"""The parameters of many models in one flat buffer, so that one optimiser step moves them all."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

__all__ = ["FlatAdam", "FlatParameters", "Steps"]

_LANES = 16
"""Numbers in the widest vector register. The optimiser's kernel rounds the numbers that do not fill a register
otherwise than the rest, so each parameter starts at a whole register and the last one is filled up: what a model
becomes then does not depend on how many others there are."""


class FlatParameters:
    """Stacked parameters `[model, ...]` that are views of one buffer, as are their gradients.

    Attributes:
        tensors: the parameters by name; those that are trained are leaves whose gradients accumulate in place.

    Args:
        stacked: the parameters' initial values `[model, ...]`, all of one dtype and on one device or not.
    """

    def __init__(self, stacked: Mapping[str, Tensor]) -> None:
        trained = {name: values for name, values in stacked.items() if values.requires_grad}
        self.tensors: dict[str, Tensor] = {
            name: values.detach().clone() for name, values in stacked.items() if name not in trained
        }
        kinds: dict[tuple[torch.dtype, torch.device], dict[str, Tensor]] = {}
        for name, values in trained.items():
            kinds.setdefault((values.dtype, values.device), {})[name] = values
        self.buffers = [self._lay_out(group) for group in kinds.values()]
        self.tensors = {name: self.tensors[name] for name in stacked}

    @property
    def trained(self) -> list[Tensor]:
        """The parameters that are trained, one tensor each."""
        return [values for values in self.tensors.values() if values.requires_grad]

    def optimiser(self, make: Callable[[Iterable[nn.Parameter]], Optimizer] | None) -> "Steps":
        """What `make` makes of the stacked parameters; without it Adam, which sees the flat buffer only."""
        if make is None:
            return FlatAdam(self.buffers)
        return make(self.trained)  # pyright: ignore[reportArgumentType] - optimisers take any leaf

    def clear_gradients(self) -> None:
        """Set all gradients to 0, in place."""
        for buffer in self.buffers:
            assert buffer.grad is not None
            buffer.grad.zero_()

    def _lay_out(self, group: Mapping[str, Tensor]) -> Tensor:
        sizes = [-(-values.numel() // _LANES) * _LANES for values in group.values()]
        first = next(iter(group.values()))
        buffer = torch.zeros(sum(sizes), dtype=first.dtype, device=first.device)
        gradients = torch.zeros_like(buffer)
        start = 0
        for size, (name, values) in zip(sizes, group.items(), strict=True):
            end = start + values.numel()
            leaf = buffer[start:end].view(values.shape)
            leaf.copy_(values.detach())
            leaf.requires_grad_()
            leaf.grad = gradients[start:end].view(values.shape)
            self.tensors[name] = leaf
            start += size
        buffer.grad = gradients
        return buffer


class Steps(Protocol):
    """What a training asks of an optimiser."""

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """Groups, each with its learning rate under "lr"."""
        ...

    def step(self) -> object:
        """Move the parameters along their gradients."""
        ...


class FlatAdam:
    """Adam with torch's default settings, on a few flat buffers whose gradients stay in place.

    torch's own class takes a second to be imported, because the compiler comes with it, and a fifth of a millisecond
    a step to look after its groups: of a training of a few seconds that is a good part.

    Source: Kingma and Ba, *Adam: A Method for Stochastic Optimization* (arXiv 1412.6980), algorithm 1.

    Args:
        buffers: flat tensors with a gradient each.
    """

    _BETAS = (0.9, 0.999)
    _EPSILON = 1e-8

    def __init__(self, buffers: Sequence[Tensor]) -> None:
        self.buffers = list(buffers)
        self.param_groups: list[dict[str, Any]] = [{"params": self.buffers, "lr": 0.0}]
        self._moments = [(torch.zeros_like(buffer), torch.zeros_like(buffer)) for buffer in buffers]
        self._count = 0

    def step(self) -> None:
        """Take one step at the learning rate of the only group."""
        self._count += 1
        first, second = self._BETAS
        rate = -self.param_groups[0]["lr"] / (1 - first**self._count)
        spread = math.sqrt(1 - second**self._count)
        with torch.no_grad():
            for buffer, (mean, square) in zip(self.buffers, self._moments, strict=True):
                gradient = buffer.grad
                assert gradient is not None
                mean.lerp_(gradient, 1 - first)
                square.mul_(second).addcmul_(gradient, gradient, value=1 - second)
                buffer.addcdiv_(mean, square.sqrt().div_(spread).add_(self._EPSILON), value=rate)
