"""What an animal of the zoo is, and what removing a feature from it means, written by hand.

The meaning is a forward pass of the untouched model in which every tensor that carries the features has zeros in
their place. `zeroed` writes it down as module outputs and inputs, found by reading the architecture. Whatever else
carries the features (the state inside an LSTM, the input of a module that never sees a zero) is computed by hand.
"""

import re
import zlib
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves
from torch.utils.hooks import RemovableHandle

from excise.errors import SurgeryError

__all__ = [
    "Case",
    "Inputs",
    "Outcome",
    "Place",
    "Reference",
    "floats",
    "into",
    "out",
    "tokens",
    "without",
    "zeroed",
]

Inputs = Callable[[int], tuple[Tensor, ...]]
Outcome = Literal["exact", "exact after folding"] | type[SurgeryError]
Reference = Callable[[nn.Module, tuple[int, ...], tuple[Tensor, ...]], Any]


@dataclass(frozen=True)
class Case:
    """One architecture and one cut.

    Args:
        name: the trap that it holds.
        build: makes the model; it may draw from torch's global generator, which `model` seeds.
        inputs: random inputs from a seed; seed 0 is the example, all others are fresh.
        layer: the place of the features, as surgery takes it.
        dims: the features, counted from 0 along `axis` of that layer's output.
        reference: the model's outputs without the features, by hand.
        prune: how exact the pruned model is, or the error that refuses it.
        ablate: the same for the ablated model.
        axis: the axis of the layer's output that holds the features.
        note: what a reader has to know to believe the expectation.
        float64_tolerance: above 1e-10 only where the model computes in float32 whatever its weights are.
    """

    name: str
    build: Callable[[], nn.Module]
    inputs: Inputs
    layer: str
    dims: tuple[int, ...]
    reference: Reference
    prune: Outcome = "exact"
    ablate: Outcome = "exact"
    axis: int = -1
    note: str = ""
    float64_tolerance: float = 1e-10

    def example(self) -> tuple[Tensor, ...]:
        """The inputs that surgery may look at."""
        return self.inputs(0)

    def model(self) -> nn.Module:
        """The model in evaluation mode: the same every time, with no weight or statistic left at its default."""
        seed = zlib.crc32(self.name.encode())
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = self.build()
        random = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in model.parameters():
                # Gains of 1 and biases of 0 would hide an edit that forgets them.
                if parameter.numel() > 1 and parameter.min() == parameter.max():
                    parameter.add_(0.4 * torch.randn(parameter.shape, generator=random))
                # A missing feature must show, and float32 must still tell 1e-5 in the outputs.
                if parameter.dim() > 1:
                    parameter.mul_(parameter.std().clamp(0.25, 0.4) / parameter.std())
            for module in model.modules():
                if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
                    assert module.running_mean is not None
                    assert module.running_var is not None
                    module.running_mean.normal_(generator=random)
                    module.running_var.uniform_(0.5, 2.0, generator=random)
        return model.eval()


def floats(*shape: int, count: int = 1) -> Inputs:
    """`count` tensors of a shape from a normal distribution."""

    def make(seed: int) -> tuple[Tensor, ...]:
        random = torch.Generator().manual_seed(seed)
        return tuple(torch.randn(shape, generator=random) for _ in range(count))

    return make


def tokens(vocabulary: int = 24, length: int = 7, batch: int = 3) -> Inputs:
    """Token numbers `[batch, length]`."""

    def make(seed: int) -> tuple[Tensor, ...]:
        random = torch.Generator().manual_seed(seed)
        return (torch.randint(vocabulary, (batch, length), generator=random),)

    return make


def tensors(output: Any) -> list[Tensor]:
    """The floating-point tensors of a model's output, whatever holds them."""
    if isinstance(output, dict):
        # Mappings of the transformers library are no plain ones.
        output = dict(output)
    return [leaf for leaf in tree_leaves(output) if isinstance(leaf, Tensor) and leaf.is_floating_point()]


@dataclass(frozen=True)
class Place:
    """A tensor that carries the features: an output or an input of the modules that a path names.

    In the path, * stands for one part, as in "blocks.*.norm". Of several outputs or inputs, `item` says which.
    Where the features sit elsewhere than in the layer that was asked for, `dims` says where.
    """

    path: str
    axis: int
    dims: Sequence[int] | None
    side: Literal["output", "input"]
    item: int

    def modules(self, model: nn.Module) -> list[nn.Module]:
        pattern = re.escape(self.path).replace(r"\*", r"[^.]+")
        found = [module for name, module in model.named_modules() if re.fullmatch(pattern, name)]
        assert found, f"the reference names {self.path!r}, and the model has no such module"
        return found


def out(path: str, axis: int = -1, dims: Sequence[int] | None = None, item: int = 0) -> Place:
    """The features in the output of some modules."""
    return Place(path, axis, dims, "output", item)


def into(path: str, axis: int = -1, dims: Sequence[int] | None = None, item: int = 0) -> Place:
    """The features in what some modules are given."""
    return Place(path, axis, dims, "input", item)


def without(x: Tensor, dims: Sequence[int], axis: int = -1) -> Tensor:
    """`x` with zeros at these features."""
    return x.index_fill(axis, torch.tensor(dims, dtype=torch.int64), 0)


def zeroed(*places: Place) -> Reference:
    """A forward pass with zeros at these places."""

    def reference(model: nn.Module, dims: tuple[int, ...], inputs: tuple[Tensor, ...]) -> Any:
        with ExitStack() as hooks:
            for place in places:
                for module in place.modules(model):
                    hooks.callback(_hooked(module, place, place.dims or dims).remove)
            return model(*inputs)

    return reference


def _hooked(module: nn.Module, place: Place, dims: Sequence[int]) -> RemovableHandle:
    def cut(given: Any) -> Any:
        if isinstance(given, Tensor):
            return without(given, dims, place.axis)
        changed = list(given)
        changed[place.item] = cut(changed[place.item])
        return tuple(changed)

    def after(_module: nn.Module, _given: Any, output: Any) -> Any:
        return cut(output)

    def before(_module: nn.Module, given: Any) -> Any:
        return cut(given)

    if place.side == "output":
        return module.register_forward_hook(after)
    return module.register_forward_pre_hook(before)
