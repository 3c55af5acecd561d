"""An edit of weights: planned and tried on a copy, looked at, then applied."""

import weakref
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from typing import SupportsIndex, get_args

from torch import nn

from excise.compute import suited_to
from excise.errors import SettingError, SurgeryError, shorten
from excise.surgery.complete import check_flow
from excise.surgery.constants import kept_constants
from excise.surgery.copying import ModelT
from excise.surgery.costs import flops
from excise.surgery.editable import check_asked
from excise.surgery.examples import ExampleInputs, Examples, examples_for
from excise.surgery.flow import Flow
from excise.surgery.partial import scaling
from excise.surgery.places import place_values
from excise.surgery.planning import ablation, pruning
from excise.surgery.pretrained import follow_config
from excise.surgery.recording import Recording
from excise.surgery.removal import Removal, check_dims
from excise.surgery.report import EditReport, Mode, ParameterChange
from excise.surgery.rewrite import Rewrite
from excise.surgery.trace import describe, follow_features
from excise.surgery.verify import difference, outputs_without, rewritten
from excise.surgery.zeros import check_zeros

__all__ = ["Edit", "build_report", "check_strength", "edits_of", "plan"]

_EDITS: weakref.WeakKeyDictionary[nn.Module, tuple["Edit", ...]] = weakref.WeakKeyDictionary()


@dataclass(frozen=True, repr=False)
class Edit:
    """A planned edit; `apply` makes an edited copy of a model.

    Attributes:
        mode: "ablate" or "prune".
        layer: the place whose features go.
        dims: which of them; empty where a subspace goes.
        model: the name of the model's class.
        rewrite: the steps, by the names of tensors and modules; no weights.
        report: what the edit does, and how exact it is.
    """

    mode: Mode
    layer: str
    dims: tuple[int, ...]
    model: str
    rewrite: Rewrite
    report: EditReport

    def __repr__(self) -> str:
        return f"<Edit of a {self.model}: {self.report.mode} {self.report.what} of {self.layer!r}>"

    def _repr_html_(self) -> str:
        return self.report._repr_html_()

    def apply(self, model: ModelT) -> ModelT:
        """An edited copy of `model`, which is left untouched; tied parameters stay tied in the copy.

        Raises:
            SurgeryError: the model is not the one the edit was planned on, nor one built like it.
        """
        check_asked(model, self.layer)
        if type(model).__name__ != self.model:
            raise SurgeryError(
                f"this edit was planned on another model: a {self.model} there and a "
                f"{type(model).__name__} here. Plan it "
                f"anew on this one."
            )
        self.rewrite.check(model)
        edited = rewritten(model, self.rewrite)
        follow_config(edited, self.rewrite)
        _EDITS[edited] = (*edits_of(model), self)
        return edited


def edits_of(model: nn.Module) -> tuple[Edit, ...]:
    """The edits that a model was made by, in order; none for a model that no edit made."""
    return _EDITS.get(model, ())


def plan(
    model: nn.Module,
    layer: str,
    dims: Iterable[SupportsIndex],
    mode: Mode = "prune",
    example_inputs: ExampleInputs | None = None,
    *,
    axis: int | None = None,
    strength: float = 1.0,
    may_change_output: bool = False,
    keep_constants: bool = False,
) -> Edit:
    """Plan the removal of features from a place; the model is not changed.

    The features are followed through one recorded forward pass (see `trace`) to every tensor that carries them and
    every parameter that writes or reads them. The planned edit is then tried on a copy, in evaluation mode, and its
    outputs are held against those of the model with the features zeroed wherever they are carried. They may differ by
    1e-5 (1e-10 in float64, 5e-3 in float16, 5e-2 in bfloat16), times the largest output where that is above 1.

    Args:
        model: any module.
        layer: the module whose output holds the features, as in `model.named_modules()`; or "path:operation".
        dims: the features to remove, counted from 0; distinct, and not all of them.
        mode: "ablate" zeroes what writes and what reads them; "prune" removes it.
        example_inputs: what the model is called with: a tensor, a tuple of arguments, or a dict of keyword arguments.
            None tries what the first layers with weights would take.
        axis: where the features lie in the output; None is the channel axis behind convolutions, the last one
            elsewhere.
        strength: for "ablate", the share that is taken away, in (0, 1].
        may_change_output: for "prune", whether features may leave the model as outputs, which then get narrower.
        keep_constants: whether constants that functions make of zeroed features (0.5 of a sigmoid) stay, in the biases
            of what reads them, as if the features were zeroed at their place only.

    Raises:
        UnknownLayerError: the model has no such place.
        DimsError: dims outside the place, repeated, none, all of them, or such that others go with them or that no
            whole tensors would be left.
        SettingError: a mode that is neither "ablate" nor "prune", a model that is no module, a layer that is no string.
        UnfollowableError: the features come to something that cannot be followed, or cannot be edited; it is named.
        InexactEditError: the edited copy computes something else than the model without the features.
        SurgeryError: the model is compiled, scripted, quantised or sparse, cannot be copied, or does not run on the
            example inputs.
    """
    if mode not in get_args(Mode):
        raise SettingError(f"mode is 'ablate' or 'prune'; {mode!r} came.")
    check_strength(strength, mode)
    if keep_constants and strength < 1:
        raise SettingError(
            "constants are kept where the features go whole; keep_constants goes with strength=1."
        )
    check_asked(model, layer)
    with suited_to(model):  # Thread pools that this wakes would slow down whatever a tiny model does next.
        examples = examples_for(model, example_inputs)
        flow = follow_features(model, layer, examples, axis)
        removal = Removal(flow, check_dims(dims, layer, flow.features.count))
        check_flow(flow)
        folded: list[str] = []
        if mode == "prune":
            rewrite, folded = pruning(removal, may_change_output=may_change_output)
        elif strength < 1:
            rewrite = scaling(removal, strength)
        else:
            if not keep_constants:
                check_zeros(removal)
            rewrite = ablation(removal)
        if keep_constants:
            shifts, reference = kept_constants(removal, place_values(flow.recording, layer), examples)
            rewrite = rewrite.model_copy(update={"shifts": tuple(shifts)})
        else:
            reference = outputs_without(removal, examples, strength)
        spare = flow.recording.release()  # So that the model and one copy are all there is at a time.
        checked = difference(
            model, rewrite, reference, examples, place=layer, dtype=flow.recording.coarsest, spare=spare
        )
        report = build_report(flow, rewrite, mode, examples, folded=folded, checked=checked, removal=removal)
        return Edit(mode, layer, removal.dims, type(model).__name__, rewrite, report)


def check_strength(strength: float, mode: Mode) -> None:
    """Refuse a strength outside (0, 1], and a part of a removal that removes shapes."""
    if not 0 < strength <= 1:
        raise SettingError(f"strength is above 0 and at most 1; {strength!r} came.")
    if mode == "prune" and strength < 1:
        raise SettingError(
            "prune removes the features whole; for part of them, use mode='ablate' or `excise.suppress`."
        )


def build_report(
    flow: Flow,
    rewrite: Rewrite,
    mode: Mode,
    examples: Examples,
    *,
    folded: list[str],
    checked: float,
    removal: Removal | None = None,
) -> EditReport:
    """What a rewrite does to the model of a recorded pass; `removal` where single features go."""
    recording = flow.recording
    shapes = {name: value.shape for name, value in recording.leaves.items()}
    after: dict[str, tuple[int, ...]] = {}
    if removal is not None:
        after = {shrink.name: removal.new_shape(recording.leaves[shrink.name]) for shrink in rewrite.shrinks}
    done: dict[str, str] = {}
    for fill in rewrite.fills:
        done[fill.name] = "zeroed" if fill.factor is None else f"times {fill.factor:g}"
    done |= dict.fromkeys(after, "removed")
    for rescale in rewrite.rescales:
        done[rescale.name] = f"{done.get(rescale.name, '')}, times {rescale.factor:.6g}".lstrip(", ")
    done |= {
        shift.name: f"{done.get(shift.name, '')}, raised by constants".lstrip(", ")
        for shift in rewrite.shifts
    }
    done |= {project.name: "projected" for project in rewrite.projects}
    changes = tuple(
        ParameterChange(name, shapes[name], after.get(name, shapes[name]), what)
        for name, what in done.items()
    )
    before, left = parameter_counts(recording, after)
    notes = []
    if examples.guessed:
        notes.append(f"No example inputs came; it was tried on {examples.shapes()}.")
    reads = list(dict.fromkeys(call.line for call in recording.reads))
    if reads:
        more = f" and in {len(reads) - 1} more places" if len(reads) > 1 else ""
        file, line = reads[0]
        notes.append(
            f"Python code depends on values that the inputs give ({file}, line {line}{more}); another way "
            f"through it was not seen."
        )
    idle = _never_ran(recording)
    if idle:
        notes.append(
            f"Never ran on the example inputs, and keeps what it has: {shorten(idle, limit=3)}. Where it uses the "
            f"features (in training, in another method), it does not fit any more."
        )
    if folded:
        notes.append(f"Gains and eps were adapted to the new width in {', '.join(folded)}.")
    projected = [swap.path for swap in rewrite.swaps if swap.kind == "projected"]
    if projected:
        notes.append(f"Modules that project their output took the place of {', '.join(projected)}.")
    return EditReport(
        mode, () if removal is None else removal.dims, describe(flow), changes,
        "exact after folding" if folded else "exact", before, left, flops(recording),
        flops(recording, removal if mode == "prune" else None), checked, tuple(notes),
    )  # fmt: skip


def _never_ran(recording: Recording) -> list[str]:
    """The modules with parameters of which the pass used none."""
    used: dict[str, bool] = {}
    for name in recording.parameters:
        path = name.rpartition(".")[0]
        used[path] = used.get(path, False) or bool(recording.leaves[name].users)
    return [path for path, ran in used.items() if not ran]


def parameter_counts(recording: Recording, after: Mapping[str, tuple[int, ...]]) -> tuple[int, int]:
    """How many numbers the parameters hold, before and after some get other shapes; tied ones count once."""
    before = left = 0
    for name, shapes in recording.parameters.items():
        old = recording.leaves[name].shape
        new = after.get(name, old)
        for shape in shapes:
            before += prod(shape)
            # Of a weight that is computed from several, each follows on the axes that it has whole.
            left += prod(
                new[axis] if axis < len(old) and size == old[axis] else size
                for axis, size in enumerate(shape)
            )
    return before, left
