"""The parameters of many models in one flat buffer, so that one optimiser step moves them all."""

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

__all__ = ["FlatParameters"]

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

    def optimiser(self, make: Callable[[Iterable[nn.Parameter]], Optimizer] | None, rate: float) -> Optimizer:
        """What `make` makes of the stacked parameters; without it Adam, which sees the flat buffer only."""
        if make is None:
            return torch.optim.Adam(self.buffers, lr=rate, fused=True)
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
