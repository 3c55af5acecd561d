"""Scaled dot-product attention: `softmax(q k^T) v`, with queries that may share keys and values."""

from torch import Tensor

from excise.surgery.flow import Effect, Flow, Role
from excise.surgery.operations.broadcast import contract
from excise.surgery.operations.registry import rule
from excise.surgery.recording import Call, Value

__all__: list[str] = []


@rule("scaled_dot_product_attention")
def _attention(call: Call, flow: Flow) -> None:
    """Head by head: q and k meet in a sum over their features, v gives its features on.

    A head whose values are all gone has no use for its queries and keys. Where keys and values are shared by several
    heads of queries (`enable_gqa`), heads are counted as pairs of a group and a place in it.
    """
    q, k, v = (call.argument(at, name) for at, name in enumerate(("query", "key", "value")))
    out = call.out
    shared = bool(call.kwargs.get("enable_gqa")) and q.ndim > 2 and q.shape[-3] != k.shape[-3]
    mask = call.argument(3, "attn_mask")
    if isinstance(mask, Value):  # A bias for each head serves that head.
        for array in flow.of(call.out):
            head = flow.common(array.ids, [axis for axis in array.axes if axis != q.ndim - 3])
            flow.spare(mask, array.moved(head))
    batch = tuple(f"b{place}" for place in range(q.ndim - 2, 0, -1))
    if shared:
        _shared(flow, q, k, v, out)
    else:
        scores = Value((*q.shape[:-1], k.shape[-2]), q.dtype, "constant")
        contract(flow, [(q, (*batch, "s", "d")), (k, (*batch, "t", "d"))], (scores, (*batch, "s", "t")))
        terms = [(v, (*batch, "t", "e")), (q, (*batch, "s", "d")), (k, (*batch, "u", "d"))]
        contract(flow, terms, (out, (*batch, "s", "e")))
    flow.effect(call, Effect.NEEDS_ZERO)


def _shared(flow: Flow, q: Value, k: Value, v: Value, out: Value) -> None:
    heads, groups = q.shape[-3], k.shape[-3]
    each = heads // groups
    axis = q.ndim - 3

    def shown(ids: Tensor) -> Tensor:
        """Features of shared heads as those of all heads."""
        return ids.repeat_interleave(each, dim=axis) if ids.shape[axis] == groups else ids

    def merged(ids: Tensor) -> Tensor:
        """Features of all heads as those of the shared heads: what goes when it goes from each head of a group."""
        if ids.shape[axis] != heads:
            return ids
        split = ids.reshape(*ids.shape[:axis], groups, each, *ids.shape[axis + 1 :])
        return flow.common(split, [axis + 1]).squeeze(axis + 1)

    for array in flow.of(v):
        flow.join(out, array.moved(shown(array.ids)))
    for array in flow.of(out):
        if out.ndim - 1 in array.axes:
            flow.join(v, array.moved(merged(array.ids)))
        if axis in array.axes:
            head = flow.common(array.ids, [place for place in array.axes if place != axis])
            flow.spare(q, array.moved(head))
            flow.spare(k, array.moved(merged(head)))
    for array in flow.of(q):
        if q.ndim - 1 in array.axes:
            flow.spare(k, array.moved(merged(array.ids), Role.READS))
    for array in flow.of(k):
        if k.ndim - 1 in array.axes:
            flow.spare(q, array.moved(shown(array.ids), Role.READS))
