"""What forbids an edit, or leaves it unproven, however well the data flow is known."""

import reprlib
from collections.abc import Iterable, Set

import torch
from torch import fx, nn

from excise.activations import CaptureHook
from excise.errors import SettingError, SurgeryError, UnfollowableError
from excise.surgery.graph import ForwardGraph

__all__ = ["FORWARD_REPLACED", "check_asked", "check_editable", "hooked"]

FORWARD_REPLACED = (
    "its `forward` was replaced, so it may do anything; give it the `forward` of its class back."
)


def check_asked(model: object, layer: object) -> None:
    """Refuse what is no model, no name of a layer, or a model in a form that has no plain modules."""
    if not isinstance(model, nn.Module):
        raise SettingError(f"the model is a torch.nn.Module; {reprlib.repr(model)} came.")
    if not isinstance(layer, str):
        raise SettingError(
            f"the layer is a module path, as in `model.named_modules()`; {reprlib.repr(layer)} came."
        )
    if isinstance(model, torch.jit.ScriptModule):
        raise SurgeryError(
            f"a {type(model).__name__} has no Python forward pass to follow; pass the eager module that it was "
            "made from, and script or trace the edited copy."
        )
    if isinstance(getattr(model, "_orig_mod", None), nn.Module):
        raise SurgeryError(
            "a compiled model runs code made for its present weights' shapes; pass the model that was compiled "
            "(`model._orig_mod`), and compile the edited copy."
        )
    if "forward" in vars(model):
        raise UnfollowableError(type(model).__name__, FORWARD_REPLACED)


def check_editable(path: str, graph: ForwardGraph) -> None:
    """Refuse a Linear that is more than its weight and bias, or whose parameters are not its own alone."""
    linear = graph.modules[path]
    for name in ("weight", "bias"):
        if linear._parameters.get(name) is None and getattr(linear, name, None) is not None:
            raise UnfollowableError(
                path,
                f"its {name} is computed anew at every call (weight or spectral normalisation, a mask), so "
                "an edit would be overwritten; make it a plain parameter first.",
            )
    if "forward" in vars(linear):
        raise UnfollowableError(path, FORWARD_REPLACED)
    others = [name for name, _ in linear.named_parameters(recurse=False) if name not in ("weight", "bias")]
    if others:
        raise UnfollowableError(
            path,
            f"it has parameters besides weight and bias ({', '.join(others)}), and what they do to its features "
            "is not known here; merge them into the weight or move them to a module of their own.",
        )
    own = {id(parameter) for parameter in linear.parameters(recurse=False)}
    for other_path, other in graph.model.named_modules():
        if other is not linear and own & {id(parameter) for parameter in other.parameters(recurse=False)}:
            raise UnfollowableError(
                path,
                f"it shares a parameter with {other_path!r}; an edit would change both. Untie them first.",
            )
    for node in graph.nodes:
        if node.op == "get_attr" and id(graph.attribute(node)) in own:
            raise UnfollowableError(
                path,
                f"the forward pass also uses its parameter {node.target!r} directly, outside the Linear.",
            )


def hooked(graph: ForwardGraph, features: Set[fx.Node]) -> tuple[str, ...]:
    """The modules that some features go into or come out of and that have forward hooks, by path.

    The hooks of `excise.capture` do not count: they only look.
    """
    return tuple(
        path
        for path, nodes in graph.touched.items()
        if not nodes.isdisjoint(features) and _has_foreign_hooks(graph.modules[path])
    )


def _has_foreign_hooks(module: nn.Module) -> bool:
    hooks: Iterable[object] = (*module._forward_pre_hooks.values(), *module._forward_hooks.values())
    return not all(isinstance(hook, CaptureHook) for hook in hooks)
