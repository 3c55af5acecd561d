"""What a forward pass costs, before and after an edit."""

from collections.abc import Callable
from math import prod

from excise.surgery.recording import Call, Recording, Value
from excise.surgery.removal import Removal

__all__ = ["flops"]


def flops(recording: Recording, removal: Removal | None = None) -> int:
    """Multiplications and additions of the products in a recorded pass; those of norms and functions are left out.

    Args:
        recording: the pass, on its example inputs.
        removal: what is pruned from it; None for the pass as it was.
    """

    def shape(value: Value) -> tuple[int, ...]:
        return value.shape if removal is None else removal.new_shape(value)

    return sum(_of(call, shape) for call in recording.calls)


def _of(call: Call, size: Callable[[Value], tuple[int, ...]]) -> int:
    match call.name:
        case "linear" | "matmul" | "mm" | "bmm" | "mv":
            return 2 * prod(size(call.out)) * size(call.values[0])[-1]
        case "addmm" | "baddbmm":
            return 2 * prod(size(call.out)) * size(call.values[1])[-1]
        case "scaled_dot_product_attention":
            q, k, v = call.values[:3]
            scores = prod(size(q)[:-1]) * size(k)[-2]
            return 2 * scores * (size(q)[-1] + size(v)[-1])
        case name if name.startswith("conv_transpose"):
            return 2 * prod(size(call.values[0])) * prod(size(call.argument(1, "weight"))[1:])
        case name if name.startswith("conv"):
            return 2 * prod(size(call.out)) * prod(size(call.argument(1, "weight"))[1:])
        case _:
            return 0
