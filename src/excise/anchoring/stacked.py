"""The terms of an anchoring on a stack of models at once: activations `[model, batch, ..., latent]`.

Each model of the stack is dealt with as if it were alone. Where one model is trained, `pull` does the same work.
"""

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor

from excise.anchoring.anchoring import Term
from excise.anchoring.regularizers import Regularizer
from excise.errors import CaptureError, ShapeError

__all__ = ["StackedTerms", "check_layers", "stacked_shares"]

_EPSILON = 1e-8


class StackedTerms:
    """The terms of one optimiser step on a stack of models.

    Attributes:
        values: the unweighted value of each term, `[model]`; NaN for a model none of whose samples carries the term's
            labels, as its term is skipped there. A term that no model has any such sample for is there all the same.
        totals: for each model the weighted sum of its terms, `[model]`.
        slopes: for each layer the gradient of that sum by its activations.

    Args:
        terms: each with its weight; a weight of exactly 0 skips the term.
        activations: what each layer gave, `[model, batch, ..., latent]`.
        labels: for each label, which samples carry it: `[model, batch]`, in [0, 1].

    Raises:
        ShapeError: a regularizer or the labels do not fit the layer's activations.
    """

    def __init__(
        self,
        terms: Iterable[tuple[Term, float]],
        activations: Mapping[str, Tensor],
        labels: Mapping[str, Tensor],
    ) -> None:
        self.values: dict[str, Tensor] = {}
        self._counts: dict[str, Tensor | None] = {}
        self.slopes: dict[str, Tensor] = {}
        self.totals: Tensor | float = 0.0
        shares_by_labels: dict[tuple[tuple[str, float], ...], tuple[Tensor, Tensor] | None] = {}
        for term, weight in terms:
            if weight == 0:
                continue
            layer = activations[term.layer]
            shares = counts = None
            if term.affinities:
                key = tuple(term.affinities.items())
                if key not in shares_by_labels:
                    shares_by_labels[key] = stacked_shares(labels, term.affinities)
                found = shares_by_labels[key]
                if found is None:
                    continue
                shares, counts = found
            value, slope = _value_and_slope(term, layer.detach(), shares)
            self.totals = value * weight + self.totals
            self._counts[term.name] = counts
            self.values[term.name] = value if counts is None else torch.where(counts > 0, value, torch.nan)
            if term.layer in self.slopes:
                self.slopes[term.layer].add_(slope, alpha=weight)
            else:
                self.slopes[term.layer] = slope * weight

    def skipped(self, name: str, model: int) -> bool:
        """Whether no sample of a model's batch counted for a term."""
        counts = self._counts[name]
        return counts is not None and counts[model].item() == 0


def stacked_shares(
    labels: Mapping[str, Tensor], affinities: Mapping[str, float]
) -> tuple[Tensor, Tensor] | None:
    """How much each sample counts in its own model's batch, and the sum of weights that the shares were taken of.

    Args:
        labels: for each label that the batches carry, which samples have it, `[model, batch]`, in [0, 1].
        affinities: for each label, how strongly it switches the regularizer on.

    Returns:
        The shares `[model, batch]`, all 0 for a model none of whose samples counts, and the sums `[model]`; None when
        the batches carry no such label at all.

    Raises:
        ShapeError: a label is not `[model, batch]`.
    """
    parts = []
    for label, strength in affinities.items():
        if label not in labels:
            continue
        if labels[label].ndim != 2:
            raise ShapeError(
                f"label {label!r} takes one value a sample, [batch]; {list(labels[label].shape[1:])} came."
            )
        parts.append(labels[label] * float(strength))
    if not parts:
        return None
    weights = sum(parts[1:], parts[0]).clamp(0, 1)
    counts = weights.sum(dim=-1)
    return weights / (counts + _EPSILON).unsqueeze(-1), counts


def _value_and_slope(term: Term, layer: Tensor, shares: Tensor | None) -> tuple[Tensor, Tensor]:
    """The term's value `[model]` and its gradient, shaped like the layer's activations."""
    models, samples = layer.shape[0], layer.shape[1:-1]
    if not samples:
        raise ShapeError(
            f"term {term.name!r}: layer {term.layer!r} gives {list(layer.shape[1:])} for a batch; terms act on "
            f"[batch, ..., latent]."
        )
    count = samples.numel()
    if not count:
        raise ShapeError(f"layer {term.layer!r} gives no sample (shape {list(layer.shape[1:])}).")
    flat = layer.reshape(models, count, layer.shape[-1])
    if flat.dtype in (torch.float16, torch.bfloat16):
        flat = flat.float()
    if shares is None:
        shares = torch.full((models, count), 1 / count, dtype=flat.dtype, device=flat.device)
    elif shares.shape[1] != samples[0]:
        raise ShapeError(
            f"labels are given for {shares.shape[1]} samples, but layer {term.layer!r} has activations for "
            f"{samples[0]}."
        )
    else:
        positions = count // samples[0]
        shares = (shares.to(flat.dtype) / positions).repeat_interleave(positions, dim=1)
    if isinstance(term.regularizer, Regularizer):
        value, slope = term.regularizer.value_and_slope(flat, shares)
    else:
        value, slope = _by_autograd(term, flat, shares, layer.shape)
    return value, slope.view(layer.shape).to(layer.dtype)


def _by_autograd(term: Term, flat: Tensor, shares: Tensor, shape: torch.Size) -> tuple[Tensor, Tensor]:
    """The same for a regularizer that is a plain function, which is given one model's activations at a time."""
    with torch.enable_grad():
        leaf = flat.clone().requires_grad_()
        values = _of_each(term.regularizer, leaf.view(shape))
        if values.shape != shape[:-1]:
            raise ShapeError(
                f"term {term.name!r}: a regularizer gives one value a sample: activations {list(shape[1:])} to values "
                f"{list(shape[1:-1])}; {list(values.shape[1:])} came."
            )
        value = (values.flatten(1) * shares.to(values.dtype)).sum(dim=-1)
        slope = torch.autograd.grad(value.sum(), leaf, allow_unused=True)[0] if value.requires_grad else None
    return value.detach(), torch.zeros_like(flat) if slope is None else slope


def _of_each(function: Callable[[Tensor], Tensor], stacked: Tensor) -> Tensor:
    """What a function makes of each model's activations: at once where it can be batched, else one by one."""
    try:
        return torch.vmap(function)(stacked)
    except RuntimeError:  # It draws random numbers, or branches on values.
        return torch.stack([function(one) for one in stacked])


def check_layers(terms: Iterable[Term], activations: Mapping[str, Tensor]) -> None:
    """Refuse activations `[model, batch, ..., latent]` that a term cannot act on, before its weight first leaves 0.

    Raises:
        ShapeError: a regularizer is for another width.
        CaptureError: a layer's output carries no gradient.
    """
    for term in terms:
        layer = activations[term.layer]
        if not layer.requires_grad:
            raise CaptureError(
                f"the output of layer {term.layer!r} carries no gradient, so term {term.name!r} cannot shape the "
                f"model: all before it is frozen, or it ran under no_grad."
            )
        if isinstance(term.regularizer, Regularizer):
            try:
                term.regularizer.check_width(layer.shape[-1])
            except ShapeError as error:
                raise ShapeError(f"term {term.name!r} on layer {term.layer!r}: {error}") from None
