"""Binds regularizers to the layers of a model, to labels, and to a schedule of weights.

An `Anchoring` is a description; it knows no model. Attached to one, it listens to the layers it names while the
model runs, and gives the weighted sum of its terms as one loss to add to the user's own. It works in any loop:

```python
with anchoring.attach(model) as terms:
    for step, (x, labels) in enumerate(batches):
        loss = mse(model(x), x) + terms.loss(labels, step)
        ...
```
"""

import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from excise.activations import Activations, capture
from excise.anchoring.labels import shares_of
from excise.anchoring.pull import Part, pull
from excise.anchoring.regularizers import Regularizer
from excise.errors import (
    CaptureError,
    NonFiniteError,
    SettingError,
    ShapeError,
    UnknownLabelError,
    UnmatchedLabelWarning,
    UnusedColumnWarning,
    nearest,
    shorten,
)
from excise.schedule import Dopesheet, Timeline

__all__ = ["Anchoring", "AttachedTerms", "Term"]

LEARNING_RATE = "lr"
"""The one column of a schedule that drives the optimiser and not a term."""


@dataclass(frozen=True)
class Term:
    """One regularizer, where it acts and on which samples.

    Args:
        name: the schedule's column that holds its weight.
        regularizer: a per-sample loss: activations `[batch, ..., latent]` to values `[batch, ...]`. Its gradient
            reaches the model; parameters of its own get none.
        layer: the module whose output it is given, as in `model.named_modules()`.
        affinities: how strongly each label switches it on. Empty means that every sample counts alike.

    Raises:
        SettingError: an empty name or layer, a regularizer that is no function, or affinities that are no mapping, not
            finite, or none above 0.
    """

    name: str
    regularizer: Regularizer | Callable[[Tensor], Tensor]
    layer: str
    affinities: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.name or not self.layer:
            raise SettingError(
                f"a term has a name and a layer; name={self.name!r}, layer={self.layer!r} came."
            )
        if isinstance(self.regularizer, type):
            raise SettingError(
                f"term {self.name!r} takes a regularizer, not its class: write {self.regularizer.__name__}(...)."
            )
        if not callable(self.regularizer):
            raise SettingError(f"term {self.name!r} takes a regularizer; {self.regularizer!r} came.")
        if not isinstance(self.affinities, Mapping):
            raise SettingError(f"affinities are a mapping such as {{'red': 1.0}}; {self.affinities!r} came.")
        for label, strength in self.affinities.items():
            if not isinstance(strength, int | float) or not math.isfinite(strength):
                raise SettingError(
                    f"term {self.name!r}: the affinity of {label!r} is {strength!r}, no finite number."
                )
        if self.affinities and max(self.affinities.values()) <= 0:
            raise SettingError(
                f"term {self.name!r} would never act: none of its affinities is above 0; {dict(self.affinities)} came."
            )


class Anchoring:
    """Terms that shape a model while it trains, each with its weight over time.

    Args:
        terms: what shapes the model; names are distinct.
        schedule: the weights, one column a term, and perhaps the learning rate (`lr`). A term without a column
            has weight 1, which `notes` states. None gives every term weight 1.

    Raises:
        SettingError: two terms share a name, a term is called `lr`, or the schedule is none.

    Warns:
        UnusedColumnWarning: a column of the schedule drives no term.
    """

    def __init__(self, terms: Iterable[Term], schedule: Dopesheet | Timeline | None = None) -> None:
        if not isinstance(schedule, Dopesheet | Timeline | None):
            raise SettingError(
                f"a schedule is a Dopesheet or a Timeline; {schedule!r} came. Dopesheet.read_csv reads a file."
            )
        self.terms = tuple(terms)
        names = [term.name for term in self.terms]
        if len(set(names)) != len(names):
            twice = sorted({name for name in names if names.count(name) > 1})
            raise SettingError(f"each term has its own name; {shorten(twice)} came more than once.")
        if LEARNING_RATE in names:
            raise SettingError(
                f"{LEARNING_RATE!r} is the schedule's column for the learning rate, not a term."
            )
        self.timeline = schedule.timeline() if isinstance(schedule, Dopesheet) else schedule
        columns = () if self.timeline is None else self.timeline.properties
        empty = schedule.empty_columns if isinstance(schedule, Dopesheet) else ()
        for column in (*columns, *empty):
            if column != LEARNING_RATE and column not in names:
                hint = nearest(column, (name for name in names if name not in columns))
                meant = f" Did you mean the term {' or '.join(map(repr, hint))}?" if hint else ""
                warnings.warn(
                    f"the schedule's column {column!r} drives nothing: no term has that name.{meant} "
                    f"Terms: {shorten(names)}.",
                    UnusedColumnWarning,
                    stacklevel=2,
                )
        self.notes: tuple[str, ...] = tuple(
            f"term {name!r} has {'an empty' if name in empty else 'no'} column in the schedule: "
            f"its weight is 1 at every step"
            for name in names
            if self.timeline is not None and name not in columns
        )

    def __repr__(self) -> str:
        """The terms, one a line, with what drives each."""
        lines = []
        for term in self.terms:
            scheduled = self.timeline is not None and term.name in self.timeline.properties
            affinities = "".join(f", {label} x {strength:g}" for label, strength in term.affinities.items())
            weight = "scheduled" if scheduled else "weight 1"
            lines.append(f"  {term.name}: {term.regularizer} on {term.layer!r}{affinities} ({weight})")
        return "\n".join(["Anchoring(", *lines, ")"])

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers that the terms listen to, each once."""
        return tuple(dict.fromkeys(term.layer for term in self.terms))

    @contextmanager
    def attach(self, model: nn.Module, labels: Iterable[str] | None = None) -> Iterator["AttachedTerms"]:
        """Listen to the model's layers for as long as the block lasts.

        Args:
            model: the model to shape; only hooks are put on it, and they come off even on an error.
            labels: the names of all labels that batches may carry. Given, a term whose label is not among them
                is refused at once, and a batch without a label skips its terms silently.

        Raises:
            UnknownLayerError: the model lacks a layer that a term names.
            UnknownLabelError: `labels` is given and lacks a label that a term names.
            SettingError: `labels` is one name instead of a list of them.
        """
        if isinstance(labels, str):
            raise SettingError(f"attach takes a list of labels: write [{labels!r}].")
        known = None if labels is None else tuple(labels)
        if known is not None:
            for term in self.terms:
                for label in term.affinities:
                    if label not in known:
                        raise UnknownLabelError(label, known, f"for term {term.name!r}")
        with capture(model, self.layers) as activations:
            yield AttachedTerms(self, activations, known)


class AttachedTerms:
    """The terms of an anchoring while they listen to one model.

    Attributes:
        values: the unweighted value of each term in the latest loss, by name, detached; a term that was
            skipped (weight 0, or no sample of the batch carries its labels) is absent.
    """

    def __init__(
        self, anchoring: Anchoring, activations: Activations, labels: tuple[str, ...] | None
    ) -> None:
        self.values: dict[str, Tensor] = {}
        self._activations = activations
        self._warned: set[str] | None = set() if labels is None else None
        timeline = anchoring.timeline
        self._terms = [
            (term, timeline.table[term.name].tolist())
            if timeline is not None and term.name in timeline.properties
            else (term, [1.0])
            for term in anchoring.terms
        ]
        self._widths: dict[str, int] = {}
        self._checked = False

    def weights(self, step: int) -> dict[str, float]:
        """The weight of each term at an optimiser step, counted from 0; past the schedule's end the last holds."""
        return {term.name: weights[min(step, len(weights) - 1)] for term, weights in self._terms}

    def loss(self, labels: Mapping[str, Tensor], step: int) -> Tensor:
        """The weighted sum of the terms for the forward pass that has just run.

        Of a layer that the pass calls twice, the second call counts.

        Args:
            labels: for each label, which samples of the batch carry it, `[batch]`, in [0, 1]. A term none of
                whose labels is here is skipped.
            step: the optimiser step, counted from 0.

        Returns:
            A scalar with a graph to the model's weights (0 without one when every term is skipped).

        Raises:
            CaptureError: a layer did not run since the last loss, its output was overwritten in place, or carries no
                gradient although gradients are on.
            ShapeError: a regularizer or the labels do not fit the layer's activations.
            NonFiniteError: a term is NaN or infinite.
            SettingError: the step is negative.

        Warns:
            UnmatchedLabelWarning: once a label, when `attach` was not told the labels and a batch lacks one.
        """
        if step < 0:
            raise SettingError(f"steps count from 0; {step} came.")
        if self._warned is not None:
            self._warn(self._warned, labels)
        try:
            total = self._sum(labels, step)
        finally:
            self._activations.clear()
        if total is None:
            return torch.zeros(())
        if not math.isfinite(total.item()):
            self._blame(step, total.item())
        return total

    def _sum(self, labels: Mapping[str, Tensor], step: int) -> Tensor | None:
        if not self._checked:
            self._check_all()
        by_layer: dict[str, tuple[list[str], list[Part]]] = {}
        for term, weights in self._terms:
            weight = weights[step] if step < len(weights) else weights[-1]
            if weight == 0:
                continue
            shares = shares_of(labels, term.affinities) if term.affinities else None
            if term.affinities and shares is None:
                continue
            names, parts = by_layer.setdefault(term.layer, ([], []))
            names.append(term.name)
            parts.append((term.regularizer, shares, weight))
        self.values = {}
        total: Tensor | None = None
        for layer, (names, parts) in by_layer.items():
            activations = self._activations[layer]
            if activations.ndim < 2 or self._widths.get(layer) != activations.shape[-1]:
                self._check(layer, activations)
            if not activations.requires_grad and torch.is_grad_enabled():
                raise CaptureError(
                    f"the output of layer {layer!r} carries no gradient, so its terms cannot shape the model: it ran "
                    f"under no_grad or a reentrant checkpoint (use_reentrant=False works), or all before it is frozen. "
                    f"To measure the terms only, ask for the loss under torch.no_grad()."
                )
            part, values = pull(activations, parts)
            self.values.update(zip(names, values, strict=True))
            total = part if total is None else total + part
        return total

    def _check_all(self) -> None:
        """Check every layer that has run, so that a term is refused before its weight first leaves 0."""
        for layer in self._activations.layers:
            if self._activations.ran(layer):
                self._check(layer, self._activations[layer])
        self._checked = True

    def _check(self, layer: str, activations: Tensor) -> None:
        if activations.ndim < 2:
            raise ShapeError(
                f"layer {layer!r} gives the shape {list(activations.shape)}; terms act on [batch, ..., latent]. "
                f"Call the model on a batch."
            )
        for term, _ in self._terms:
            if term.layer == layer and isinstance(term.regularizer, Regularizer):
                try:
                    term.regularizer.check_width(activations.shape[-1])
                except ShapeError as error:
                    raise ShapeError(f"term {term.name!r} on layer {layer!r}: {error}") from None
        self._widths[layer] = activations.shape[-1]

    def _warn(self, warned: set[str], labels: Mapping[str, Tensor]) -> None:
        for term, _ in self._terms:
            for label in term.affinities:
                if label not in labels and label not in warned:
                    warned.add(label)
                    warnings.warn(
                        f"term {term.name!r} acts on the label {label!r}, which this batch does not carry; it "
                        f"carries {shorten(labels) or 'none'}. If some batches lack it by design, pass "
                        f"attach(model, labels=[...]).",
                        UnmatchedLabelWarning,
                        stacklevel=3,
                    )

    def _blame(self, step: int, total: float) -> None:
        for name, value in self.values.items():
            if not math.isfinite(value.item()):
                raise NonFiniteError(name, step, value.item())
        raise NonFiniteError("the weighted sum of the terms", step, total)
