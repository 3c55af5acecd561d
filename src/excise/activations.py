"""Read what a layer computes, without touching the model's code.

`capture` puts forward hooks on named layers and takes them off when the block ends, also after an exception. It
costs a dictionary store a layer and pass, keeps the graph (so a loss on an activation reaches the weights), and
keeps only the latest pass, which stays readable after the block. Captured tensors are as large as the layers'
outputs: of a large model, name only the layers you need.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from torch import Tensor, nn

from excise.errors import CaptureError, UnknownLayerError

__all__ = ["Activations", "capture", "find_layer"]


class Activations:
    """The latest outputs of the captured layers, by layer name."""

    def __init__(self, layers: Iterable[str]) -> None:
        self._latest: dict[str, Tensor | None] = dict.fromkeys(layers)

    def __getitem__(self, layer: str) -> Tensor:
        """The output of `layer` in its latest forward pass, with its graph.

        Raises:
            UnknownLayerError: the layer is not among those captured.
            CaptureError: the layer has not run since it was captured or since `clear`.
        """
        if layer not in self._latest:
            raise UnknownLayerError(layer, self._latest, "among the captured layers")
        latest = self._latest[layer]
        if latest is None:
            raise CaptureError(
                f"layer {layer!r} has not run: call the model first, inside the block; if you did, its forward "
                f"pass does not call this layer (calling `layer.forward(x)` instead of `layer(x)` skips hooks)."
            )
        return latest

    @property
    def layers(self) -> tuple[str, ...]:
        """The names of the captured layers."""
        return tuple(self._latest)

    def clear(self) -> None:
        """Forget what was captured, so that a layer which does not run again is noticed."""
        for layer in self._latest:
            self._latest[layer] = None

    def _store(self, layer: str) -> Callable[[nn.Module, object, object], None]:
        latest = self._latest

        def hook(_module: nn.Module, _args: object, output: object) -> None:
            if not isinstance(output, Tensor):
                raise CaptureError(
                    f"layer {layer!r} gives a {type(output).__name__}, not a tensor; "
                    f"name a layer inside it whose output is one."
                )
            latest[layer] = output

        return hook


@contextmanager
def capture(model: nn.Module, layers: Iterable[str]) -> Iterator[Activations]:
    """Capture the outputs of named layers for as long as the block lasts.

    Args:
        model: any module; it is left as it was found.
        layers: module paths as in `model.named_modules()`, such as "encoder" or "blocks.3.mlp".

    Raises:
        UnknownLayerError: the model has no such layer.
        CaptureError: a layer's output is no tensor, or is asked for before the layer ran.
    """
    names = tuple(dict.fromkeys(layers))
    modules = [find_layer(model, name) for name in names]
    activations = Activations(names)
    handles = [
        module.register_forward_hook(activations._store(name))
        for name, module in zip(names, modules, strict=True)
    ]
    try:
        yield activations
    finally:
        for handle in handles:
            handle.remove()


def find_layer(model: nn.Module, layer: str) -> nn.Module:
    """The module at path `layer` of `model`.

    Raises:
        UnknownLayerError: there is none; the nearest paths are named.
    """
    modules = dict(model.named_modules())
    modules.pop("", None)
    if layer not in modules:
        raise UnknownLayerError(layer, modules, f"in this {type(model).__name__}")
    return modules[layer]
