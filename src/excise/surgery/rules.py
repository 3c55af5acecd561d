"""What each operation does to features that pass through it: the seam where new operations are added.

The features of a layer lie on the last axis of its output. An operation carries them on when feature i of
its output comes from feature i of its input alone. It may also mix them, as a norm does, and still be
exact, as long as a feature that is zero counts for nothing: so a rule also says whether zero stays zero.

An operation without a rule is refused by name. To add one, write a function of a `Call` that returns an
`Effect` (or None, to refuse this call), under `@rule` with the module classes, functions and method names
that it is for.
"""

import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

import torch
from torch import fx, nn
from torch.nn import functional

__all__ = ["Call", "Effect", "rule"]


class Effect(Enum):
    """What an operation does to the features on the last axis of the input that it carries."""

    KEEPS_ZERO = "carries each feature on by itself; zero stays zero"
    MOVES_ZERO = "carries each feature on by itself; zero becomes another constant"
    SCALES = "divides the features by a norm of theirs, in which zeros count for nothing"
    MEASURES = "gives a norm of each sample's features, in which zeros count for nothing"


@dataclass(frozen=True)
class Call:
    """One operation of a forward pass, as a rule sees it.

    Attributes:
        node: the operation in the graph.
        modules: the modules of the model, by path.
    """

    node: fx.Node
    modules: Mapping[str, nn.Module]

    @property
    def module(self) -> nn.Module | None:
        """The module called; None when it is a function or a method."""
        return self.modules[str(self.node.target)] if self.node.op == "call_module" else None

    @property
    def tensors(self) -> tuple[fx.Node, ...]:
        """Its inputs that the forward pass computes; the first is the one whose features are carried."""
        given = (*self.node.args, *self.node.kwargs.values())
        return tuple(value for value in given if isinstance(value, fx.Node))

    @property
    def effect(self) -> Effect | None:
        """What it does to the features of its first tensor; None where no rule says."""
        if self.node.op not in ("call_module", "call_function", "call_method") or not self.tensors:
            return None
        # No rule can know what a `forward` does that was put in the place of the class's own.
        if self.module is not None and "forward" in vars(self.module):
            return None
        found = _RULES.get(self.node.target if self.module is None else type(self.module))
        return found(self) if found is not None else None

    @property
    def alone(self) -> bool:
        """Whether nothing but the features and Python constants goes in."""
        return len(self.tensors) == 1

    @property
    def in_place(self) -> bool:
        """Whether the input may be overwritten (any argument that is True counts as asking for it)."""
        if self.node.target in _AUGMENTED:
            return True
        given = (*self.node.args, *self.node.kwargs.values())
        return bool(getattr(self.module, "inplace", False)) or any(value is True for value in given)

    def setting(self, position: int, name: str, default: object = None) -> object:
        """An argument by its position or name; of a module, its attribute of that name."""
        if self.module is not None:
            return getattr(self.module, name, default)
        if position < len(self.node.args):
            return self.node.args[position]
        return self.node.kwargs.get(name, default)


Rule = Callable[[Call], Effect | None]
_RULES: dict[object, Rule] = {}
_AUGMENTED = (operator.iadd, operator.isub, operator.imul, operator.itruediv)


def rule(*kinds: object) -> Callable[[Rule], Rule]:
    """Register a rule for module classes, functions and method names; each has one rule."""

    def register(function: Rule) -> Rule:
        for kind in kinds:
            assert kind not in _RULES, kind
            _RULES[kind] = function
        return function

    return register


@rule(
    nn.Identity, nn.Dropout, nn.GELU, nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.RReLU, nn.ELU, nn.CELU, nn.SELU,
    nn.SiLU, nn.Mish, nn.Tanh, nn.Tanhshrink, nn.Softsign, nn.Hardswish, nn.Hardshrink, nn.Softshrink,
    functional.dropout, functional.gelu, functional.relu, functional.relu6, functional.leaky_relu,
    functional.elu, functional.celu, functional.selu, functional.silu, functional.mish, functional.tanh,
    functional.tanhshrink, functional.softsign, functional.hardswish, functional.hardshrink,
    functional.softshrink, torch.relu, torch.tanh, torch.sin, torch.abs, torch.square, torch.neg, torch.clone,
    operator.neg,
    "relu", "tanh", "sin", "abs", "square", "neg", "contiguous", "clone", "detach", "float", "double", "half",
    "bfloat16", "to", "cpu", "cuda",
)  # fmt: skip
def _keeps_zero(call: Call) -> Effect | None:
    return Effect.KEEPS_ZERO if call.alone else None


@rule(
    nn.Sigmoid, nn.LogSigmoid, nn.Softplus, nn.Hardsigmoid, nn.Threshold, nn.AlphaDropout,
    functional.sigmoid, functional.logsigmoid, functional.softplus, functional.hardsigmoid,
    functional.threshold, functional.alpha_dropout, torch.sigmoid, torch.exp, torch.cos, "sigmoid", "exp",
    "cos", operator.add, operator.iadd, operator.sub, operator.isub, torch.add, torch.sub, "add", "sub",
)  # fmt: skip
def _moves_zero(call: Call) -> Effect | None:
    return Effect.MOVES_ZERO if call.alone else None


@rule(operator.mul, operator.imul, torch.mul, "mul")
def _multiplies(call: Call) -> Effect | None:
    return Effect.KEEPS_ZERO if call.alone else None


@rule(operator.truediv, operator.itruediv, torch.div, torch.true_divide, "div")
def _divides(call: Call) -> Effect | None:
    if call.node.args[:1] != call.tensors[:1]:
        return None
    if call.alone:
        return Effect.KEEPS_ZERO
    return Effect.SCALES if _is_norm_of(Call(call.tensors[1], call.modules), call.tensors[0]) else None


@rule(torch.clamp, torch.clip, "clamp", "clip")
def _clamps(call: Call) -> Effect | None:
    return _bounded(call, call.setting(1, "min"), call.setting(2, "max"))


@rule(torch.clamp_min, "clamp_min")
def _clamps_below(call: Call) -> Effect | None:
    return _bounded(call, call.setting(1, "min"), None)


@rule(torch.clamp_max, "clamp_max")
def _clamps_above(call: Call) -> Effect | None:
    return _bounded(call, None, call.setting(1, "max"))


@rule(nn.Hardtanh, functional.hardtanh)
def _hardtanh(call: Call) -> Effect | None:
    return _bounded(call, call.setting(1, "min_val", -1.0), call.setting(2, "max_val", 1.0))


def _bounded(call: Call, low: object, high: object) -> Effect | None:
    if not call.alone:
        return None
    keeps = (low is None or _number(low) <= 0) and (high is None or _number(high) >= 0)
    return Effect.KEEPS_ZERO if keeps else Effect.MOVES_ZERO


@rule(functional.normalize)
def _normalizes(call: Call) -> Effect | None:
    """Over the features, zeros count for nothing; over another axis, each feature is scaled by itself.

    The floor under the norm matters: without one, a removed feature would be 0 / 0 along the other axes.
    """
    whole = isinstance(call.setting(2, "dim", 1), int)
    floored = _number(call.setting(3, "eps", 1e-12)) >= 1e-12
    return Effect.SCALES if call.alone and whole and floored and _ignores_zeros(call) else None


@rule(torch.norm, torch.linalg.norm, torch.linalg.vector_norm, "norm")
def _measures(call: Call) -> Effect | None:
    """Only over the last axis, kept as an axis of width 1: else it is broadcast along the features."""
    dim = call.setting(2, "dim")
    last = dim == -1 or (isinstance(dim, tuple | list) and list(dim) == [-1])
    kept = call.setting(3, "keepdim", False) is True
    return Effect.MEASURES if call.alone and last and kept and _ignores_zeros(call) else None


def _ignores_zeros(call: Call) -> bool:
    """A norm counts zeros for nothing when its order is above 0."""
    order = call.setting(1, "ord" if "ord" in call.node.kwargs else "p")
    return order in (None, "fro") or _number(order) > 0


def _number(value: object) -> float:
    """A Python number; anything else as NaN, of which every comparison is false."""
    return float(value) if isinstance(value, int | float) else math.nan


def _is_norm_of(divisor: Call, dividend: fx.Node) -> bool:
    """Whether a divisor is a norm of the dividend, perhaps with a floor or another function applied to it."""
    while divisor.effect in (Effect.KEEPS_ZERO, Effect.MOVES_ZERO):
        divisor = Call(divisor.tensors[0], divisor.modules)
    return divisor.effect is Effect.MEASURES and divisor.tensors[0] is dividend
