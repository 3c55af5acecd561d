"""Part of a removal: a share of the features is taken away, the rest stays.

It has a weight form where weights write the features by sums alone: then each writer gives less. Behind a nonlinear
function, or where the features come through a norm, less at the writers is not less of the features, and only an
intervention does it.
"""

from excise.errors import UnfollowableError
from excise.surgery.flow import Effect, Role
from excise.surgery.planning import fills_of
from excise.surgery.removal import Removal
from excise.surgery.rewrite import Fill, Rewrite

__all__ = ["LINEAR", "scaling"]

LINEAR = {
    "add", "radd", "sub", "rsub", "subtract", "neg", "dropout", "clone", "contiguous", "detach", "to", "float",
    "double",
    "data", "positive", "pos",
}  # fmt: skip


def scaling(removal: Removal, strength: float) -> Rewrite:
    """Multiply what writes the features by 1 - strength; what reads them stays.

    Raises:
        UnfollowableError: they are not written by sums alone.
    """
    flow = removal.flow
    for call in flow.recording.calls:
        if not any(flow.held.get(output) and removal.touches(output) for output in call.outputs):
            continue
        effect = flow.effects.get(call)
        if effect is Effect.NEEDS_ZERO or (effect is Effect.ELEMENTWISE and call.name not in LINEAR):
            raise UnfollowableError(
                str(call),
                f"part of the features of {flow.place!r} cannot be taken away in the weights, since "
                f"{call.name!r} is not "
                "linear: half of what goes in does not give half of what comes out. Remove them "
                "whole, or suppress them in "
                "part while the model runs: `excise.suppress(model, layer, direction, "
                f"excise.BoundedFalloff(0, {strength}, 0))`.",
            )
    fills: list[Fill] = []
    for name, value in flow.recording.leaves.items():
        held = flow.held.get(value, {}).values()
        for array in held:
            mask = removal.is_gone(array)
            if array.role is Role.CARRIES and bool(mask.any()) and value.dtype.is_floating_point:
                fills.append(
                    fills_of(flow.recording, name, value, mask).model_copy(update={"factor": 1 - strength})
                )
    return Rewrite(fills=tuple(fills))
