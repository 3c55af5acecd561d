"""What a model is called with: given by the user, or found by trying what its first layers would take."""

import copy
from collections import UserDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from excise.errors import SettingError, SurgeryError
from excise.surgery.copying import copied, same_randomness

__all__ = ["ExampleInputs", "Examples", "examples_for", "tensors_in"]

ExampleInputs = Tensor | tuple[Any, ...] | list[Any] | Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Examples:
    """Positional and keyword arguments of one call."""

    arguments: tuple[Any, ...]
    keywords: dict[str, Any]
    guessed: bool = False

    def copies(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments, so copied that a forward pass can write into them."""
        return tree_map(_own, (self.arguments, self.keywords))

    def shapes(self) -> str:
        """What they are, for people."""
        shapes = [
            f"{list(leaf.shape)} {str(leaf.dtype).removeprefix('torch.')}"
            if isinstance(leaf, Tensor)
            else repr(leaf)
            for leaf in tree_leaves((self.arguments, self.keywords))
        ]
        return ", ".join(shapes) or "none"


def examples_for(model: nn.Module, example_inputs: ExampleInputs | None) -> Examples:
    """The example inputs as arguments; without any, the first guess that the model runs on.

    Raises:
        SettingError: the example inputs are neither a tensor, nor a tuple of arguments, nor a dict of keywords.
        SurgeryError: none were given, and no guess runs.
    """
    if example_inputs is None:
        return _guessed(model)
    if isinstance(example_inputs, Tensor):
        return Examples((example_inputs,), {})
    if isinstance(example_inputs, Mapping | UserDict):  # A tokenizer gives a UserDict.
        return Examples((), {str(key): value for key, value in example_inputs.items()})
    if isinstance(example_inputs, tuple | list):
        return Examples(tuple(example_inputs), {})
    raise SettingError(
        f"example_inputs are what the model is called with: a tensor, a tuple of arguments or a dict of keyword "
        f"arguments; a {type(example_inputs).__name__} came."
    )


def tensors_in(output: object) -> list[Tensor]:
    """All tensors of what a model gives back: in tuples, lists, dicts, Hugging Face outputs and dataclasses."""
    found: list[Tensor] = []
    for leaf in tree_leaves(output):
        if isinstance(leaf, Tensor):
            found.append(leaf)
        elif is_dataclass(leaf) and not isinstance(leaf, type):
            found += tensors_in([getattr(leaf, field.name) for field in fields(leaf)])
    return found


def _guessed(model: nn.Module) -> Examples:
    shadow = copied(model).eval()
    parameter = next(model.parameters(), None)
    device = parameter.device if parameter is not None else torch.device("cpu")
    for guess in _guesses(model):
        moved = guess.to(device)
        try:
            with torch.no_grad(), same_randomness(model):
                shadow(moved.clone())
        # What a wrong guess raises is of no interest.
        except Exception:
            continue
        return Examples((moved,), {}, guessed=True)
    raise SurgeryError(
        f"this {type(model).__name__} runs on none of the inputs that were tried in the absence of example inputs; "
        f"pass `example_inputs`: a tensor, a tuple of arguments or a dict of keyword arguments."
    )


def _guesses(model: nn.Module) -> Iterator[Tensor]:
    """Inputs that the layers with weights would take, the first layers first."""
    drawn = torch.Generator().manual_seed(0)
    dtype = next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=drawn).to(dtype)

    seen: set[object] = set()
    for module in model.modules():
        match module:
            case nn.Embedding():
                key: object = "embedding"
                shapes = [lambda m=module: torch.randint(m.num_embeddings, (2, 8), generator=drawn)]
            case nn.Conv1d() | nn.Conv2d() | nn.Conv3d() | nn.ConvTranspose1d() | nn.ConvTranspose2d():
                channels, axes = module.in_channels, len(module.kernel_size)
                key = (channels, axes)
                shapes = [
                    lambda c=channels, n=axes, size=size: random(2, c, *[size] * n)
                    for size in (8, 16, 32, 64, 28, 224)[: 6 if axes < 3 else 3]
                ]
            case nn.Linear() | nn.RNNBase():
                width = module.in_features if isinstance(module, nn.Linear) else module.input_size
                key = width
                shapes = [lambda w=width: random(2, w), lambda w=width: random(2, 5, w)]
                if isinstance(module, nn.RNNBase):
                    shapes.reverse()
            case _:
                continue
        if key in seen:
            continue
        seen.add(key)
        for shape in shapes:
            yield shape()


def _own(value: Any) -> Any:  # noqa: ANN401 - an argument of any kind
    if isinstance(value, Tensor):
        return value.detach().clone()
    return copy.copy(value) if isinstance(value, list | dict) else value
