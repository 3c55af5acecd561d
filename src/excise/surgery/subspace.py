"""Removal of a direction or a subspace, which need not lie on the axes.

Where features only flow through sums, products with weights and norms, turning all of them alike changes nothing, so a
subspace can go as single features do: what writes it is projected, and what reads it. A function of single numbers
in the way is not turned alike, and forbids it. The gain of a norm is folded into what reads it: exactly, since
W (g n) = (W g) n. Behind a norm whose output goes on as the stream itself (post-norm) there is no weight to fold the
gain into; the norm then gives its place to one that projects its output.
"""

from dataclasses import replace

import torch
from torch import Tensor, nn

from excise.compute import suited_to
from excise.errors import SettingError, ShapeError
from excise.surgery.complete import check_flow
from excise.surgery.copying import ModelT
from excise.surgery.edit import Edit, build_report, check_strength, plan
from excise.surgery.editable import check_asked
from excise.surgery.examples import ExampleInputs, Examples, examples_for
from excise.surgery.report import Mode
from excise.surgery.space import Space
from excise.surgery.trace import follow_features
from excise.surgery.verify import difference, outputs_projected, rewritten

__all__ = ["plan_subspace", "remove_subspace"]


def remove_subspace(
    model: ModelT,
    layer: str,
    basis: Tensor,
    mode: Mode = "ablate",
    example_inputs: ExampleInputs | None = None,
    *,
    axis: int | None = None,
    strength: float = 1.0,
) -> ModelT:
    """A copy of the model in which a direction or subspace of a place is gone, from its weights.

    Args:
        model: any module; it is left untouched.
        layer: the module whose output holds the features, as in `model.named_modules()`; or "path:operation".
        basis: a direction `[d]`, or vectors that span the subspace `[k, d]`, of any length; d is the width of the
            place.
        mode: "ablate" projects what writes and what reads it; "prune" turns the features until it lies on the last
            ones, and removes those.
        example_inputs: what the model is called with; see `plan`.
        axis: where the features lie in the output; None is the last one.
        strength: for "ablate", the share that is taken away, in (0, 1]; below 1 only where sums alone write it.

    Raises:
        ShapeError: the basis is not as wide as the place.
        SettingError: it is no basis (zeros, vectors that depend on each other, as many as the place is wide), or a
            mode or strength that is none.
        SurgeryError, and its kinds: the edit cannot be made, or not exactly; see `plan`.
    """
    edit = plan_subspace(model, layer, basis, mode, example_inputs, axis=axis, strength=strength)
    return edit.apply(model)


def plan_subspace(
    model: nn.Module,
    layer: str,
    basis: Tensor,
    mode: Mode = "ablate",
    example_inputs: ExampleInputs | None = None,
    *,
    axis: int | None = None,
    strength: float = 1.0,
) -> Edit:
    """Plan what `remove_subspace` does; raises what it raises. The model is not changed."""
    if mode not in ("ablate", "prune"):
        raise SettingError(f"mode is 'ablate' or 'prune'; {mode!r} came.")
    check_strength(strength, mode)
    check_asked(model, layer)
    with suited_to(model):
        examples = examples_for(model, example_inputs)
        flow = follow_features(model, layer, examples, axis)
        check_flow(flow)
        vectors = _orthonormal(basis, flow.features.count, layer)
        found = Space(flow).walk(partial=strength < 1)
        if mode == "prune":
            return _pruned(model, layer, found, vectors, examples=examples, axis=axis)
        rewrite, units = found.projection(vectors, strength)
        reference = outputs_projected(flow, examples, vectors, units, strength)
        spare = flow.recording.release()
        checked = difference(
            model, rewrite, reference, examples, place=layer, dtype=flow.recording.coarsest, spare=spare
        )
        report = build_report(flow, rewrite, "ablate", examples, folded=[], checked=checked)
        return Edit("ablate", layer, (), type(model).__name__, rewrite, report)


def _pruned(
    model: nn.Module, layer: str, found: Space, vectors: Tensor, *, examples: Examples, axis: int | None
) -> Edit:
    """Turn, so that the subspace lies on the last features, and prune those."""
    turn = found.rotation(vectors)
    found.flow.recording.release()
    turned = rewritten(model, turn)
    width, gone = vectors.shape[1], vectors.shape[0]
    inputs = examples.keywords or examples.arguments
    edit = plan(turned, layer, range(width - gone, width), "prune", inputs, axis=axis)
    rewrite = edit.rewrite.model_copy(update={"before": turn})
    note = (
        f"The features were turned before, so that the subspace lies on dims {width - gone} to {width - 1}."
    )
    report = replace(edit.report, notes=(*edit.report.notes, note))
    return Edit("prune", layer, (), type(model).__name__, rewrite, report)


def _orthonormal(basis: object, width: int, layer: str) -> Tensor:
    """The rows of a basis `[k, d]`, made orthonormal, in float64."""
    if not isinstance(basis, Tensor) or not basis.is_floating_point() or basis.ndim not in (1, 2):
        raise SettingError(f"the basis is a tensor of floating-point numbers, [d] or [k, d]; {basis!r} came.")
    rows = basis.detach().double().cpu().reshape(-1, basis.shape[-1])
    if rows.shape[1] != width:
        raise ShapeError(
            f"{layer!r} has {width} features, so that the basis is [{width}] or [k, {width}]; {list(basis.shape)} came."
        )
    if not bool(rows.isfinite().all()):
        raise SettingError("the basis holds numbers that are not finite.")
    if len(rows) >= width:
        raise SettingError(
            f"{len(rows)} vectors came for the {width} features of {layer!r}: nothing would be left."
        )
    lengths = rows.norm(dim=1)
    if bool((lengths == 0).any()):
        raise SettingError("the basis holds a vector of zeros, which is no direction.")
    units = rows / lengths[:, None]
    if int(torch.linalg.matrix_rank(units, rtol=1e-8)) < len(rows):
        raise SettingError("the vectors of the basis depend on each other; give fewer, that span the same.")
    return torch.linalg.qr(units.T).Q.T
