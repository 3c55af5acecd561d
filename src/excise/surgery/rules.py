"""What each operation does to features that pass through it: the seam where new operations are added.

The features of a layer lie on the last axis of its output. An operation carries them on when feature i of its
output comes from feature i of its input alone. It may also mix them, as a norm does, and still be exact, as long
as a feature that is zero counts for nothing: so a rule also says whether zero stays zero.

An operation without a rule is refused by name. To add one, give its module class, function or method name an
entry in one of the tables.
"""

import math
import operator
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional

__all__ = ["Effect", "carried_input", "effect_of"]


class Effect(Enum):
    """What an operation does to the features on the last axis of its first input."""

    KEEPS_ZERO = "carries each feature on by itself; zero stays zero"
    MOVES_ZERO = "carries each feature on by itself; zero becomes another constant"
    SCALES = "divides all features by a norm of theirs, in which zeros count for nothing"
    MEASURES = "gives a norm of the features, in which zeros count for nothing"


_MODULES: Mapping[type[nn.Module], Effect] = {
    **dict.fromkeys(
        [
            nn.Identity, nn.Dropout, nn.AlphaDropout, nn.FeatureAlphaDropout, nn.GELU, nn.ReLU, nn.ReLU6,
            nn.LeakyReLU, nn.RReLU, nn.ELU, nn.CELU, nn.SELU, nn.SiLU, nn.Mish, nn.Tanh, nn.Tanhshrink,
            nn.Softsign, nn.Hardswish, nn.Hardshrink, nn.Softshrink,
        ],
        Effect.KEEPS_ZERO,
    ),
    **dict.fromkeys(
        [nn.Sigmoid, nn.LogSigmoid, nn.Softplus, nn.Hardsigmoid, nn.Hardtanh, nn.Threshold], Effect.MOVES_ZERO
    ),
}  # fmt: skip

_FUNCTIONS: Mapping[Callable[..., Any], Effect] = {
    **dict.fromkeys(
        [
            functional.gelu, functional.relu, functional.relu6, functional.leaky_relu, functional.elu,
            functional.celu, functional.selu, functional.silu, functional.mish, functional.tanh,
            functional.softsign, functional.hardswish, functional.dropout, functional.alpha_dropout,
            torch.relu, torch.tanh, torch.sin, torch.abs, torch.square, torch.neg, operator.neg,
        ],
        Effect.KEEPS_ZERO,
    ),
    **dict.fromkeys(
        [
            functional.sigmoid, functional.softplus, functional.logsigmoid, functional.hardsigmoid,
            functional.hardtanh, torch.sigmoid, torch.exp, torch.cos, torch.clamp, torch.clamp_min,
        ],
        Effect.MOVES_ZERO,
    ),
    functional.normalize: Effect.SCALES,
    torch.norm: Effect.MEASURES,
    torch.linalg.norm: Effect.MEASURES,
    torch.linalg.vector_norm: Effect.MEASURES,
}  # fmt: skip

_METHODS: Mapping[str, Effect] = {
    **dict.fromkeys(
        [
            "relu", "tanh", "sin", "abs", "square", "neg", "contiguous", "clone", "detach", "float", "double",
            "half", "bfloat16", "to", "type_as", "cpu", "cuda",
        ],
        Effect.KEEPS_ZERO,
    ),
    **dict.fromkeys(["sigmoid", "exp", "cos", "clamp", "clamp_min", "clamp_max"], Effect.MOVES_ZERO),
    "norm": Effect.MEASURES,
}  # fmt: skip

_SCALING = {operator.mul, torch.mul, "mul"}
_DIVISION = {operator.truediv, torch.div, torch.true_divide, "div"}
_SHIFTING = {operator.add, operator.sub, torch.add, torch.sub, "add", "sub"}
_FLOORS = {torch.clamp, torch.clamp_min, torch.add, operator.add, "clamp", "clamp_min", "add"}


def effect_of(node: fx.Node, modules: Mapping[str, nn.Module]) -> Effect | None:
    """What the operation at `node` does to the features of its carried input; None where no rule says."""
    target: object = node.target
    if node.op == "call_module":
        return _MODULES.get(type(modules[str(target)]))
    if node.op not in ("call_function", "call_method"):
        return None
    operands = [argument for argument in (*node.args, *node.kwargs.values()) if isinstance(argument, fx.Node)]
    if target in _DIVISION and len(operands) == 2 and _is_norm_of(operands[1], operands[0]):
        return Effect.SCALES
    if len(operands) != 1 or (not node.args and "input" not in node.kwargs):
        return None
    if target in _SCALING or (target in _DIVISION and node.args and node.args[0] is operands[0]):
        return Effect.KEEPS_ZERO
    if target in _SHIFTING:
        return Effect.MOVES_ZERO
    if node.op == "call_method":
        return _norm_effect(node) if target == "norm" else _METHODS.get(str(target))
    if not callable(target):
        return None
    effect = _FUNCTIONS.get(target)
    return _norm_effect(node) if effect in (Effect.SCALES, Effect.MEASURES) else effect


def carried_input(node: fx.Node) -> fx.Node:
    """The input whose features an operation with an effect carries on."""
    operands = [argument for argument in (*node.args, *node.kwargs.values()) if isinstance(argument, fx.Node)]
    return operands[0]


def _norm_effect(node: fx.Node) -> Effect | None:
    """A norm counts zeros for nothing when its order is above 0; over another axis it is featurewise."""
    positional = node.args[1] if len(node.args) > 1 else None
    order = node.kwargs.get("p", node.kwargs.get("ord", positional))
    order = 2.0 if order in (None, "fro") else order
    if not isinstance(order, int | float) or math.isnan(order) or order <= 0:
        return None
    return Effect.SCALES if node.target is functional.normalize else Effect.MEASURES


def _is_norm_of(divisor: fx.Node, dividend: fx.Node) -> bool:
    """Whether a divisor is a norm of the dividend, perhaps with a floor against division by zero."""
    while divisor.target in _FLOORS and divisor.args and isinstance(divisor.args[0], fx.Node):
        if any(isinstance(argument, fx.Node) for argument in (*divisor.args[1:], *divisor.kwargs.values())):
            return False
        divisor = divisor.args[0]
    measures = {torch.norm, torch.linalg.norm, torch.linalg.vector_norm, "norm"}
    return divisor.target in measures and _norm_effect(divisor) is not None and carried_input(divisor) is dividend
