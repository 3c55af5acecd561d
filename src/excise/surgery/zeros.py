"""Do removed features stay zero on their way? Only then can an operation that mixes them leave them out exactly.

Ablated weights write zeros. A sigmoid makes 0.5 of a zero; where a weight reads that, its column is zero too and
nothing is left of it, but a norm would count it. So the state of the removed features is followed from operation to
operation, and of functions of single numbers it is tried out what they make of zeros.
"""

import warnings

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from excise.surgery.flow import Effect, Role, refusal
from excise.surgery.operations.movement import FILLS
from excise.surgery.recording import Call, Value, map_nested
from excise.surgery.removal import Removal

__all__ = ["check_zeros", "stays_zero"]

_PRODUCTS = {"linear", "matmul", "bmm", "mm", "einsum", "scaled_dot_product_attention"}


def check_zeros(removal: Removal) -> None:
    """Refuse a removal in which an operation counts what is left of removed features.

    Raises:
        UnfollowableError: it does; the operation that made a constant of them is named.
    """
    flow = removal.flow
    moved: dict[Value, Call] = {}
    for call in flow.recording.calls:
        if call.name in ("rms_norm_module", "narrowed_layer_norm") or not any(
            removal.touches(output) for output in call.outputs
        ):
            _check(call, removal, moved)
            continue
        effect = flow.effects.get(call)
        _check(call, removal, moved)
        if effect is Effect.ELEMENTWISE:
            if not _keeps_zero(call, removal, moved):
                moved[call.out] = next((moved[value] for value in call.values if value in moved), call)
        elif call.name in ("softmax", "softmin", "log_softmax"):
            moved[call.out] = call
        elif effect is Effect.MOVES or call.name in ("normalize",):
            culprit = next(
                (moved[value] for value in call.values if value in moved and removal.touches(value)), None
            )
            if culprit is not None:
                moved.update(dict.fromkeys(call.outputs, culprit))


def stays_zero(call: Call, removal: Removal) -> bool:
    """Whether removed features that are zero when they come to an operation must be zero behind it.

    Only of operations that take nothing but tensors which carry features, and put them elsewhere or work number by
    number.
    """
    flow = removal.flow
    taken = [value for value in call.values if value.dtype.is_floating_point]
    if (
        call.name in FILLS
        or not taken
        or not all(value.source == "call" and flow.held.get(value) for value in taken)
    ):
        return False
    effect = flow.effects.get(call)
    return effect is Effect.MOVES or (effect is Effect.ELEMENTWISE and _keeps_zero(call, removal, {}))


def _check(call: Call, removal: Removal, moved: dict[Value, Call]) -> None:
    if removal.flow.effects.get(call) is not Effect.NEEDS_ZERO:
        return
    hot = [value for value in call.values if value in moved and removal.touches(value)]
    cold = [
        value
        for value in call.values
        if value not in moved and removal.touches(value) and value.source == "call"
    ]
    # In a product one zero is enough.
    if hot and not (cold and call.name in _PRODUCTS):
        culprit = moved[hot[0]]
        raise refusal(
            culprit, removal.flow.place,
            f"it turns a removed feature from zero into another number, which {str(call)!r} then counts; no edit of "
            f"weights removes that",
            "Suppress the features while the model runs instead (`excise.suppress`), or choose a layer behind it.",
        )  # fmt: skip


def _keeps_zero(call: Call, removal: Removal, moved: dict[Value, Call]) -> bool:
    """What the operation makes of zeros in the place of what is removed, and of other numbers elsewhere."""
    for other in (0.7, -1.3):

        def tried(leaf: object, other: float = other) -> object:
            if not isinstance(leaf, Value):
                return leaf
            if leaf.dtype == torch.bool:
                return torch.tensor([other > 0])
            if not leaf.dtype.is_floating_point:
                return torch.tensor([1], dtype=leaf.dtype)
            zero = leaf not in moved and any(role is not Role.SCALES for _, role in removal.masks(leaf))
            return torch.tensor([0.0 if zero else other], dtype=torch.float64)

        if call.name in ("batch_norm", "instance_norm", "layer_norm", "rms_norm", "group_norm"):
            return all(removal.touches(value) for value in call.values[-2:] if value.source == "leaf")
        try:
            with warnings.catch_warnings():  # One number has no spread, and torch says so.
                warnings.simplefilter("ignore")
                result = call.function(*map_nested(call.args, tried), **map_nested(call.kwargs, tried))
        # Some functions want more than one number; they are those that change none.
        except (RuntimeError, TypeError, IndexError, ValueError):
            return not any(value in moved for value in call.values)
        leaves = [
            leaf
            for leaf in tree_leaves(call.args[0] if result is None else result)
            if isinstance(leaf, Tensor)
        ]
        if not all(bool((leaf == 0).all()) for leaf in leaves):
            return False
    return True
