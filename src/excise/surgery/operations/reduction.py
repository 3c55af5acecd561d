"""Operations that sum, average or compare along axes."""

from collections.abc import Iterable

from excise.surgery.flow import Effect, Flow, refusal
from excise.surgery.operations.broadcast import alike, spread
from excise.surgery.operations.registry import rule
from excise.surgery.recording import Call

__all__: list[str] = []

_ADDS = ("sum", "norm", "vector_norm", "linalg_norm", "linalg_vector_norm", "count_nonzero")
_COUNTS = (
    "mean", "var", "std", "var_mean", "std_mean", "amax", "amin", "max", "min", "median", "quantile", "prod",
    "logsumexp",
    "all", "any", "argmax", "argmin", "nanmean",
)  # fmt: skip
_SAME_SHAPE = (
    "softmax",
    "log_softmax",
    "softmin",
    "cumsum",
    "cumprod",
    "logcumsumexp",
    "sort",
    "argsort",
    "topk",
    "cummax",
    "cummin",
)


@rule(*_ADDS)
def _adds(call: Call, flow: Flow) -> None:
    """Zeros count for nothing in a sum and in a norm of an order above 0."""
    reduced, kept = _axes(call)
    over = _reduce(call, flow, reduced, keepdim=kept)
    order = call.argument(1, "p" if call.name == "norm" else "ord", 2) if call.name != "sum" else 2
    if over and isinstance(order, int | float) and not order > 0:
        flow.count(call, call.values[0], f"a norm of order {order}")
    flow.effect(call, Effect.NEEDS_ZERO if over else Effect.ELEMENTWISE)


@rule(*_COUNTS)
def _counts(call: Call, flow: Flow) -> None:
    x = call.values[0]
    reduced, kept = _axes(call)
    if call.name in ("max", "min") and len(call.values) > 1:  # the larger of two tensors
        reduced = set[int]()
    if _reduce(call, flow, reduced, keepdim=kept):
        flow.count(call, x, call.name)
        flow.effect(call, Effect.NEEDS_ZERO)
    else:
        flow.effect(call, Effect.ELEMENTWISE)


@rule(*_SAME_SHAPE)
def _same_shape(call: Call, flow: Flow) -> None:
    """Each number of the result belongs where it stands, and depends on the others along one axis."""
    x = call.values[0]
    dim = call.argument(2 if call.name == "topk" else 1, "dim", -1)
    over = (-1 if dim is None else dim) % x.ndim
    mixes = any(over in array.axes for array in flow.of(x))
    if mixes and call.name not in ("softmax", "log_softmax", "softmin"):
        raise refusal(call, flow.place, "it compares them with each other")
    for output in call.outputs:
        alike(flow, output, [x])
    if mixes:
        flow.count(call, x, call.name)
    flow.effect(call, Effect.NEEDS_ZERO if mixes else Effect.MOVES)


def _axes(call: Call) -> tuple[set[int], bool]:
    """The axes that are reduced, and whether they stay as axes of size 1."""
    x = call.values[0]
    position = (
        2 if call.name in ("norm", "vector_norm", "linalg_norm", "linalg_vector_norm", "quantile") else 1
    )
    dim = call.argument(position, "dim", call.kwargs.get("axis"))
    kept = bool(call.argument(position + 1, "keepdim", False))
    if isinstance(dim, bool) or dim is None:
        return set(range(x.ndim)), kept
    given: Iterable[int] = dim if isinstance(dim, tuple | list) else [dim]
    axes = {int(axis) % x.ndim for axis in given if isinstance(axis, int)}
    return axes or set(range(x.ndim)), kept


def _reduce(call: Call, flow: Flow, reduced: set[int], *, keepdim: bool) -> bool:
    """Carry what lies along the other axes; whether features lie along those that are reduced."""
    x = call.values[0]
    letters = tuple(str(axis) for axis in range(x.ndim))
    left = letters if keepdim else tuple(str(axis) for axis in range(x.ndim) if axis not in reduced)
    found = False
    for array in flow.of(x):
        if set(array.axes) & reduced:
            found = True
            continue
        for output in call.outputs:
            flow.join(output, array.moved(spread(array.ids, letters, left)))
    for output in call.outputs:
        for array in flow.of(output):
            flow.join(x, array.moved(spread(array.ids, left, letters)))
    return found
