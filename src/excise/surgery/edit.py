"""An edit of weights: planned, looked at, then applied to a copy."""

import operator
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, SupportsIndex, get_args

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from excise.errors import DimsError, InexactEditError, SettingError, SurgeryError, UnfollowableError
from excise.surgery.constants import check_constants
from excise.surgery.copying import ModelT, copied, same_randomness
from excise.surgery.editable import check_asked
from excise.surgery.report import EditReport, Mode, ParameterChange
from excise.surgery.trace import Trace, follow

__all__ = ["Edit", "plan"]

_TOLERANCE = {torch.float64: 1e-10, torch.float16: 5e-3, torch.bfloat16: 5e-2}
_DEFAULT_TOLERANCE = 1e-5


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
            SurgeryError: the model is not the one the edit was planned on, nor one built like it.
            UnknownLayerError: it does not even have the layer.
            UnfollowableError: it has forward hooks on the way of the features that were not there when the
                edit was planned.
        """
        check_asked(model, self.layer)
        planned = replace(self.report, checked=None)
        found = _planned(model, self.layer, self.dims, self.mode)
        if found != planned:
            raise SurgeryError(
                f"this edit was planned on another model. Planned:\n{planned}\nFound:\n{found}\n"
                f"Plan it anew on this {type(model).__name__}."
            )
        _check_hooks(found.trace, known=planned.trace.hooked)
        return _edited(model, self.report.trace, self.dims, self.mode)


def plan(
    model: nn.Module,
    layer: str,
    dims: Iterable[SupportsIndex],
    mode: Mode = "prune",
    example_inputs: Tensor | tuple[Any, ...] | None = None,
) -> Edit:
    """Plan the removal of features from a layer; nothing is changed.

    Where both modes can be planned, they give models of the same function. With example inputs, both are tried
    on copies in evaluation mode (forward hooks run there too, as they will in the edited model). No output
    element may then differ by more than 1e-5 (1e-10 in float64, 5e-3 in float16, 5e-2 in bfloat16), times the
    largest output where that is above 1.

    Give example inputs whenever you have some. Without them the edit is as right as the recorded forward pass,
    and that cannot show everything: a branch on `isinstance(x, torch.Tensor)` or `torch.is_tensor(x)` is
    recorded as it goes for what is no tensor, and forward hooks are not recorded at all. So hooks on the way of
    the features (other than those of `excise.capture`) are refused, unless example inputs are there to hold the
    two modes against each other with the hooks running. Hooks that act alike on both pass that check, so what
    they do to the features that stay is not judged.

    Args:
        model: a model that torch.fx can trace, in the mode (training or evaluation) that matters.
        layer: the module whose output holds the features on its last axis, as in `model.named_modules()`.
        dims: the features to remove, counted from 0; distinct, and not all of them.
        mode: "ablate" zeroes what writes and what reads them; "prune" removes it.
        example_inputs: what the model is called with, a tensor or a tuple of arguments.

    Raises:
        UnknownLayerError: the model has no such layer.
        DimsError: dims outside the layer, repeated, none, or all of them.
        SettingError: a mode that is neither "ablate" nor "prune", a model that is no module, a layer that is no
            string.
        UnfollowableError: the data flow around the layer cannot be followed; or there are hooks on it, and no
            example inputs; or, for "prune", the forward pass computes with the width of the layer.
        InexactEditError: pruned and ablated copies differ on the example inputs.
        SurgeryError: the model is compiled or scripted, cannot be copied, or does not run on the example inputs.
    """
    if mode not in get_args(Mode):
        raise SettingError(f"mode is 'ablate' or 'prune'; {mode!r} came.")
    check_asked(model, layer)
    report = _planned(model, layer, dims, mode)
    if example_inputs is None:
        _check_hooks(report.trace)
    else:
        report = replace(report, checked=_difference(model, report.trace, report.dims, example_inputs))
    return Edit(mode, layer, report.dims, report)


def _planned(model: nn.Module, layer: str, dims: object, mode: Mode) -> EditReport:
    """The report of an edit that nothing but hooks and example inputs can still forbid."""
    found, graph = follow(model, layer)
    chosen = _check_dims(dims, found)
    if mode == "prune":
        check_constants(model, graph, _edited(model, found, chosen, "prune"), layer)
    return _report(model, found, chosen, mode)


def _check_hooks(found: Trace, known: tuple[str, ...] = ()) -> None:
    for path in found.hooked:
        if path not in known:
            raise UnfollowableError(
                path,
                f"it has forward hooks, which may change the features of {found.layer!r} unseen. Take them off, or "
                f"plan the edit with `example_inputs`, on which it is then checked with the hooks running.",
            )


def _check_dims(dims: object, found: Trace) -> tuple[int, ...]:
    valid = f"layer {found.layer!r} has dims 0 to {found.width - 1}"
    try:
        given = list(dims) if isinstance(dims, Iterable) else None
    # An array or a tensor of no axes only looks iterable.
    except TypeError:
        given = None
    if given is None or not all(isinstance(dim, SupportsIndex) and not _is_bool(dim) for dim in given):
        raise DimsError(f"dims are a list of whole numbers, not a mask; {dims!r} came, and {valid}.")
    try:
        whole = [operator.index(dim) for dim in given]
    except TypeError:
        raise DimsError(f"dims are whole numbers; {dims!r} came, and {valid}.") from None
    if not whole:
        raise DimsError(f"no dims were given; {valid}.")
    outside = [dim for dim in whole if not 0 <= dim < found.width]
    if outside:
        raise DimsError(f"dims {outside} are out of range: {valid}.")
    if len(set(whole)) != len(whole):
        raise DimsError(f"each dim counts once; {whole} came, and {valid}.")
    if len(whole) == found.width:
        raise DimsError(f"dims {whole} are all there are: {valid}, and nothing would be left of it.")
    return tuple(sorted(whole))


def _is_bool(dim: object) -> bool:
    return isinstance(dim, bool) or (isinstance(dim, Tensor) and dim.dtype == torch.bool)


def _report(model: nn.Module, found: Trace, dims: tuple[int, ...], mode: Mode) -> EditReport:
    shapes = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    touched = [(f"{path}.{name}", 0) for path in found.writers for name in ("weight", "bias")]
    touched += [(f"{path}.weight", 1) for path in found.readers]
    gone = len(dims) if mode == "prune" else 0
    changes: list[ParameterChange] = []
    for name, axis in touched:
        if name in shapes:
            before = shapes[name]
            after = (*before[:axis], before[axis] - gone, *before[axis + 1 :])
            changes.append(ParameterChange(name, axis, before, after))
    total = sum(parameter.numel() for parameter in model.parameters())
    shrunk = sum(torch.Size(c.before).numel() - torch.Size(c.after).numel() for c in changes)
    return EditReport(mode, dims, found, tuple(changes), total, total - shrunk)


def _edited(model: ModelT, found: Trace, dims: tuple[int, ...], mode: Mode) -> ModelT:
    edited = copied(model)
    for path in found.writers:
        writer = edited.get_submodule(path)
        assert isinstance(writer, nn.Linear)
        writer.weight = _without(writer.weight, dims, 0, mode)
        bias: nn.Parameter | None = writer.bias
        if bias is not None:
            writer.bias = _without(bias, dims, 0, mode)
        writer.out_features = writer.weight.shape[0]
    for path in found.readers:
        reader = edited.get_submodule(path)
        assert isinstance(reader, nn.Linear)
        reader.weight = _without(reader.weight, dims, 1, mode)
        reader.in_features = reader.weight.shape[1]
    return edited


def _without(parameter: Tensor, dims: tuple[int, ...], axis: int, mode: Mode) -> nn.Parameter:
    """The parameter with some slices zeroed or removed."""
    data = parameter.detach()
    gone = torch.tensor(dims, device=data.device)
    if mode == "ablate":
        changed = data.index_fill(axis, gone, 0)
    else:
        kept = [index for index in range(data.shape[axis]) if index not in dims]
        changed = data.index_select(axis, torch.tensor(kept, device=data.device))
    return nn.Parameter(changed, requires_grad=parameter.requires_grad)


def _difference(
    model: nn.Module, found: Trace, dims: tuple[int, ...], example_inputs: Tensor | tuple[Any, ...]
) -> float:
    arguments = example_inputs if isinstance(example_inputs, tuple) else (example_inputs,)
    try:
        ablated = _outputs(_edited(model, found, dims, "ablate"), arguments)
    # The user's own forward pass may raise anything.
    except Exception as error:
        raise SurgeryError(
            f"this {type(model).__name__} does not run on the example inputs: {type(error).__name__}: {error}"
        ) from error
    unseen = f"something in the model (a hook?) uses the features of {found.layer!r} unseen."
    try:
        pruned = _outputs(_edited(model, found, dims, "prune"), arguments)
    # As above; what the ablated copy could do, the pruned one must.
    except Exception as error:
        raise InexactEditError(
            f"the ablated copy runs on the example inputs, the pruned one does not: {unseen} "
            f"{type(error).__name__}: {error}"
        ) from error
    if [output.shape for output in ablated] != [output.shape for output in pruned]:
        raise InexactEditError(f"pruned and ablated copies give outputs of different shapes: {unseen}")
    edited_dtype = model.get_submodule(found.writers[0]).get_parameter("weight").dtype
    worst = 0.0
    for one, other in zip(ablated, pruned, strict=True):
        precisions = [_TOLERANCE.get(dtype, _DEFAULT_TOLERANCE) for dtype in (one.dtype, edited_dtype)]
        tolerance = max(precisions) * max(1.0, _largest(one[one.isfinite()]))
        # Equal infinities (masked logits) do not differ, though their difference is not a number.
        unequal = one != other
        difference = _largest(_wide(one[unequal]) - _wide(other[unequal]))
        if not difference <= tolerance:
            raise InexactEditError(
                f"pruned and ablated copies differ by {difference:.2e} on the example inputs, more than "
                f"{tolerance:.0e}: {unseen}"
            )
        worst = max(worst, difference)
    return worst


def _largest(values: Tensor) -> float:
    return _wide(values).abs().amax().item() if values.numel() else 0.0


def _wide(values: Tensor) -> Tensor:
    """The values on the CPU in a type that holds all others, truth values included."""
    return values.cpu().to(torch.complex128)


def _outputs(model: nn.Module, arguments: tuple[Any, ...]) -> list[Tensor]:
    """What the model, in evaluation mode, makes of copies of the arguments, as a flat list."""
    own = tree_map(lambda value: value.detach().clone() if isinstance(value, Tensor) else value, arguments)
    with torch.no_grad(), same_randomness(model):
        leaves = tree_leaves(model.eval()(*own))
    return [leaf for leaf in leaves if isinstance(leaf, Tensor)]
