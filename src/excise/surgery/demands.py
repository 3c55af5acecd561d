"""Attributes of modules that hold sizes: which must follow when tensors get narrower.

`x.view(b, s, self.n_heads, -1)` gives a tensor whose third axis is as long as `n_heads` says. When that axis gets
shorter, `n_heads` must say so. Recorded arguments remember which attribute they are (see `origins`); what the axis will
be is known; so the attribute's new value is. An attribute of which two axes demand different things forbids the edit.
"""

from collections.abc import Iterator
from typing import Any

from excise.errors import DimsError, UnfollowableError
from excise.surgery.origins import NotedInt, Origin
from excise.surgery.recording import Call, Value, map_nested
from excise.surgery.removal import Removal
from excise.surgery.rewrite import Number

__all__ = ["follow_groups", "follow_sizes"]

_SHAPED = {
    "view", "reshape", "expand", "broadcast_to", "zeros", "ones", "empty", "full", "rand", "randn", "new_zeros",
    "new_ones", "new_empty", "new_full",
}  # fmt: skip


def follow_sizes(removal: Removal) -> list[Number]:
    """The attributes that change.

    Raises:
        UnfollowableError: one is used for an axis that gets shorter and for one that does not.
    """
    wanted: dict[Origin, dict[int, Call]] = {}
    held: dict[Origin, int] = {}
    for call in removal.flow.recording.calls:
        for size, demand in _demands(call, removal):
            if isinstance(size, NotedInt) and demand is not None:
                wanted.setdefault(size.origin, {}).setdefault(demand, call)
                held[size.origin] = int(size)
    numbers: list[Number] = []
    for origin, demands in wanted.items():
        if len(demands) > 1:
            raise UnfollowableError(
                str(origin),
                "this attribute is a size in "
                f"{' and in '.join(sorted({str(call) for call in demands.values()}))}, and pruning "
                f"would need it to be {' and '.join(map(str, sorted(demands)))}. Ablate instead, or "
                "use an attribute for each.",
            )
        after = next(iter(demands))
        if after != held[origin]:
            path, attribute, position = origin
            numbers.append(
                Number(path=path, attribute=attribute, position=position, before=held[origin], after=after)
            )
    return numbers


def follow_groups(removal: Removal) -> list[Number]:
    """The `groups` of convolutions that lose whole groups."""
    numbers: dict[str, Number] = {}
    for call in removal.flow.recording.calls:
        if not call.name.startswith("conv"):
            continue
        groups = call.argument(6, "groups", 1)
        x, weight = call.argument(0, "input"), call.argument(1, "weight")
        if groups == 1 or not removal.touches(weight):
            continue
        shape = removal.new_shape(weight)
        axis = x.ndim - weight.ndim + 1
        for value in (x, call.out):
            _check_groups(value, axis, groups, call, removal)
        counted = call.out if "transpose" in call.name else x
        channels = removal.new_shape(counted)[axis]
        after = channels // shape[1]
        if after != groups:
            numbers[call.module] = Number(path=call.module, attribute="groups", before=groups, after=after)
    return list(numbers.values())


def _check_groups(value: Value, axis: int, groups: int, call: Call, removal: Removal) -> None:
    cut = next((cut for cut in removal.cuts(value) if cut.axis == axis), None)
    if cut is None or cut.kept.ndim > 1:
        return
    size = cut.size // groups
    left = [int(((cut.kept >= at) & (cut.kept < at + size)).sum()) for at in range(0, cut.size, size)]
    if len({count for count in left if count}) > 1:
        raise DimsError(
            f"{str(call)!r} has {groups} groups of {size} channels, of which {left} would be left: give equally many "
            f"channels of each group (0-{size - 1}, {size}-{2 * size - 1}, ...), or whole groups. To "
            "zero single ones, ablate "
            f"instead."
        )


def _demands(call: Call, removal: Removal) -> Iterator[tuple[Any, int | None]]:
    """Whole numbers among the arguments, each with what it must become (None: nothing is known)."""
    if not call.outputs:
        return
    if call.name in _SHAPED:
        sizes = _whole_numbers((call.args[1:] if call.values else call.args, call.kwargs.get("size", ())))
        if len(sizes) == call.out.ndim:
            yield from zip(sizes, removal.new_shape(call.out), strict=True)
    elif call.name == "unflatten":
        axis = call.argument(1, "dim") % call.values[0].ndim
        sizes = _whole_numbers(call.argument(2, "sizes"))
        yield from zip(sizes, removal.new_shape(call.out)[axis : axis + len(sizes)], strict=True)
    elif call.name in ("split", "split_with_sizes"):
        axis = call.argument(2, "dim", 0) % call.out.ndim
        sizes = _whole_numbers(call.argument(1, "split_size_or_sections", call.kwargs.get("split_size", ())))
        after = [removal.new_shape(output)[axis] for output in call.outputs]
        # The last part may be smaller than the size asked for.
        yield from zip(sizes, after if len(sizes) > 1 else after[:1], strict=len(sizes) > 1)
    elif call.name == "narrow":
        x, axis = call.values[0], call.argument(1, "dim")
        start, length = call.argument(2, "start"), call.argument(3, "length")
        yield start, _left_before(x, axis % x.ndim, start, removal)
        yield length, removal.new_shape(call.out)[axis % x.ndim]
    elif call.name == "getitem" and isinstance(call.args[0], Value):
        yield from _slices(call, removal)


def _slices(call: Call, removal: Removal) -> Iterator[tuple[Any, int | None]]:
    x, index = call.args[0], call.args[1]
    parts = index if isinstance(index, tuple) else (index,)
    if any(isinstance(part, Value) for part in parts):
        return
    before = [part for part in parts if part is not None]
    if any(part is Ellipsis for part in before):
        at = next(place for place, part in enumerate(before) if part is Ellipsis)
        before[at : at + 1] = [slice(None)] * (x.ndim - len(before) + 1)
    for axis, part in enumerate(before):
        if isinstance(part, slice):
            for edge in (part.start, part.stop):
                if isinstance(edge, NotedInt):
                    yield edge, _left_before(x, axis, edge, removal)


def _left_before(x: Value, axis: int, place: int, removal: Removal) -> int | None:
    """How many of the first `place` places along an axis stay."""
    if place < 0:
        return None
    cut = next((cut for cut in removal.cuts(x) if cut.axis == axis), None)
    if cut is None:
        return int(place)
    return int((cut.kept < place).sum()) if cut.kept.ndim == 1 else None


def _whole_numbers(nested: object) -> list[int]:
    found: list[int] = []
    map_nested(
        nested,
        lambda leaf: found.append(leaf) if isinstance(leaf, int) and not isinstance(leaf, bool) else None,
    )
    return found
