"""Norms: by features, by groups of channels, by batch statistics, and to length 1."""

from torch import Tensor

from excise.surgery.flow import Effect, Flow, Role, refusal
from excise.surgery.operations.broadcast import alike
from excise.surgery.operations.registry import rule
from excise.surgery.recording import Call, Value

__all__: list[str] = []


@rule("layer_norm")
def _layer_norm(call: Call, flow: Flow) -> None:
    """The removed features are zero and count in mean and variance, also after pruning."""
    x, shape, weight, bias = (
        call.argument(at, name) for at, name in enumerate(("input", "normalized_shape", "weight", "bias"))
    )
    gains = [value for value in (weight, bias) if isinstance(value, Value)]
    _over_last_axes(call, flow, x, len(shape), gains=gains, kind="layer_norm")


@rule("rms_norm")
def _rms_norm(call: Call, flow: Flow) -> None:
    x, shape, weight = (
        call.argument(at, name) for at, name in enumerate(("input", "normalized_shape", "weight"))
    )
    _over_last_axes(
        call, flow, x, len(shape), gains=[weight] if isinstance(weight, Value) else [], kind="rms_norm"
    )


@rule("rms_norm_module")
def _rms_norm_module(call: Call, flow: Flow) -> None:
    x, weight = call.args
    _over_last_axes(call, flow, x, 1, gains=[weight], kind="rms_norm")


@rule("narrowed_layer_norm")
def _narrowed_layer_norm(call: Call, flow: Flow) -> None:
    """A norm that an edit made remembers the width that it had, and need not be adapted again."""
    x, *gains = call.args
    alike(flow, call.out, [x], factors=gains)
    flow.effect(call, Effect.NEEDS_ZERO)


def _over_last_axes(
    call: Call, flow: Flow, x: Value, normalized: int, *, gains: list[Value], kind: str
) -> None:
    alike(flow, call.out, [x], factors=gains)
    flow.effect(call, Effect.NEEDS_ZERO)
    if any(axis >= x.ndim - normalized for array in flow.of(x) for axis in array.axes):
        flow.count(call, x, kind)
    else:
        flow.effect(call, Effect.ELEMENTWISE)


@rule("batch_norm", "instance_norm")
def _batch_norm(call: Call, flow: Flow) -> None:
    """Each channel by itself, with numbers of its own. Zero becomes a constant, which the gain then takes away."""
    names = ("running_mean", "running_var", "weight", "bias")
    mean, variance, weight, bias = (call.argument(at + 1, name) for at, name in enumerate(names))
    alike(flow, call.out, call.values[:1])
    _check_channels(call, flow)
    for vector, role in (
        (mean, Role.SCALES),
        (variance, Role.SCALES),
        (weight, Role.CARRIES),
        (bias, Role.CARRIES),
    ):
        if isinstance(vector, Value):
            _tie_channels(call, flow, vector, role)
    flow.effect(call, Effect.ELEMENTWISE)


@rule("group_norm")
def _group_norm(call: Call, flow: Flow) -> None:
    x, weight, bias = call.argument(0, "input"), call.argument(2, "weight"), call.argument(3, "bias")
    alike(flow, call.out, [x])
    _check_channels(call, flow)
    for vector in (weight, bias):
        if isinstance(vector, Value):
            _tie_channels(call, flow, vector, Role.CARRIES)
    flow.effect(call, Effect.NEEDS_ZERO)
    flow.count(call, x, "group_norm")


def _check_channels(call: Call, flow: Flow) -> None:
    if any(array.axes not in ((1,), ()) for array in flow.of(call.out)):
        raise refusal(call, flow.place, "they do not lie along its channels, axis 1")


def _tie_channels(call: Call, flow: Flow, vector: Value, role: Role) -> None:
    for array in flow.of(call.out):
        flow.spare(vector, array.moved(array.ids.flatten(), role))
    for array in flow.of(vector):
        flow.join(call.out, array.moved(_channels(array.ids, call.out.ndim), Role.CARRIES))


def _channels(ids: Tensor, ndim: int) -> Tensor:
    return ids.reshape(1, -1, *[1] * (ndim - 2))


@rule("normalize")
def _normalize(call: Call, flow: Flow) -> None:
    """To length 1: over the features, zeros count for nothing; over another axis, each feature is scaled by itself."""
    x = call.argument(0, "input")
    order, dim = call.argument(1, "p", 2.0), call.argument(2, "dim", 1)
    alike(flow, call.out, [x])
    over = {axis % x.ndim for axis in (dim if isinstance(dim, tuple | list) else [dim])}
    mixes = any(set(array.axes) & over for array in flow.of(x))
    flow.effect(call, Effect.NEEDS_ZERO if mixes else Effect.ELEMENTWISE)
    if mixes and not order > 0:
        flow.count(call, x, f"a norm of order {order}")


@rule("weight_norm")
def _weight_norm(call: Call, flow: Flow) -> None:
    """A weight as direction and length (the old kind, computed by a hook); columns share a length."""
    direction, length = call.values[:2]
    axis = call.argument(2, "dim", 0)
    for array in (*flow.of(call.out), *flow.of(direction)):
        if set(array.axes) - {axis}:
            raise refusal(
                call, flow.place, "a zeroed column would change the length of its rows",
                "Make the weight plain with torch.nn.utils.remove_weight_norm, or use "
                "torch.nn.utils.parametrizations.weight_norm, which an edit keeps.",
            )  # fmt: skip
    alike(flow, call.out, [direction], factors=[length], role=Role.SCALES)
    flow.effect(call, Effect.ELEMENTWISE)
