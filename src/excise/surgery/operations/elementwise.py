"""Functions of single numbers, and of numbers in the same place of several tensors."""

import torch

from excise.surgery.flow import Effect, Flow, Role
from excise.surgery.operations.broadcast import alike
from excise.surgery.operations.registry import rule
from excise.surgery.recording import Call

__all__ = ["ELEMENTWISE"]

ELEMENTWISE = (
    # of one tensor
    "relu", "relu6", "leaky_relu", "rrelu", "elu", "celu", "selu", "gelu", "silu", "mish", "tanh", "tanhshrink",
    "sigmoid", "logsigmoid", "log_sigmoid", "softplus", "softsign", "hardsigmoid", "hardswish", "hardtanh",
    "hardshrink",
    "softshrink", "threshold", "abs", "absolute", "neg", "negative", "positive", "pos", "sign", "sgn", "square", "sqrt",
    "rsqrt", "reciprocal", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "sinh", "cosh",
    "asin", "acos", "atan", "asinh", "acosh", "atanh", "erf", "erfc", "erfinv", "sinc", "round", "floor", "ceil",
    "trunc",
    "frac", "clamp", "clip", "clamp_min", "clamp_max", "nan_to_num", "logit", "pow", "rpow", "float_power", "dropout",
    "alpha_dropout", "feature_dropout", "feature_alpha_dropout", "dropout1d", "dropout2d", "dropout3d", "clone",
    "contiguous", "detach", "data", "real", "to", "type", "type_as", "float", "double", "half", "bfloat16", "bool",
    "cpu",
    "cuda", "relu_", "fill", "zero", "masked_fill", "tril", "triu", "zeros_like",
    "randn_like", "rand_like", "ones_like", "empty_like",
    "full_like",
    "isnan", "isinf", "isfinite", "logical_not", "bitwise_not", "invert", "lt", "le", "gt", "ge", "eq", "ne",
    # of several
    "add", "radd", "sub", "rsub", "subtract", "mul", "rmul", "multiply", "div", "rdiv", "divide", "true_divide",
    "truediv",
    "rtruediv", "maximum", "minimum", "fmax", "fmin", "where", "lerp", "addcmul", "addcdiv", "copy", "prelu", "atan2",
    "hypot", "heaviside", "logical_and", "logical_or", "logical_xor", "and", "or", "xor", "floordiv", "floor_divide",
    "remainder", "fmod", "mod",
)  # fmt: skip

_MULTIPLIES = {"mul", "rmul", "multiply", "and", "logical_and"}
_DIVIDES = {
    "div",
    "divide",
    "true_divide",
    "truediv",
    "floordiv",
    "floor_divide",
    "remainder",
    "fmod",
    "mod",
    "pow",
}
_DIVIDES_OTHER = {"rtruediv", "rdiv", "rpow"}


@rule(*ELEMENTWISE)
def _elementwise(call: Call, flow: Flow) -> None:
    """The terms of a sum hold its features; the factors of a product serve them."""
    flow.effect(call, Effect.ELEMENTWISE)
    operands = [value for value in call.values if value.dtype not in (torch.int64, torch.int32)]
    if call.name in ("to", "type_as", "type"):  # Another tensor gives its type only.
        operands = operands[:1]
    if call.name == "prelu":
        alike(flow, call.out, operands[:1])
        _per_channel(call, flow)
    elif len(operands) < 2:
        alike(flow, call.out, operands)
    elif call.name in _MULTIPLIES:
        # Beside factors that no weight writes (a rotary table), what is left is scaled, and goes as a term does.
        free = [value for value in dict.fromkeys(operands) if not flow.is_fixed(value)]
        terms = free if len(free) == 1 else []
        alike(flow, call.out, terms, factors=[value for value in operands if value not in terms])
    elif call.name in _DIVIDES:
        alike(flow, call.out, operands[:1])
        alike(flow, call.out, factors=operands[1:], role=Role.SCALES)
    elif call.name in ("where", "masked_fill"):
        masks = [value for value in operands if value.dtype == torch.bool]
        alike(
            flow,
            call.out,
            [value for value in operands if value not in masks],
            factors=masks,
            role=Role.SCALES,
        )
    elif call.name in ("addcmul", "addcdiv", "lerp"):
        alike(flow, call.out, operands[: 2 if call.name == "lerp" else 1])
        alike(flow, call.out, factors=operands[2 if call.name == "lerp" else 1 :], role=Role.SCALES)
    else:
        alike(flow, call.out, operands)


def _per_channel(call: Call, flow: Flow) -> None:
    """The slopes of a PReLU lie along the channels, axis 1, or are one for all."""
    slopes = call.values[1]
    for array in flow.of(call.out):
        if array.axes == (1,) and slopes.shape != (1,):
            flow.spare(slopes, array.moved(array.ids.flatten(), Role.SCALES))
