"""Norms that know how many features there are, and what they need to compute the same with fewer."""

from dataclasses import dataclass, field

import torch
from torch import nn

from excise.errors import DimsError
from excise.surgery.flow import ALL_LAYERS, Count, refusal
from excise.surgery.removal import Removal
from excise.surgery.rewrite import Number, Rescale, Swap

__all__ = ["Adaptations", "adapt"]


@dataclass
class Adaptations:
    """Steps that let a pruned model compute what the ablated one does, and whether weights were folded for it."""

    swaps: list[Swap] = field(default_factory=list)
    rescales: list[Rescale] = field(default_factory=list)
    numbers: list[Number] = field(default_factory=list)
    folded: list[str] = field(default_factory=list)


def adapt(removal: Removal) -> Adaptations:
    """What each operation that counts the removed features needs.

    Raises:
        UnfollowableError: an operation counts them and nothing can be done.
        DimsError: a group of channels would keep some of its channels.
    """
    found = Adaptations()
    done: set[str] = set()
    for count in removal.flow.counts.values():
        cuts = removal.cuts(count.value)
        if not cuts or count.call.module in done:
            continue
        module = removal.flow.recording.modules[count.call.module]
        left, width = cuts[0].new_size, cuts[0].size
        if count.kind == "layer_norm" and type(module) is nn.LayerNorm and len(module.normalized_shape) == 1:
            found.swaps.append(Swap(path=count.call.module, kind="layer_norm", width=width))
        elif count.kind == "rms_norm" and count.call.module in removal.flow.recording.rms_norms:
            _fold(count, removal, found, width, left)
        elif count.kind == "group_norm" and isinstance(module, nn.GroupNorm):
            found.numbers.append(_groups(count, removal, module))
        elif count.kind == ALL_LAYERS:
            raise refusal(
                count.call, removal.flow.place, "its layers have one width, of which only the last could get narrower",
                "Ablate instead, or give each layer a module of its own.",
            )  # fmt: skip
        else:
            raise refusal(
                count.call, removal.flow.place,
                f"{_what(count)} depends on how many features there are, so that the pruned model would "
                "compute another",
                "Ablate instead of pruning. If it is part of a norm, put that into a module of its own (an "
                "nn.LayerNorm, an nn.RMSNorm, or one that computes the same from `weight` and an eps attribute), "
                "which an edit adapts.",
            )  # fmt: skip
        done.add(count.call.module)
    return found


def _what(count: Count) -> str:
    return (
        "what it gives"
        if count.kind in ("layer_norm", "rms_norm", "group_norm")
        else f"its result ({count.kind})"
    )


def _fold(count: Count, removal: Removal, found: Adaptations, width: int, left: int) -> None:
    """Of d features k are gone: gain times sqrt(d / (d - k)), eps times d / (d - k)."""
    path = count.call.module
    attribute, offset = removal.flow.recording.rms_norms[path]
    module = removal.flow.recording.modules[path]
    ratio = width / left
    name = next(iter(dict(module.named_parameters(recurse=False))))
    found.rescales.append(Rescale(name=f"{path}.{name}", factor=ratio**0.5, offset=offset))
    before = getattr(module, attribute)
    eps = torch.finfo(module.get_parameter(name).dtype).eps if before is None else before
    found.numbers.append(Number(path=path, attribute=attribute, before=before, after=eps * ratio))
    found.folded.append(path)


def _groups(count: Count, removal: Removal, module: nn.GroupNorm) -> Number:
    """Whole groups of channels can go."""
    size = module.num_channels // module.num_groups
    channels = removal.cuts(count.value)[0]
    kept = set(channels.kept.flatten().tolist())
    groups = [
        [channel in kept for channel in range(at, at + size)] for at in range(0, module.num_channels, size)
    ]
    if any(any(group) != all(group) for group in groups):
        raise DimsError(
            f"pruning would leave part of a group of {count.call.module!r}, whose mean and variance are over {size} "
            f"channels each: give whole groups (channels 0-{size - 1}, {size}-{2 * size - 1}, ...), or ablate instead."
        )
    after = sum(all(group) for group in groups)
    return Number(path=count.call.module, attribute="num_groups", before=module.num_groups, after=after)
