"""Interventions on a running model: context managers that change what a layer gives on, and nothing else."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from torch import Tensor, nn

from excise.activations import edit_outputs
from excise.errors import SettingError
from excise.interventions.falloff import Falloff, Mapper
from excise.interventions.repulsion import Repulsion
from excise.interventions.suppression import Suppression

__all__ = ["intervene", "repel", "suppress"]


@contextmanager
def intervene(model: nn.Module, layer: str, *interventions: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Edit a layer's activations in every forward pass of the block; the first intervention acts first.

    Order matters: each intervention is given what the one before it left. Of two blocks on the same layer, the outer
    one acts first, so that `intervene(model, layer, a, b)` is `intervene(model, layer, a)` around
    `intervene(model, layer, b)`.

    A model under `torch.compile` is edited too. What was compiled before the block, for this model or another of its
    kind, knows nothing of the edit: call `torch._dynamo.reset()` first. Otherwise the layer may not run, which is a
    CaptureError; it cannot be noticed if the same block also runs the model uncompiled.

    Args:
        model: any module; only a hook is put on it, and it comes off even on an error.
        layer: the module whose output `[..., feature]` is edited.
        interventions: what is done to it, in order; any function of a tensor will do.

    Raises:
        SettingError: there is no intervention, or one is no function, or a falloff or mapper without its direction.
        UnknownLayerError: the model has no such layer.
        ShapeError: an intervention is for another width.
        CaptureError: the layer's output is no tensor, or the layer did not run in the block.
    """
    if not interventions:
        raise SettingError("intervene takes at least one intervention.")
    for intervention in interventions:
        if isinstance(intervention, Falloff | Mapper) or not callable(intervention):
            raise SettingError(
                f"intervene takes interventions, such as Suppression(direction, falloff), or functions of a tensor; "
                f"{intervention!r} came."
            )

    def edit(activations: Tensor) -> Tensor:
        for intervention in interventions:
            activations = intervention(activations)
        return activations

    with edit_outputs(model, layer, edit):
        yield


@contextmanager
def suppress(
    model: nn.Module,
    layer: str,
    direction: Sequence[float] | Sequence[Sequence[float]] | Tensor,
    falloff: Falloff | None = None,
) -> Iterator[None]:
    """Suppress a direction, or a subspace, in a layer's activations; see `Suppression` and `intervene`."""
    with intervene(model, layer, Suppression(direction, falloff)):
        yield


@contextmanager
def repel(
    model: nn.Module, layer: str, direction: Sequence[float] | Tensor, mapper: Mapper, seed: int = 0
) -> Iterator[None]:
    """Turn a layer's activations away from a direction; see `Repulsion` and `intervene`."""
    with intervene(model, layer, Repulsion(direction, mapper, seed)):
        yield
