"""Operations that put numbers elsewhere and change none: views, splits, joins, indexing.

Where a number goes is found by letting the operation itself move the features, and back by letting it move places.
"""

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from excise.surgery.features import FREE
from excise.surgery.flow import Effect, Flow, refusal
from excise.surgery.operations.registry import rule
from excise.surgery.recording import Call, Value, map_nested

__all__ = ["FILLS", "MOVEMENT"]

MOVEMENT = (
    "view", "reshape", "view_as", "reshape_as", "flatten", "unflatten", "ravel", "transpose", "permute", "swapaxes",
    "swapdims", "movedim", "moveaxis", "t", "T", "mT", "H", "mH", "adjoint", "squeeze", "unsqueeze", "expand",
    "expand_as",
    "broadcast_to", "broadcast_tensors", "repeat", "repeat_interleave", "tile", "cat", "concat", "concatenate", "stack",
    "hstack", "vstack", "dstack", "split", "split_with_sizes", "tensor_split", "chunk", "unbind", "iter", "getitem",
    "setitem", "narrow", "select", "index_select", "gather", "take_along_dim", "flip", "roll", "rot90", "pixel_shuffle",
    "pixel_unshuffle", "channel_shuffle", "pad", "diagonal", "unfold", "atleast_2d", "atleast_3d", "masked_select",
    "slice_scatter", "select_scatter", "index_copy", "index_put", "as_strided", "unsafe_split", "unsafe_chunk",
)  # fmt: skip


_NOWHERE = 2**62
FILLS = {
    "cat",
    "concat",
    "concatenate",
    "pad",
    "setitem",
    "slice_scatter",
    "select_scatter",
    "index_copy",
    "index_put",
}


@rule(*MOVEMENT)
def _movement(call: Call, flow: Flow) -> None:
    flow.effect(call, Effect.MOVES)
    moved = [value for value in dict.fromkeys(call.values) if value.data is None]
    for source in moved:
        for array in flow.of(source):
            full = array.ids.expand(source.shape)
            for output, ids in zip(call.outputs, _run(call, source, full), strict=True):
                filled = _filled(ids, array.ids) if call.name in FILLS else ids
                flow.join(output, array.moved(filled))
    if any(flow.of(output) for output in call.outputs):
        for source in moved:
            _back(call, flow, source)


def _back(call: Call, flow: Flow, source: Value) -> None:
    """From outputs to an input: each of its numbers belongs to the features of the places it went to."""
    size = int(torch.Size(source.shape).numel())
    origins = _run(call, source, torch.arange(1, size + 1).reshape(source.shape))
    for output, origin in zip(call.outputs, origins, strict=True):
        came = origin.flatten()
        for array in flow.of(output):
            features = array.ids.expand(output.shape).flatten()
            least = torch.full((size + 1,), _NOWHERE).scatter_reduce(0, came, features, "amin")
            most = torch.zeros(size + 1, dtype=torch.int64).scatter_reduce(0, came, features, "amax")
            if flow.looking_back:
                ids = torch.where(least == most, most, 0)
                for number in ((least != most) & (most > 0)).nonzero().flatten().tolist():
                    ids[number] = flow.features.group(features[came == number].tolist()) if number else 0
            else:
                ids = most
                flow.features.join(most[came], torch.where(came > 0, features, 0))
            ids = torch.where(least == _NOWHERE, FREE if flow.looking_back else 0, ids)[1:].reshape(
                source.shape
            )
            flow.join(
                source,
                array.moved(ids if flow.looking_back or not _only_slices(call) else _filled(ids, array.ids)),
            )


def _only_slices(call: Call) -> bool:
    """Whether it takes stretches along axes, and no single places, which would hold features of their own."""
    if call.name != "getitem":
        return call.name == "narrow"
    index = call.args[1] if isinstance(call.args[1], tuple) else (call.args[1],)
    return all(part is None or part is Ellipsis or isinstance(part, slice) for part in index)


def _filled(ids: Tensor, before: Tensor) -> Tensor:
    """`ids` with places that came from elsewhere filled, along axes on which the features do not differ.

    Where a token is put in front of a sequence, or an image is padded, the new places hold the same features.
    """
    if before[before > 0].unique().numel() < 2:
        return ids
    for axis, size in enumerate(ids.shape):
        if size > 1:
            most = ids.amax(axis, keepdim=True)
            if bool(((ids == most) | (ids == 0)).all()):
                ids = most
    return ids


def _run(call: Call, source: Value, numbers: Tensor) -> list[Tensor]:
    """What the operation makes of whole numbers in the place of one of its tensors, and of zeros elsewhere."""

    def replaced(leaf: object) -> object:
        if not isinstance(leaf, Value):
            return leaf
        if leaf.data is not None:
            return leaf.data.cpu()
        return numbers.clone() if leaf is source else torch.zeros(leaf.shape, dtype=torch.int64)

    args, kwargs = map_nested(call.args, replaced), map_nested(call.kwargs, replaced)
    if call.name == "pad":  # Filled with zeros, whatever the model fills with.
        kwargs.pop("value", None)
        args = args[:3]
    try:
        result = call.function(*args, **kwargs)
    except NotImplementedError:  # Some functions know numbers with a point only, such as `functional.unfold`.
        args, kwargs = map_nested(args, _with_a_point), map_nested(kwargs, _with_a_point)
        result = call.function(*args, **kwargs).long()
    return [args[0]] if call.in_place else [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]


def _with_a_point(leaf: object) -> object:
    return leaf.double() if isinstance(leaf, Tensor) and leaf.dtype == torch.int64 else leaf


@rule("glu")
def _glu(call: Call, flow: Flow) -> None:
    """One half times the sigmoid of the other: a number of the result goes with either."""
    x, dim = call.values[0], call.argument(1, "dim", -1)
    axis, half = dim % x.ndim, call.out.shape[dim]
    for array in flow.of(x):
        if axis not in array.axes:
            flow.join(call.out, array)
            continue
        for part in array.ids.split(half, axis):
            flow.join(call.out, array.moved(part), either=True)
    for array in flow.of(call.out):
        flow.spare(
            x, array.moved(torch.cat([array.ids, array.ids], axis) if axis in array.axes else array.ids)
        )
    flow.effect(call, Effect.MOVES)


@rule("index_add", "scatter_add", "scatter", "index_fill", "scatter_reduce", "put")
def _into_places(call: Call, flow: Flow) -> None:
    """Numbers added at, or put into, some places along one axis; the features lie along another."""
    x, *others = [value for value in call.values if value.data is None]
    dim = call.argument(1, "dim") % x.ndim
    for value in (x, *others, call.out):
        for array in flow.of(value):
            if dim in array.axes or value.ndim != x.ndim:
                raise refusal(call, flow.place, "it moves them along their own axis")
            for other in (x, *others, call.out):
                flow.join(other, array)
    flow.effect(call, Effect.MOVES)


@rule(
    "zeros",
    "ones",
    "empty",
    "full",
    "rand",
    "randn",
    "new_zeros",
    "new_ones",
    "new_empty",
    "new_full",
    "arange",
    "eye",
)
def _made_here(call: Call, flow: Flow) -> None:
    """A tensor made in the forward pass; whatever it is added to or multiplied with decides what it is."""
    flow.effect(call, Effect.ELEMENTWISE)
