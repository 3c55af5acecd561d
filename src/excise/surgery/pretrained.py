"""Hugging Face models: a config that says what the edited model is, or a save that refuses to lie.

Equal shapes are not enough. A fresh model of the changed config, given the edited one's weights, must give the same
outputs: a scale that is computed from a width would be another.
"""

import inspect
import sys
from collections.abc import Iterator
from functools import partial
from typing import Any, NoReturn

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from excise.errors import SurgeryError
from excise.surgery.configs import Changes, Search, built, listed, set_fields
from excise.surgery.copying import same_randomness
from excise.surgery.examples import examples_for
from excise.surgery.rewrite import Rewrite

__all__ = ["follow_config"]


def follow_config(model: nn.Module, *rewrites: Rewrite) -> None:
    """Bring the configs of Hugging Face models in `model`, itself or inside it, in line with their new shapes.

    Where no config can say them, the old one stays and `save_pretrained` raises a SurgeryError; once another edit has
    made the layers alike, it saves again.
    """
    if "transformers.modeling_utils" not in sys.modules:
        return
    touched = [name for rewrite in rewrites for name in _shaped(rewrite)]
    for path, pretrained in _pretrained(model):
        if any(name == path or name.startswith(f"{path}." if path else "") for name in touched):
            _follow(pretrained)


def _shaped(rewrite: Rewrite) -> Iterator[str]:
    """Paths of what gets another shape, kind or number; new values alone ask nothing of a config."""
    if rewrite.before is not None:
        yield from _shaped(rewrite.before)
    yield from (step.name for step in (*rewrite.shrinks, *rewrite.rescales))
    yield from (step.path for step in (*rewrite.folds, *rewrite.swaps, *rewrite.numbers))


def _pretrained(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The Hugging Face models in a model that lie in no other one, with their paths."""
    kind = sys.modules["transformers.modeling_utils"].PreTrainedModel
    outer: list[str] = []
    for path, module in model.named_modules():
        if isinstance(module, kind) and not any(path.startswith(prefix) for prefix in outer):
            outer.append(f"{path}." if path else "")
            yield path, module


def _follow(model: nn.Module) -> None:
    search = Search(model)
    fresh = None if search.found is None else _same_function(model, search.found, search)
    for module in model.modules():
        held = vars(module).get("save_pretrained")
        if isinstance(held, partial) and held.func is _refuse:
            del vars(module)["save_pretrained"]
        if fresh is None and hasattr(module, "save_pretrained"):
            vars(module)["save_pretrained"] = partial(_refuse, search.reason)
    if fresh is not None and search.found:
        set_fields(model.config, search.found)
        for path, module in fresh.named_modules():
            vars(model.get_submodule(path)).update(_whole_numbers(module))


def _refuse(reason: str, *_arguments: object, **_keywords: object) -> NoReturn:
    """What `save_pretrained` is where no config can say what the model is; nothing is written."""
    raise SurgeryError(reason)


def _same_function(model: nn.Module, changes: Changes, search: Search) -> nn.Module | None:
    """A fresh model of the changed config with the weights of `model`, if it gives the same outputs."""
    try:
        with _EmptyOnMeta():
            fresh = built(model, changes).eval()
    # A constructor of the user's own may mix weights and tables.
    except Exception:
        with torch.device("meta"):
            fresh = built(model, changes).eval()
    _share_weights(model, fresh)
    training = [module for module in model.modules() if module.training]
    try:
        ran = _outputs(model.eval(), fresh)
    finally:
        for module in training:
            module.training = True
    if ran is None:
        numbers = {path: _whole_numbers(module) for path, module in fresh.named_modules()}
        if all(_whole_numbers(model.get_submodule(path)) == held for path, held in numbers.items()):
            return fresh
        search.explain(
            f"with {listed(changes)}, a fresh one cannot be checked, as it runs on no guessed inputs"
        )
        return None
    if not all(_alike(one, other) for one, other in zip(*ran, strict=True)):
        search.explain(f"with {listed(changes)}, a fresh one of the same weights computes another function")
        return None
    return fresh


class _EmptyOnMeta(TorchFunctionMode):
    """Weights, which torch makes empty and then fills, take no memory; tables that are computed are real."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # noqa: ANN401 - torch's protocol has no types
        """See torch; whatever is called may take and give anything."""
        kwargs = dict(kwargs or {})
        if func is torch.empty:
            kwargs["device"] = "meta"
        return func(*args, **kwargs)


def _share_weights(model: nn.Module, fresh: nn.Module) -> None:
    """Let a fresh model use the tensors of another; tables that are not saved stay its own, as after a reload."""
    for path, module in fresh.named_modules(remove_duplicate=False):
        own = model.get_submodule(path)
        module._parameters.update(own._parameters)
        for name, table in list(module._buffers.items()):
            held = own._buffers[name]
            if (
                table is None
                or held is None
                or table.is_meta
                or name not in module._non_persistent_buffers_set
            ):
                module._buffers[name] = held
            else:
                module._buffers[name] = table.to(device=held.device, dtype=held.dtype)


def _outputs(model: nn.Module, fresh: nn.Module) -> tuple[list[Tensor], list[Tensor]] | None:
    """What both models give on inputs that both run on; None if none is found."""
    for inputs in _inputs(model, fresh):
        try:
            with torch.no_grad(), same_randomness(model):
                leaves = [tree_leaves(one(**inputs)) for one in (model, fresh)]
        # The inputs are a guess.
        except Exception:
            continue
        given, others = ([leaf for leaf in some if isinstance(leaf, Tensor)] for some in leaves)
        if given and len(given) == len(others):
            return given, others
    return None


def _inputs(model: nn.Module, fresh: nn.Module) -> Iterator[dict[str, Any]]:
    """Guesses of what a model is called with: words, a picture, or what its first layers would take."""
    config: Any = model.config
    accepted = inspect.signature(model.forward).parameters
    weight = next(parameter for parameter in model.parameters() if parameter.is_floating_point())
    words: Any = getattr(model, "dummy_inputs", {})
    size = getattr(config, "vocab_size", None)
    if isinstance(size, int) and size > 0:
        yield {
            name: (value % size).to(weight.device)
            for name, value in words.items()
            if name.endswith("input_ids") and name in accepted
        }
    edge, channels = getattr(config, "image_size", None), getattr(config, "num_channels", None)
    if isinstance(edge, int) and isinstance(channels, int):
        drawn = torch.randn(1, channels, edge, edge, generator=torch.Generator().manual_seed(0))
        yield {"pixel_values": drawn.to(weight)}
    try:
        guessed = examples_for(fresh, None)
    except SurgeryError:
        return
    yield {next(iter(accepted)): guessed.arguments[0]}


def _alike(one: Tensor, other: Tensor) -> bool:
    """Whether two outputs of the same weights, perhaps through other kernels, are the same."""
    if one.shape != other.shape:
        return False
    wide, narrow = one.double().nan_to_num(), other.double().nan_to_num()
    tolerance = 1e-5 if one.dtype in (torch.float32, torch.float64) else 1e-2
    largest = wide.abs().max().item() if wide.numel() else 0.0
    return bool(((wide - narrow).abs() <= tolerance * largest).all())


def _whole_numbers(module: nn.Module) -> dict[str, int]:
    return {name: value for name, value in vars(module).items() if type(value) is int}
