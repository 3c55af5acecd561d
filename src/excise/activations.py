"""Read and edit what a layer computes, without touching the model's code.

`capture` puts forward hooks on named layers and takes them off when the block ends, also after an exception. It
costs a dictionary store a layer and pass, keeps the graph (so a loss on an activation reaches the weights), and
keeps only the latest call of each layer, which stays readable after the block: of a layer that a forward pass calls
twice, that is the second. A copy of the model made inside the block is not captured. Captured tensors are as large as
the layers' outputs: of a large model, name only the layers you need.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from torch import Tensor, nn

from excise.errors import CaptureError, SettingError, ShapeError, UnknownLayerError

__all__ = ["Activations", "CaptureHook", "EditHook", "capture", "edit_outputs", "find_layer"]


class Activations:
    """The latest outputs of the captured layers, by layer name."""

    def __init__(self, layers: Iterable[str]) -> None:
        self._latest: dict[str, tuple[Tensor, int] | None] = dict.fromkeys(layers)

    def __getitem__(self, layer: str) -> Tensor:
        """The output of `layer` in its latest forward pass, with its graph.

        Raises:
            UnknownLayerError: the layer is not among those captured.
            CaptureError: the layer has not run since it was captured or since `clear`, or its output was
                overwritten in place after it ran.
        """
        if layer not in self._latest:
            raise UnknownLayerError(layer, self._latest, "among the captured layers")
        latest = self._latest[layer]
        if latest is None:
            raise CaptureError(
                f"layer {layer!r} has not run: call the model first, inside the block; if you did, its forward "
                f"pass does not call this layer (calling `layer.forward(x)` instead of `layer(x)` skips hooks), or "
                f"the model was compiled and run before the block (torch._dynamo.reset() lets it be compiled anew)."
            )
        output, version = latest
        if _version_of(output) != version:
            raise CaptureError(
                f"the output of layer {layer!r} was overwritten in place after it ran (a ReLU(inplace=True), a `+=`), "
                f"so what it gave is lost; use the operation that makes a new tensor, or name the layer after it."
            )
        return output

    def ran(self, layer: str) -> bool:
        """Whether a captured layer has run since it was captured or since `clear`."""
        return self._latest.get(layer) is not None

    @property
    def layers(self) -> tuple[str, ...]:
        """The names of the captured layers."""
        return tuple(self._latest)

    def clear(self) -> None:
        """Forget what was captured, so that a layer which does not run again is noticed."""
        for layer in self._latest:
            self._latest[layer] = None


class CaptureHook:
    """The forward hook of one captured layer.

    A copy of the model copies its hooks. The copy of this one does nothing, so that the copy's activations are never
    taken for the model's.
    """

    def __init__(self, layer: str, latest: dict[str, tuple[Tensor, int] | None] | None = None) -> None:
        self.layer = layer
        self.latest = latest

    def __call__(self, _module: nn.Module, _args: object, output: object) -> None:
        """Keep the output."""
        if self.latest is None:
            return
        if not isinstance(output, Tensor):
            raise CaptureError(_no_tensor(self.layer, output))
        self.latest[self.layer] = output, _version_of(output)

    def __reduce__(self) -> tuple[type["CaptureHook"], tuple[str]]:
        """What pickle and deepcopy make of it: a hook without a place to keep anything."""
        return CaptureHook, (self.layer,)


class EditHook:
    """The forward hook of one edited layer; like a `CaptureHook`, a copy of it does nothing."""

    def __init__(self, layer: str, edit: Callable[[Tensor], Tensor] | None = None) -> None:
        self.layer = layer
        self.edit = edit
        self.ran = False

    def __call__(self, _module: nn.Module, _args: object, output: object) -> Tensor | None:
        """The edited output, in the output's place."""
        if self.edit is None:
            return None
        self.ran = True
        if not isinstance(output, Tensor):
            raise CaptureError(_no_tensor(self.layer, output))
        edited = self.edit(output)
        if not isinstance(edited, Tensor) or edited.shape != output.shape:
            came = list(edited.shape) if isinstance(edited, Tensor) else type(edited).__name__
            raise ShapeError(
                f"an edit of layer {self.layer!r} keeps its shape {list(output.shape)}; {came} came."
            )
        return edited

    def __reduce__(self) -> tuple[type["EditHook"], tuple[str]]:
        """What pickle and deepcopy make of it: a hook that edits nothing."""
        return EditHook, (self.layer,)


@contextmanager
def capture(model: nn.Module, layers: Iterable[str]) -> Iterator[Activations]:
    """Capture the outputs of named layers for as long as the block lasts.

    Args:
        model: any module; it is left as it was found.
        layers: module paths as in `model.named_modules()`, such as "encoder" or "blocks.3.mlp".

    Raises:
        UnknownLayerError: the model has no such layer.
        SettingError: one name came instead of a list of them.
        CaptureError: a layer's output is no tensor, is asked for before the layer ran, or was overwritten in place.
    """
    if isinstance(layers, str):
        raise SettingError(f"capture takes a list of layers: write [{layers!r}].")
    names = tuple(dict.fromkeys(layers))
    modules = [find_layer(model, name) for name in names]
    activations = Activations(names)
    handles = [
        module.register_forward_hook(CaptureHook(name, activations._latest))
        for name, module in zip(names, modules, strict=True)
    ]
    try:
        yield activations
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def edit_outputs(model: nn.Module, layer: str, edit: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Let `edit` change what a layer gives on, for as long as the block lasts.

    Hooks run in the order in which they were put on: of two edits of one layer, the outer block's comes first, and
    a `capture` inside the block sees what was edited.

    Args:
        model: any module; it is left as it was found.
        layer: the module path as in `model.named_modules()`.
        edit: the layer's output to what takes its place, of the same shape.

    Raises:
        UnknownLayerError: the model has no such layer.
        ShapeError: the edit gives another shape.
        CaptureError: the layer's output is no tensor; or, at the end of a block without an error, the layer has not
            run, so that nothing was edited.
    """
    hook = EditHook(layer, edit)
    handle = find_layer(model, layer).register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()
    if not hook.ran:
        raise CaptureError(
            f"layer {layer!r} did not run inside the block, so nothing was edited: call the model there; if you did, "
            f"its forward pass does not call this layer (`layer.forward(x)` instead of `layer(x)` skips hooks), or "
            f"the model was compiled and run before the block (torch._dynamo.reset() lets it be compiled anew)."
        )


def find_layer(model: nn.Module, layer: str) -> nn.Module:
    """The module at path `layer` of `model`.

    Raises:
        UnknownLayerError: there is none; the nearest paths are named.
    """
    modules = dict(model.named_modules(remove_duplicate=False))
    modules.pop("", None)
    if layer not in modules:
        raise UnknownLayerError(layer, modules, f"in this {type(model).__name__}")
    return modules[layer]


def _version_of(output: Tensor) -> int:
    """How often a tensor was written to; a tensor of inference mode does not count."""
    return 0 if output.is_inference() else output._version


def _no_tensor(layer: str, output: object) -> str:
    kind = type(output).__name__
    return f"layer {layer!r} gives a {kind}, not a tensor; name a layer inside it whose output is one."
