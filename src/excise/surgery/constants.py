"""What removed features leave behind: constants, kept where a user asks for it.

Removal takes the features out of every tensor that carries them. Where a function makes a constant of zero (a sigmoid
0.5, a BatchNorm its bias), the constant goes as well. Who wants "zero this activation, and let the rest of the model
run on" instead, wants the constant to stay: it is then folded into the biases of the weights that read it, which is
exact as long as it is one: the same for every sample and place.
"""

from math import prod
from typing import Any

import torch
from torch import Tensor

from excise.errors import UnfollowableError
from excise.surgery.examples import Examples
from excise.surgery.flow import Effect, refusal
from excise.surgery.recording import Call, Value
from excise.surgery.removal import Removal
from excise.surgery.rewrite import Shift
from excise.surgery.verify import outputs_zeroed_at

__all__ = ["kept_constants"]


def kept_constants(
    removal: Removal, places: list[Value], examples: Examples
) -> tuple[list[Shift], list[Tensor]]:
    """The biases that take up the constants, and what the model gives when the features are zeroed at their place only.

    Args:
        removal: the removal.
        places: the tensors of the place.
        examples: what the model is run on.

    Raises:
        UnfollowableError: what is left is no constant, or nothing can take it up; what is in the way is named.
    """
    flow = removal.flow
    readers = [call for call in flow.recording.calls if _reads(call, removal)]
    reference, inputs = outputs_zeroed_at(removal, places, [call.serial for call in readers], examples)
    found: dict[str, Tensor] = {}
    for call in readers:
        added = _added(call, removal, inputs[call.serial])
        if not bool(added.any()):
            continue
        bias = next((value for value in call.values if value.source == "leaf" and value.ndim == 1), None)
        if bias is None:
            raise refusal(
                call, flow.place, "it has no bias that could take up the constants which they leave",
                "Give it one, of zeros; or remove the constants as well (`keep_constants=False`).",
            )  # fmt: skip
        if bias.name in found and not torch.allclose(found[bias.name], added):
            raise refusal(
                call, flow.place, "it is used several times, and the constants which they leave differ",
                "Remove the constants as well (`keep_constants=False`).",
            )  # fmt: skip
        found[bias.name] = added
    return [Shift(name=name, by=tuple(added.tolist())) for name, added in found.items()], reference


def _reads(call: Call, removal: Removal) -> bool:
    if removal.flow.effects.get(call) is not Effect.READS or call.name.startswith(
        ("embedding", "lstm", "gru", "rnn")
    ):
        return False
    x = call.values[1] if call.name in ("addmm", "baddbmm") else call.values[0]
    return removal.touches(x)


def _added(call: Call, removal: Removal, given: tuple[Any, ...]) -> Tensor:
    """What the removed features of an input add to every output of a product, `[out]`."""
    position = 1 if call.name in ("addmm", "baddbmm") else 0
    x, weight = given[position], given[position + 1]
    value = call.values[position]
    masks = [mask for mask, _ in removal.masks(value)]
    if len(masks) != 1 or sum(size > 1 for size in masks[0].shape) != 1:
        raise refusal(
            call, removal.flow.place, "the constants which they leave cannot be followed there",
            "Remove the constants as well (`keep_constants=False`).",
        )  # fmt: skip
    axis = next(at for at, size in enumerate(masks[0].shape) if size > 1)
    gone = masks[0].flatten().nonzero().flatten().to(x.device)
    left = x.double().movedim(axis, -1)[..., gone].reshape(-1, len(gone))
    if not torch.allclose(left, left[:1].expand_as(left), rtol=1e-5, atol=1e-7):
        raise UnfollowableError(
            str(call),
            f"what the features of {removal.flow.place!r} leave there is no constant (other weights write to the same "
            f"numbers, or a norm mixes them), so that no bias can take it up. Remove it as well "
            f"(`keep_constants=False`), or zero the features while the model runs (`excise.suppress`).",
        )
    constant = left[0]
    if call.name.startswith("conv"):
        return _by_convolution(call, removal, weight, constant, gone)
    if call.name == "linear":
        return weight.double()[:, gone] @ constant
    return constant @ weight.double()[..., gone, :].reshape(len(gone), -1)


def _by_convolution(call: Call, removal: Removal, weight: Tensor, constant: Tensor, gone: Tensor) -> Tensor:
    padding = call.argument(4, "padding", 0)
    padded = padding != 0 and (not isinstance(padding, tuple | list) or any(padding)) and padding != "valid"
    if not bool(constant.any()):
        return weight.new_zeros(weight.shape[0])
    if padded or "transpose" in call.name or call.argument(6, "groups", 1) != 1:
        raise refusal(
            call, removal.flow.place,
            "a constant which they leave is none at its edges, where it is padded, or in its groups",
            "Remove the constants as well (`keep_constants=False`).",
        )  # fmt: skip
    taken = weight.double()[:, gone]
    return taken.reshape(*taken.shape[:2], prod(taken.shape[2:])).sum(-1) @ constant
