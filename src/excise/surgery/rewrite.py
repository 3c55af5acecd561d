"""What an edit does to a model, step by step: values that can be looked at, saved as JSON and done again.

A rewrite names tensors, modules and numbers by their paths and holds no weights. Done on a model with weights, it edits
them; done on a freshly built one, it gives the modules their new shapes, so that saved weights fit.
"""

from typing import Any, Literal, cast

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn
from torch.nn.utils import parametrize

from excise.errors import SurgeryError
from excise.surgery.origins import Origin, set_origin
from excise.surgery.parametrized import give_weight
from excise.surgery.replacements import (
    NarrowedAttention,
    NarrowedLayerNorm,
    Projected,
    set_module,
    take_over_hooks,
)
from excise.surgery.sizes import refresh_sizes

__all__ = [
    "Fill", "Fold", "Number", "Project", "Rescale", "Rewrite", "Rotate", "Shift", "Shrink", "Swap", "completed",
    "get_tensor",
]  # fmt: skip


Holders = dict[int, list[tuple[nn.Module, str, str]]]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Fill(_Frozen):
    """Some numbers of a tensor become one value: zero, or what makes a gain of zero.

    Attributes:
        name: the tensor's path.
        shape: its shape; the mask broadcasts to it.
        mask_shape: the shape of the mask.
        places: where the mask is true, counted along its flattened numbers.
        value: what they become.
        factor: what they are multiplied by instead of becoming `value`, for a removal in part.
    """

    name: str
    shape: tuple[int, ...]
    mask_shape: tuple[int, ...]
    places: tuple[int, ...]
    value: float = 0.0
    factor: float | None = None


class Shrink(_Frozen):
    """A tensor keeps some places along an axis.

    Attributes:
        name: the tensor's path.
        axis: the axis that gets shorter.
        before: its size.
        kept_shape: the shape of `kept`: one axis, or as many as the tensor has.
        kept: the places that stay, flattened.
    """

    name: str
    axis: int
    before: int
    kept_shape: tuple[int, ...]
    kept: tuple[int, ...]


class Shift(_Frozen):
    """A bias is raised, number by number."""

    name: str
    by: tuple[float, ...]


class Rescale(_Frozen):
    """A gain is multiplied: (weight + offset) becomes `factor` times as much."""

    name: str
    factor: float
    offset: float = 0.0


class Project(_Frozen):
    """A direction or subspace is taken out of a tensor along an axis: x - strength (x B) B^T.

    Attributes:
        name: the tensor's path.
        axis: the axis on which the vectors lie.
        basis: orthonormal rows, `[k, d]`.
        scale: numbers that the vectors are multiplied by before and divided by after, `[d]`; empty for none.
        strength: in (0, 1].
    """

    name: str
    axis: int
    basis: tuple[tuple[float, ...], ...]
    scale: tuple[float, ...] = ()
    strength: float = 1.0


class Rotate(_Frozen):
    """The vectors of a tensor along an axis are turned so that a subspace lies on the last coordinates.

    Attributes:
        name: the tensor's path.
        axis: the axis on which the vectors lie.
        basis: the subspace, orthonormal rows `[k, d]`; what completes it follows from it.
    """

    name: str
    axis: int
    basis: tuple[tuple[float, ...], ...]


class Fold(_Frozen):
    """The gain and the bias of a norm go into the weights that read it; the norm is left with ones and zeros.

    Attributes:
        path: the norm.
        offset: what the norm adds to its weight.
        readers: for each weight that reads it, its path, the axis that reads and the path of the bias behind it.
    """

    path: str
    offset: float
    readers: tuple[tuple[str, int, str | None], ...]


class Swap(_Frozen):
    """A module gives its place to one that can be narrow, or whose output lacks a subspace.

    Attributes:
        path: the module.
        kind: what comes in its place.
        width: of a narrow norm, how many features its statistics are over.
        basis: of a projected module, the subspace, orthonormal rows `[k, d]`.
        scale: numbers that the output is divided by before and multiplied by after the projection, `[d]`.
    """

    path: str
    kind: Literal["layer_norm", "attention", "projected"]
    width: int = 0
    basis: tuple[tuple[float, ...], ...] = ()
    scale: tuple[float, ...] = ()


class Number(_Frozen):
    """An attribute of a module that follows the new sizes.

    Attributes:
        path: the module.
        attribute: the attribute's name.
        position: the place in it, where it is a tuple or list.
        before: what it was.
        after: what it becomes.
    """

    path: str
    attribute: str
    position: int | None = None
    before: int | float | None
    after: int | float


class Rewrite(_Frozen):
    """All steps of one edit.

    Attributes:
        before: another rewrite, which is done first.
    """

    before: "Rewrite | None" = None
    folds: tuple[Fold, ...] = ()
    rotates: tuple[Rotate, ...] = ()
    swaps: tuple[Swap, ...] = ()
    shifts: tuple[Shift, ...] = ()
    fills: tuple[Fill, ...] = ()
    shrinks: tuple[Shrink, ...] = ()
    rescales: tuple[Rescale, ...] = ()
    projects: tuple[Project, ...] = ()
    numbers: tuple[Number, ...] = ()

    def check(self, model: nn.Module) -> None:
        """Refuse a model that the rewrite was not made for.

        Raises:
            SurgeryError: a tensor, module or number is missing or of another size; which is said.
        """
        if self.before is not None:
            self.before.check(model)
            return  # What comes after it is checked by the tensors that it finds.
        for fill in self.fills:
            _check_shape(model, fill.name, lambda t, f=fill: tuple(t.shape) == f.shape, list(fill.shape))
        for shrink in self.shrinks:
            _check_shape(
                model, shrink.name, lambda t, s=shrink: t.ndim > s.axis and t.shape[s.axis] == s.before,
                f"size {shrink.before} on axis {shrink.axis}",
            )  # fmt: skip
        for number in self.numbers:
            held = _number(model, number)
            if held != number.before:
                origin = Origin(number.path, number.attribute, number.position)
                raise _wrong_model(f"{origin} is {number.before} there and {held} here")

    def apply(self, model: nn.Module) -> None:
        """Do all steps on `model`, in place."""
        if self.before is not None:
            self.before.apply(model)
        with torch.no_grad():
            for fold in self.folds:
                _fold(model, fold)
            for rotate in self.rotates:
                turned = _turned(get_tensor(model, rotate.name).detach(), rotate)
                _set_values(model, rotate.name, turned)
            for swap in self.swaps:
                _swap(model, swap)
            for shift in self.shifts:
                bias = get_tensor(model, shift.name).detach()
                raised = bias.double() + torch.tensor(shift.by, dtype=torch.float64).to(bias.device)
                _set_values(model, shift.name, raised.to(bias.dtype))
            for fill in self.fills:
                tensor = get_tensor(model, fill.name)
                mask = torch.zeros(fill.mask_shape, dtype=torch.bool).flatten()
                mask[list(fill.places)] = True
                mask = mask.reshape(fill.mask_shape).to(tensor.device)
                scaled = fill.value if fill.factor is None else tensor.detach() * fill.factor
                _set_values(model, fill.name, torch.where(mask, scaled, tensor.detach()))
            holders = _holders(model) if self.shrinks else {}
            touched = [self._shrink(model, shrink, holders) for shrink in self.shrinks]
            for rescale in self.rescales:
                tensor = get_tensor(model, rescale.name).detach()
                changed = (tensor.double() + rescale.offset) * rescale.factor - rescale.offset
                _set_values(model, rescale.name, changed.to(tensor.dtype))
            for project in self.projects:
                _set_values(
                    model, project.name, _projected(get_tensor(model, project.name).detach(), project)
                )
            for number in self.numbers:
                origin = Origin(number.path, number.attribute, number.position)
                set_origin(model, origin, number.after)
            refresh_sizes(model, {path for paths in touched for path in paths})

    @staticmethod
    def _shrink(model: nn.Module, shrink: Shrink, holders: Holders) -> list[str]:
        tensor = get_tensor(model, shrink.name)
        kept = torch.tensor(shrink.kept, dtype=torch.int64).reshape(shrink.kept_shape).to(tensor.device)
        old = tensor.detach()
        whole = kept.ndim == 1
        new = old.index_select(shrink.axis, kept) if whole else torch.take_along_dim(old, kept, shrink.axis)
        return _put(model, shrink.name, new, holders)


def get_tensor(model: nn.Module, name: str) -> Tensor:
    """The tensor at a path; of a parametrized one, what the model computes with.

    Raises:
        SurgeryError: there is none.
    """
    path, _, own = name.rpartition(".")
    try:
        found = getattr(model.get_submodule(path), own)
    except AttributeError:
        found = None
    if not isinstance(found, Tensor):
        raise _wrong_model(f"there is no tensor {name!r} here")
    return found


def _holders(model: nn.Module) -> Holders:
    """For each tensor, by identity: every module that holds it, with the name there and the module's path."""
    found: Holders = {}
    for path, module in model.named_modules(remove_duplicate=True):
        for holder in (module._parameters, module._buffers, vars(module)):
            for name, value in holder.items():
                if isinstance(value, Tensor):
                    found.setdefault(id(value), []).append((module, name, path))
    return found


def _put(model: nn.Module, name: str, new: Tensor, holders: Holders) -> list[str]:
    """Put a tensor of another shape in the place of one, wherever it is held; the paths of those modules."""
    path, _, own = name.rpartition(".")
    module = model.get_submodule(path)
    if parametrize.is_parametrized(module, own):
        give_weight(module, own, new, name)
        return [path]
    old = get_tensor(model, name)
    if isinstance(old, nn.Parameter):
        new = nn.Parameter(new, requires_grad=old.requires_grad)
    touched: list[str] = []
    holders[id(new)] = holders.pop(id(old), [])
    for holder, held_as, where in holders[id(new)]:
        if held_as in holder._parameters:
            holder._parameters[held_as] = cast(nn.Parameter, new)
        elif held_as in holder._buffers:
            holder._buffers[held_as] = new
        else:
            vars(holder)[held_as] = new
        touched.append(where)
    return touched


def _set_values(model: nn.Module, name: str, new: Tensor) -> None:
    """Give a tensor other numbers; the tensor stays the same one, so ties and hooks on it stay."""
    path, _, own = name.rpartition(".")
    module = model.get_submodule(path)
    if parametrize.is_parametrized(module, own):
        give_weight(module, own, new, name)
        return
    tensor = get_tensor(model, name).detach()
    # A buffer that is a view of one number (expand) cannot be written to.
    if any(stride == 0 and size > 1 for stride, size in zip(tensor.stride(), tensor.shape, strict=True)):
        _put(model, name, new, _holders(model))
    else:
        tensor.copy_(new)


def _swap(model: nn.Module, swap: Swap) -> None:
    old = model.get_submodule(swap.path)
    if swap.kind == "layer_norm":
        if not isinstance(old, nn.LayerNorm | NarrowedLayerNorm):
            raise _wrong_model(f"{swap.path!r} is a LayerNorm there and a {type(old).__name__} here")
        new: nn.Module = NarrowedLayerNorm(old, swap.width)  # pyright: ignore[reportArgumentType] - the swap was planned on such a layer
    elif swap.kind == "projected":
        new = Projected(old, torch.tensor(swap.basis), torch.tensor(swap.scale) if swap.scale else None)
    else:
        if isinstance(old, NarrowedAttention):
            return
        if not isinstance(old, nn.MultiheadAttention):
            raise _wrong_model(f"{swap.path!r} is a MultiheadAttention there and a {type(old).__name__} here")
        new = NarrowedAttention(old)
    take_over_hooks(old, new)
    set_module(model, swap.path, new)


def _projected(tensor: Tensor, project: Project) -> Tensor:
    basis = torch.tensor(project.basis, dtype=torch.float64, device=tensor.device)
    wide = tensor.double().movedim(project.axis, -1)
    if project.scale:
        scale = torch.tensor(project.scale, dtype=torch.float64, device=tensor.device)
        wide = wide * scale
        wide = (wide - project.strength * (wide @ basis.T) @ basis) / scale
    else:
        wide = wide - project.strength * (wide @ basis.T) @ basis
    return wide.movedim(-1, project.axis).to(tensor.dtype)


def completed(basis: Tensor) -> Tensor:
    """Orthonormal columns `[d, d]`, of which the last k span the rows of `basis`, `[k, d]`."""
    k, d = basis.shape
    whole = torch.linalg.qr(torch.cat([basis.T, torch.eye(d, dtype=basis.dtype)], dim=1), mode="reduced").Q
    # The first k columns span the subspace; a sign may differ from the basis, the span does not.
    return torch.cat([whole[:, k:d], basis.T], dim=1)


def _turned(tensor: Tensor, rotate: Rotate) -> Tensor:
    turn = completed(torch.tensor(rotate.basis, dtype=torch.float64)).to(tensor.device)
    wide = tensor.double().movedim(rotate.axis, -1) @ turn
    return wide.movedim(-1, rotate.axis).to(tensor.dtype)


def _fold(model: nn.Module, fold: Fold) -> None:
    norm = model.get_submodule(fold.path)
    weight = norm.get_parameter("weight")
    shift = norm._parameters.get("bias")
    gain = weight.detach().double() + fold.offset
    for name, axis, bias in fold.readers:
        reader = get_tensor(model, name)
        wide = reader.detach().double().movedim(axis, -1)
        if shift is not None and bool(shift.any()):
            behind = None if bias is None else get_tensor(model, bias)
            assert behind is not None, "planned for readers with a bias"
            _set_values(
                model, str(bias), (behind.detach().double() + wide @ shift.detach().double()).to(behind.dtype)
            )
        _set_values(model, name, (wide * gain).movedim(-1, axis).to(reader.dtype))
    weight.detach().fill_(1 - fold.offset)
    if shift is not None:
        shift.detach().zero_()


def _number(model: nn.Module, number: Number) -> Any:  # noqa: ANN401 - any number, or None where it is missing
    try:
        held = getattr(model.get_submodule(number.path), number.attribute, None)
    except AttributeError:
        return None
    return held if number.position is None or held is None else held[number.position]


def _check_shape(model: nn.Module, name: str, fits: Any, wanted: object) -> None:  # noqa: ANN401 - a function of a tensor
    tensor = get_tensor(model, name)
    if not fits(tensor):
        raise _wrong_model(f"{name!r} has {wanted} there and is {list(tensor.shape)} here")


def _wrong_model(difference: str) -> SurgeryError:
    return SurgeryError(f"this edit was planned on another model: {difference}. Plan it anew on this one.")
