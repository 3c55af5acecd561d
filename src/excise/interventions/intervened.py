"""A model together with interventions that act whenever it runs: for code that takes a model and calls it."""

from collections.abc import Callable

from torch import Tensor, nn

from excise.interventions.intervene import intervene

__all__ = ["Intervened"]


class Intervened(nn.Module):
    """Runs a model with interventions on one of its layers; the model itself stays as it is, and is shared.

    Args:
        model: any module.
        layer: the module whose output is edited, as in `model.named_modules()`.
        interventions: what is done to it, in order.
    """

    def __init__(self, model: nn.Module, layer: str, *interventions: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.model = model
        self.layer = layer
        self.interventions = interventions

    def forward(self, *args: object, **kwargs: object) -> object:
        """What the model gives with the interventions in force.

        Raises:
            UnknownLayerError, ShapeError, CaptureError, SettingError: as `intervene` does.
        """
        with intervene(self.model, self.layer, *self.interventions):
            return self.model(*args, **kwargs)
