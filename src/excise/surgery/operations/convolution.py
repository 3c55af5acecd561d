"""Convolutions, plain, grouped, depthwise and transposed, in one to three dimensions."""

from torch import Tensor

from excise.surgery.flow import Array, Effect, Flow, Role, refusal
from excise.surgery.operations.registry import rule
from excise.surgery.recording import Call, Value

__all__: list[str] = []


@rule("conv1d", "conv2d", "conv3d")
def _convolution(call: Call, flow: Flow) -> None:
    _convolve(call, flow, call.argument(6, "groups", 1), transposed=False)


@rule("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def _transposed(call: Call, flow: Flow) -> None:
    _convolve(call, flow, call.argument(6, "groups", 1), transposed=True)


def _convolve(call: Call, flow: Flow, groups: int, *, transposed: bool) -> None:
    """The weight is `[out, in / groups, ...]`; of a transposed convolution `[in, out / groups, ...]`."""
    x, weight, bias = (call.argument(at, name) for at, name in enumerate(("input", "weight", "bias")))
    first, second = weight.shape[0] // groups, weight.shape[1]
    ins, outs = (first, second) if transposed else (second, first)
    channel = x.ndim - weight.ndim + 1

    def on_weight(vector: Tensor, *, rows: bool) -> Tensor:
        """Features of channels `[groups, in or out]` as an array over the weight, whose rows come in groups."""
        if rows:
            return vector.reshape(groups * first, 1)
        spread = vector[:, None, :].expand(groups, first, second).reshape(groups * first, second)
        return spread if groups > 1 else spread[:1]

    for array in flow.of(x):
        if array.axes and channel not in array.axes:
            raise refusal(call, flow.place, "it mixes what lies along the axes it moves over")
        vector = _by_channel(flow, array, channel, groups * ins).reshape(groups, ins)
        flow.spare(weight, array.moved(_over(weight, on_weight(vector, rows=transposed)), Role.READS))
        if ins == 1 and groups > 1:
            if set(array.axes) - {channel}:
                raise refusal(call, flow.place, "it mixes what lies along the axes it moves over")
            passed = vector.expand(groups, outs).reshape(-1)
            flow.join(call.out, array.moved(_along(call.out, channel, passed), Role.CARRIES))
    for array in flow.of(call.out):
        vector = _by_channel(flow, array, channel, groups * outs).reshape(groups, outs)
        written = array.moved(_over(weight, on_weight(vector, rows=not transposed)), Role.CARRIES)
        tie = flow.spare if set(array.axes) - {channel} else flow.join
        tie(weight, written)
        if isinstance(bias, Value):
            tie(bias, array.moved(vector.flatten(), Role.CARRIES))
        if groups > 1:
            whole = flow.common(vector, [1]).expand(groups, ins).reshape(-1)
            flow.spare(x, array.moved(_along(x, channel, whole), Role.CARRIES))
    flow.effect(call, Effect.READS)


def _by_channel(flow: Flow, array: Array, channel: int, channels: int) -> Tensor:
    """The features of each channel; of one in which they differ from place to place, what goes when all of them go."""
    return flow.common(array.ids, [axis for axis in array.axes if axis != channel]).flatten().expand(channels)


def _over(weight: Value, ids: Tensor) -> Tensor:
    return ids.reshape(*ids.shape, *[1] * (weight.ndim - ids.ndim))


def _along(value: Value, axis: int, vector: Tensor) -> Tensor:
    shape = [1] * value.ndim
    shape[axis] = vector.numel()
    return vector.reshape(shape)
