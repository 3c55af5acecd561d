"""An edit of weights: planned, looked at, then applied to a copy."""

import copy
import operator
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, SupportsIndex, TypeVar

import torch
from torch import Tensor, nn

from excise.errors import DimsError, InexactEditError, SurgeryError
from excise.surgery.trace import Trace, trace

__all__ = ["Edit", "EditReport", "Mode", "ParameterChange", "plan"]

Mode = Literal["ablate", "prune"]
ModelT = TypeVar("ModelT", bound=nn.Module)

_TOLERANCE = {torch.float64: 1e-10}
_DEFAULT_TOLERANCE = 1e-5


@dataclass(frozen=True)
class ParameterChange:
    """One parameter that an edit touches, and its shape before and after."""

    name: str
    before: tuple[int, ...]
    after: tuple[int, ...]


@dataclass(frozen=True)
class EditReport:
    """What an edit does, in numbers.

    Attributes:
        mode: "ablate" keeps the shapes and zeroes weights; "prune" removes them.
        dims: the features that go, in ascending order.
        trace: who writes, carries and reads the layer's features.
        changes: the parameters touched.
        parameters_before: how many numbers the model's parameters hold.
        parameters_after: how many they hold then.
        checked: the largest difference between the pruned and the ablated model on the example inputs; None when
            no example inputs were given.
    """

    mode: Mode
    dims: tuple[int, ...]
    trace: Trace
    changes: tuple[ParameterChange, ...]
    parameters_before: int
    parameters_after: int
    checked: float | None = None

    def __str__(self) -> str:
        """The report, a line a fact."""
        lines = [f"{self.mode} dims {list(self.dims)} of {self.trace}"]
        for change in self.changes:
            lines.append(f"  {change.name}: {list(change.before)} -> {list(change.after)}")
        lines.append(f"  parameters: {self.parameters_before} -> {self.parameters_after}")
        if self.checked is not None:
            lines.append(f"  prune and ablate differ by {self.checked:.1e} on the example inputs")
        return "\n".join(lines)


@dataclass(frozen=True)
class Edit:
    """A planned edit of one layer; `apply` makes an edited copy of a model."""

    mode: Mode
    layer: str
    dims: tuple[int, ...]
    report: EditReport

    def apply(self, model: ModelT) -> ModelT:
        """An edited copy of `model`, which is left untouched; tied parameters stay tied in the copy.

        Raises:
            SurgeryError: the model is not the one the edit was planned on, or one just like it.
        """
        planned = replace(self.report, checked=None)
        found = plan(model, self.layer, self.dims, mode=self.mode).report
        if found != planned:
            raise SurgeryError(
                f"this edit was planned on another model. Planned:\n{planned}\nFound:\n{found}\n"
                f"Plan it anew on this {type(model).__name__}."
            )
        return _edited(model, self.report.trace, self.dims, self.mode)


def plan(
    model: nn.Module,
    layer: str,
    dims: Sequence[int],
    mode: Mode = "prune",
    example_inputs: Tensor | tuple[Any, ...] | None = None,
) -> Edit:
    """Plan the removal of features from a layer; nothing is changed.

    Args:
        model: a model that torch.fx can trace.
        layer: the module whose output holds the features on its last axis, as in `model.named_modules()`.
        dims: the features to remove, counted from 0; distinct, and not all of them.
        mode: "ablate" zeroes what writes and what reads them; "prune" removes it.
        example_inputs: what the model is called with, a tensor or a tuple of arguments. Given, both modes are
            tried on copies and must agree to 1e-5 (1e-10 in float64).

    Raises:
        UnknownLayerError: the model has no such layer.
        DimsError: dims outside the layer, repeated, none, or all of them.
        UnfollowableError: the data flow around the layer cannot be followed.
        InexactEditError: pruned and ablated copies differ on the example inputs.
    """
    found = trace(model, layer)
    chosen = _check_dims(dims, found)
    report = _report(model, found, chosen, mode)
    if example_inputs is not None:
        report = replace(report, checked=_difference(model, found, chosen, example_inputs))
    return Edit(mode, layer, chosen, report)


def _check_dims(dims: Sequence[SupportsIndex], found: Trace) -> tuple[int, ...]:
    valid = f"layer {found.layer!r} has dims 0 to {found.width - 1}"
    try:
        whole = [operator.index(dim) for dim in dims if not isinstance(dim, bool)]
    except TypeError:
        raise DimsError(f"dims are whole numbers; {dims!r} came, and {valid}.") from None
    if len(whole) != len(dims):
        raise DimsError(f"dims are numbers, not a mask; {list(dims)} came, and {valid}.")
    if not whole:
        raise DimsError(f"no dims were given; {valid}.")
    outside = [dim for dim in whole if not 0 <= dim < found.width]
    if outside:
        raise DimsError(f"dims {outside} are out of range: {valid}.")
    if len(set(whole)) != len(whole):
        raise DimsError(f"each dim counts once; {whole} came.")
    if len(whole) == found.width:
        raise DimsError(f"dims {whole} are all there are: {valid}, and nothing would be left of it.")
    return tuple(sorted(whole))


def _report(model: nn.Module, found: Trace, dims: tuple[int, ...], mode: Mode) -> EditReport:
    before = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    after = dict(before)
    touched: list[str] = []
    gone = len(dims) if mode == "prune" else 0
    for path in found.writers:
        for name in (f"{path}.weight", f"{path}.bias"):
            if name in before:
                touched.append(name)
                after[name] = (after[name][0] - gone, *after[name][1:])
    for path in found.readers:
        name = f"{path}.weight"
        touched.append(name)
        after[name] = (after[name][0], after[name][1] - gone)
    changes = tuple(ParameterChange(name, before[name], after[name]) for name in dict.fromkeys(touched))
    total = sum(parameter.numel() for parameter in model.parameters())
    shrunk = sum(torch.Size(c.before).numel() - torch.Size(c.after).numel() for c in changes)
    return EditReport(mode, dims, found, changes, total, total - shrunk)


def _edited(model: ModelT, found: Trace, dims: tuple[int, ...], mode: Mode) -> ModelT:
    try:
        edited = copy.deepcopy(model)
    except RuntimeError as error:
        raise SurgeryError(f"this {type(model).__name__} cannot be copied: {error}") from error
    for path in found.writers:
        writer = edited.get_submodule(path)
        assert isinstance(writer, nn.Linear)
        writer.weight = _without(writer.weight, dims, 0, mode)
        if writer.bias is not None:
            writer.bias = _without(writer.bias, dims, 0, mode)
        writer.out_features = writer.weight.shape[0]
    for path in found.readers:
        reader = edited.get_submodule(path)
        assert isinstance(reader, nn.Linear)
        reader.weight = _without(reader.weight, dims, 1, mode)
        reader.in_features = reader.weight.shape[1]
    return edited


def _without(parameter: nn.Parameter, dims: tuple[int, ...], axis: int, mode: Mode) -> nn.Parameter:
    """The parameter with some slices zeroed or removed."""
    data = parameter.detach()
    gone = torch.tensor(dims, device=data.device)
    if mode == "ablate":
        changed = data.index_fill(axis, gone, 0)
    else:
        kept = torch.ones(data.shape[axis], dtype=torch.bool, device=data.device).index_fill(0, gone, False)
        changed = data.index_select(axis, kept.nonzero().squeeze(-1))
    return nn.Parameter(changed, requires_grad=parameter.requires_grad)


def _difference(
    model: nn.Module, found: Trace, dims: tuple[int, ...], example_inputs: Tensor | tuple[Any, ...]
) -> float:
    arguments = example_inputs if isinstance(example_inputs, tuple) else (example_inputs,)
    with torch.no_grad():
        ablated, pruned = (
            torch.utils._pytree.tree_leaves(_edited(model, found, dims, mode).eval()(*arguments))
            for mode in ("ablate", "prune")
        )
    worst = 0.0
    for one, other in zip(ablated, pruned, strict=True):
        if isinstance(one, Tensor) and one.is_floating_point():
            difference = (one - other).abs().max().item() if one.numel() else 0.0
            tolerance = _TOLERANCE.get(one.dtype, _DEFAULT_TOLERANCE)
            if not difference <= tolerance:
                raise InexactEditError(
                    f"pruned and ablated copies differ by {difference:.2e} on the example inputs, more than "
                    f"{tolerance:.0e}: something in the model reads the features of {found.layer!r} unseen."
                )
            worst = max(worst, difference)
    return worst
