"""From a removal to the steps that make it: which numbers become zero, which tensors shrink, what must follow."""

from collections.abc import Iterable, Sequence

from torch import Tensor

from excise.errors import DimsError, UnfollowableError
from excise.surgery.adapt import adapt
from excise.surgery.demands import follow_groups, follow_sizes
from excise.surgery.flow import Role
from excise.surgery.operations.elementwise import ELEMENTWISE
from excise.surgery.recording import Call, Recording, Value
from excise.surgery.removal import Cut, Removal, ranges
from excise.surgery.rewrite import Fill, Rewrite, Shrink, Swap

__all__ = ["ablation", "fills_of", "pruning"]


def ablation(removal: Removal) -> Rewrite:
    """Zero all that writes the features and all that reads them; shapes stay."""
    fills: list[Fill] = []
    for name, value in removal.flow.recording.leaves.items():
        masks = [mask for mask, role in removal.masks(value) if role is not Role.SCALES]
        if value.dtype.is_floating_point:
            fills += [fills_of(removal.flow.recording, name, value, mask) for mask in masks]
    return Rewrite(fills=tuple(fills))


def pruning(removal: Removal, *, may_change_output: bool = False) -> tuple[Rewrite, list[str]]:
    """Remove all of it; with the modules whose weights were folded to stay exact.

    Raises:
        UnfollowableError: the features leave the model as outputs, lie in a tensor that no module holds, or are
            counted by an operation that cannot be adapted.
        DimsError: what is left would be no tensors.
    """
    flow = removal.flow
    if not may_change_output:
        _check_outputs(removal)
    for call in flow.recording.calls:
        for value in (*call.values, *call.outputs):
            if value.source == "constant" and removal.touches(value) and flow.held.get(value):
                raise _not_held(call, value, flow.place)
    adapted = adapt(removal)
    shrinks: list[Shrink] = []
    for name, value in flow.recording.leaves.items():
        shrinks += [_shrink(name, cut) for cut in removal.cuts(value)]
    for call in flow.recording.calls:  # What stands between must be made of whole tensors as well, which fit.
        for output in call.outputs:
            removal.cuts(output)
        _check_fit(call, removal)
    numbers = (*adapted.numbers, *follow_sizes(removal), *follow_groups(removal))
    swaps = (*_opened(flow.recording, [shrink.name for shrink in shrinks]), *adapted.swaps)
    rewrite = Rewrite(swaps=swaps, shrinks=tuple(shrinks), rescales=tuple(adapted.rescales), numbers=numbers)
    return rewrite, adapted.folded


def _check_fit(call: Call, removal: Removal) -> None:
    """Refuse a removal behind which tensors that are combined number by number, or head by head, are unlike."""
    values = [value for value in call.values if value.data is None]
    if not any(removal.touches(value) for value in values):
        return
    if call.name == "scaled_dot_product_attention":
        mask = call.argument(3, "attn_mask")
        biases = [mask] if isinstance(mask, Value) and mask.data is None else []
        shapes = [(value, slice(0, -2)) for value in [*values[:3], *biases]]
        if call.kwargs.get("enable_gqa"):
            return
    elif call.name in ELEMENTWISE and call.name != "prelu":
        shapes = [(value, slice(None)) for value in values]
    else:
        return
    before = [value.shape[part] for value, part in shapes]
    after = [removal.new_shape(value)[part] for value, part in shapes]
    if not _still_fit(before, after):
        constant = next((value for value, _ in shapes if value.source == "constant" and value.shape), None)
        if constant is not None:
            raise _not_held(call, constant, removal.flow.place)
        sizes = " and ".join(str(list(removal.new_shape(value))) for value, _ in shapes)
        raise DimsError(
            f"pruning dims {ranges(removal.dims)} of {removal.flow.place!r} would leave tensors that "
            "do not fit together at "
            f"{str(call)!r}: {sizes}. Give the dims of whatever all of them share (a head of keys and "
            "values with all its "
            f"heads of queries, say), or ablate instead."
        )


def _not_held(call: Call, value: Value, place: str) -> UnfollowableError:
    return UnfollowableError(
        str(call),
        f"it takes a tensor of shape {list(value.shape)} that no module holds, beside the features of {place!r}, and "
        f"pruning cannot make it narrower. Hold it in a buffer (`register_buffer`).",
    )


def _still_fit(before: Sequence[Sequence[int]], after: Sequence[Sequence[int]]) -> bool:
    """Whether sizes that were equal, aligned at the last axis, still are; one that broadcasts must have done before."""
    for place in range(1, max(map(len, before)) + 1):
        sizes = {
            new[-place]
            for old, new in zip(before, after, strict=True)
            if len(old) >= place and old[-place] > 1
        }
        if len(sizes) > 1:
            return False
    return True


def fills_of(recording: Recording, name: str, value: Value, mask: Tensor) -> Fill:
    """The step that fills what goes of a tensor with what means nothing there: zero, or minus the offset of a gain."""
    path = name.rpartition(".")[0]
    offset = recording.rms_norms.get(path, ("", 0.0))[1]
    places = tuple(mask.flatten().nonzero().flatten().tolist())
    return Fill(name=name, shape=value.shape, mask_shape=tuple(mask.shape), places=places, value=0.0 - offset)


def _shrink(name: str, cut: Cut) -> Shrink:
    return Shrink(
        name=name,
        axis=cut.axis,
        before=cut.size,
        kept_shape=tuple(cut.kept.shape),
        kept=tuple(cut.kept.flatten().tolist()),
    )


def _check_outputs(removal: Removal) -> None:
    leaving = [value for value in removal.flow.recording.outputs if removal.touches(value)]
    if leaving:
        maker = leaving[0].maker
        raise UnfollowableError(
            removal.flow.place,
            f"its features leave the model as an output, {list(leaving[0].shape)}"
            + (f" (through {str(maker)!r})" if maker else "")
            + ", whose shape pruning would change. Ablate instead, or ask for it with `may_change_output=True`.",
        )


def _opened(recording: Recording, names: Iterable[str]) -> tuple[Swap, ...]:
    """Attention modules that were opened to be recorded, and of which parameters shrink."""
    touched = {name.rpartition(".")[0] for name in names}
    return tuple(
        Swap(path=path, kind="attention") for path in recording.opened if touched & {path, f"{path}.out_proj"}
    )
