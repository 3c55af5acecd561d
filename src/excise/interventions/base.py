"""What every intervention is: a frozen edit of activations that follows them to their dtype and device."""

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor

from excise.errors import SettingError, ShapeError

__all__ = ["Intervention"]


class Intervention(ABC):
    """An edit of activations `[..., feature]`, sample by sample.

    It holds plain numbers, so that it can be saved with a recipe, and works wherever the activations are: on any
    device, in any floating dtype, under autograd, `torch.func.vmap` and `torch.compile`.
    """

    def __call__(self, activations: Float[Tensor, "*batch feature"]) -> Float[Tensor, "*batch feature"]:
        """The edited activations, of the same shape, dtype and device.

        Raises:
            ShapeError: the activations do not have the width that the intervention is for.
            SettingError: the activations are no floating-point numbers.
        """
        if not activations.is_floating_point():
            kind = str(activations.dtype).removeprefix("torch.")
            raise SettingError(
                f"{type(self).__name__} edits floating-point activations; {kind} came; name a layer that gives such."
            )
        self.check_width(activations.shape[-1] if activations.ndim else 0)
        device = activations.device.type
        if not torch.amp.is_autocast_available(device):
            return self.edit(activations)
        with torch.autocast(device, enabled=False):  # It would round alignments to half precision.
            return self.edit(activations)

    @abstractmethod
    def edit(self, activations: Float[Tensor, "*batch feature"]) -> Float[Tensor, "*batch feature"]:
        """The edited activations; their width has been checked."""

    @abstractmethod
    def check_width(self, width: int) -> None:
        """Refuse activations of a width that does not fit.

        Raises:
            ShapeError: the widths do not fit.
        """

    def _refuse_other_width(self, expected: int, width: int) -> None:
        if width != expected:
            raise ShapeError(
                f"{type(self).__name__} is for {expected} features, but the activations have {width}; give one "
                f"coordinate for each feature of the layer."
            )
