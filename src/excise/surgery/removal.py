"""What goes, number by number, when some features of a place go; and whether the rest still makes tensors."""

import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import SupportsIndex

import numpy as np
import torch
from torch import Tensor

from excise.errors import DimsError
from excise.surgery.flow import Array, Flow, Role
from excise.surgery.recording import Value

__all__ = ["Cut", "Removal", "check_dims", "ranges"]


@dataclass(frozen=True, eq=False)
class Cut:
    """What stays of a tensor along one axis.

    Attributes:
        axis: the axis that gets shorter.
        kept: the places that stay, `[new size]`; or `[..., new size, ...]` with as many axes as the tensor, where each
            line along the axis keeps places of its own.
        size: how many places there were.
    """

    axis: int
    kept: Tensor
    size: int

    @property
    def new_size(self) -> int:
        """How many places stay."""
        return self.kept.shape[0 if self.kept.ndim == 1 else self.axis]

    def apply(self, tensor: Tensor) -> Tensor:
        """The tensor without what goes."""
        kept = self.kept.to(tensor.device)
        if kept.ndim == 1:
            return tensor.index_select(self.axis, kept)
        return torch.take_along_dim(tensor, kept, self.axis)


class Removal:
    """The removal of some features, followed to every tensor of a recorded pass.

    Args:
        flow: the features of the place, followed.
        dims: those that go, counted from 0.

    Raises:
        DimsError: some of them go together with others that are to stay.
    """

    def __init__(self, flow: Flow, dims: tuple[int, ...]) -> None:
        self.flow = flow
        self.dims = dims
        asked = [dim + 1 for dim in dims]
        together = flow.features.together(asked)
        if together != sorted(asked):
            more = [feature - 1 for feature in together if feature not in asked]
            raise DimsError(
                f"dims {list(dims)} of {flow.place!r} go together with {ranges(more)}: they meet in one number (as the "
                f"halves of a rotary embedding do). Give all of them, or none."
            )
        self._gone = flow.features.gone(asked)
        self._cuts: dict[Value, tuple[Cut, ...]] = {}

    def masks(self, value: Value) -> list[tuple[Tensor, Role]]:
        """The numbers of a tensor that go, as masks that broadcast to it, each with what they do to the features."""
        found = [(self._gone[array.ids], array.role) for array in self.flow.all_of(value)]
        return [(mask, role) for mask, role in found if bool(mask.any())]

    def is_gone(self, array: Array) -> Tensor:
        """Which numbers of an array go, as a mask of its shape."""
        return self._gone[array.ids]

    def touches(self, value: Value) -> bool:
        """Whether any number of a tensor goes."""
        return bool(self.masks(value))

    def cuts(self, value: Value) -> tuple[Cut, ...]:
        """How a tensor gets smaller.

        Raises:
            DimsError: what is left of it is no tensor, such as a head without one of its features beside heads with.
        """
        if value not in self._cuts:
            self._cuts[value] = self._find_cuts(value)
        return self._cuts[value]

    def _find_cuts(self, value: Value) -> tuple[Cut, ...]:
        masks = _merged([mask for mask, _ in self.masks(value)])
        lines: dict[int, Tensor] = {}
        ragged: list[Cut] = []
        for mask in masks:
            axes = [axis for axis, size in enumerate(mask.shape) if size > 1]
            left = mask
            for axis, stays in lines.items():
                if axis in axes:
                    left = left.index_select(axis, stays.nonzero().flatten())
            if not bool(left.any()):
                continue
            if not axes:  # Everything goes, as far as this mask can tell: an axis of one feature.
                raise DimsError(
                    f"nothing would be left of a tensor of shape {list(value.shape)} on the way of {self.flow.place!r}."
                )
            axis = next((axis for axis in axes if _same_lines(left, axis)), None)
            if axis is not None:
                line = left.movedim(axis, 0).reshape(left.shape[axis], -1)[:, 0]
                stays = lines.get(axis, torch.ones(value.shape[axis], dtype=torch.bool)).clone()
                stays[stays.nonzero().flatten()[line]] = False
                lines[axis] = stays
                continue
            axis = next((axis for axis in axes if _equal_counts(left, axis)), None)
            if axis is None:
                raise self._not_a_tensor(value, mask)
            ragged.append(_ragged(left, axis, value))
        whole = [Cut(axis, stays.nonzero().flatten(), len(stays)) for axis, stays in lines.items()]
        return (*whole, *ragged)

    def new_shape(self, value: Value) -> tuple[int, ...]:
        """The shape of a tensor when the features are gone."""
        shape = list(value.shape)
        for cut in self.cuts(value):
            shape[cut.axis] = cut.new_size
        return tuple(shape)

    def _not_a_tensor(self, value: Value, mask: Tensor) -> DimsError:
        where = f"{value.maker} gives" if value.maker else f"{value.name!r} is"
        blocks = self._blocks(value, mask)
        return DimsError(
            f"pruning dims {ranges(list(self.dims))} of {self.flow.place!r} would leave gaps: {where} "
            "a tensor of shape "
            f"{list(value.shape)}, in which they are neither whole rows nor whole columns. "
            + (blocks or "Choose dims that are.")
            + " To zero single ones, ablate instead."
        )

    def _blocks(self, value: Value, mask: Tensor) -> str:
        array = next((array for array in self.flow.all_of(value) if array.ids.shape == mask.shape), None)
        if array is None or len(array.axes) < 2:
            return ""
        if len(array.axes) > 2:
            lines = [
                _dims_of(line, self.flow.features.count)
                for axis in array.axes
                for line in _lines(array, axis)[:1]
            ]
            whole = [ranges(line) for line in lines if line and self._leaves_tensors(line)]
            return f"Dims can go together, such as {' or '.join(whole)}." if whole else ""
        outer, *_ = array.axes
        found = [_dims_of(row, self.flow.features.count) for row in _lines(array, outer)]
        if not all(found):
            return ""
        rows = list(dict.fromkeys(map(tuple, found)))
        listed = ", ".join(ranges(row) for row in rows[:3]) + (", ..." if len(rows) > 3 else "")
        return f"Dims can go in whole blocks ({listed}), or equally many from each block."

    def _leaves_tensors(self, dims: list[int]) -> bool:
        try:
            other = Removal(self.flow, tuple(dims))
            for call in self.flow.recording.calls:
                for value in (*call.values, *call.outputs):
                    other.cuts(value)
        except DimsError:
            return False
        return True


def check_dims(dims: object, layer: str, width: int) -> tuple[int, ...]:
    """The dims as sorted whole numbers.

    Raises:
        DimsError: they are no list of whole numbers, outside the layer, repeated, none, or all of them.
    """
    valid = f"layer {layer!r} has dims 0 to {width - 1}"
    try:
        given = list(dims) if isinstance(dims, Iterable) else None
    # An array or a tensor of no axes only looks iterable.
    except TypeError:
        given = None
    if given is not None and any(_is_bool(dim) for dim in given):
        raise DimsError(
            f"dims are a list of whole numbers, not a mask; {dims!r} came, and {valid}. "
            f"`torch.as_tensor(mask).nonzero().flatten()` gives the dims of a mask."
        )
    if given is None or not all(isinstance(dim, SupportsIndex) for dim in given):
        raise DimsError(f"dims are a list of whole numbers; {dims!r} came, and {valid}.")
    try:
        whole = [operator.index(dim) for dim in given]
    except TypeError:
        raise DimsError(f"dims are whole numbers; {dims!r} came, and {valid}.") from None
    if not whole:
        raise DimsError(f"no dims were given; {valid}.")
    outside = [dim for dim in whole if not 0 <= dim < width]
    if outside:
        more = " They are counted from the start." if min(outside) < 0 else ""
        raise DimsError(f"dims {outside} are out of range: {valid}.{more}")
    if len(set(whole)) != len(whole):
        raise DimsError(f"each dim counts once; {whole} came, and {valid}.")
    if len(whole) == width:
        raise DimsError(f"dims {whole} are all there are: {valid}, and nothing would be left of it.")
    return tuple(sorted(whole))


def _is_bool(dim: object) -> bool:
    return isinstance(dim, bool | np.bool) or (isinstance(dim, Tensor) and dim.dtype == torch.bool)


def _merged(masks: list[Tensor]) -> list[Tensor]:
    """Masks along single axes first; of the others, those that share an axis as one."""
    single = [mask for mask in masks if sum(size > 1 for size in mask.shape) < 2]
    several = [mask for mask in masks if sum(size > 1 for size in mask.shape) > 1]
    merged: list[Tensor] = []
    for mask in several:
        for at, other in enumerate(merged):
            if any(one > 1 and two > 1 for one, two in zip(mask.shape, other.shape, strict=True)):
                merged[at] = mask | other
                break
        else:
            merged.append(mask)
    return single + merged


def _same_lines(mask: Tensor, axis: int) -> bool:
    """Whether the same places go along an axis, wherever one stands on the others."""
    lines = mask.movedim(axis, 0).reshape(mask.shape[axis], -1)
    return bool((lines == lines[:, :1]).all()) and not bool(lines.all())


def _equal_counts(mask: Tensor, axis: int) -> bool:
    counts = mask.sum(dim=axis)
    return bool((counts == counts.flatten()[0]).all()) and int(counts.flatten()[0]) < mask.shape[axis]


def _ragged(mask: Tensor, axis: int, value: Value) -> Cut:
    """Equally many places of each line along an axis, which need not be the same ones."""
    lines = (~mask).movedim(axis, -1)
    kept = lines.nonzero()[:, -1].reshape(*lines.shape[:-1], -1)
    return Cut(axis, kept.movedim(-1, axis), value.shape[axis])


def _lines(array: Array, axis: int) -> list[Tensor]:
    return list(array.ids.movedim(axis, 0).reshape(array.ids.shape[axis], -1))


def _dims_of(features: Tensor, count: int) -> list[int]:
    found = sorted(set(features.tolist()))
    return [feature - 1 for feature in found] if found and found[0] > 0 and found[-1] <= count else []


def ranges(dims: Sequence[int]) -> str:
    """Whole numbers, with runs of them written as ranges."""
    runs: list[list[int]] = []
    for dim in dims:
        if runs and dim == runs[-1][-1] + 1:
            runs[-1].append(dim)
        else:
            runs.append([dim])
    texts = [f"{run[0]}-{run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs]
    return ", ".join(texts[:8]) + (f" and {len(texts) - 8} more" if len(texts) > 8 else "")
