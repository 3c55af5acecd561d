"""Trains many models of one architecture as one batch: stacked parameters, one forward and one backward pass for all.

A tiny model leaves a processor idle: most of a training step is spent on starting operations, not on carrying them
out. A stack of models shares that cost. Each keeps its own initial weights, samples and labels, so that it ends
where it would end in a stack of any other size, to the bit on a CPU.
"""

import copy
import math
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state
from torch.optim import Optimizer

from excise.activations import Activations, capture
from excise.anchoring import Anchoring
from excise.anchoring.stacked import StackedTerms, check_layers
from excise.compute import suited_to
from excise.errors import CannotStackWarning, ExciseError, NonFiniteError, SettingError, ShapeError
from excise.seeding import generator
from excise.stream import Batch, Stream, TensorStream
from excise.training.history import History, Observer, Snapshot
from excise.training.loop import fit, reconstruction, require_stream
from excise.training.plan import count_steps, learning_rates
from excise.training.stacking import FlatParameters
from excise.training.validation import Validation, term_values

__all__ = ["Outcome", "fit_lockstep"]

_CLOSE = {"rtol": 1e-3, "atol": 1e-4}
"""How near a stacked forward pass comes to that of one model; further apart it is another function."""


@dataclass(frozen=True)
class Outcome:
    """How the training of one seed ended.

    Attributes:
        seed: which.
        snapshots: what was logged.
        history: the same as arrays.
        error: why the training of this seed failed; None when it ended well. The others go on.
    """

    seed: int
    snapshots: tuple[Snapshot, ...]
    history: History
    error: NonFiniteError | None = None


class _CannotStackError(Exception):
    """These models, or their stream, cannot be trained as one batch."""


def fit_lockstep(
    models: Sequence[nn.Module],
    stream: Stream,
    anchoring: Anchoring | None = None,
    *,
    seeds: Sequence[int],
    steps: int | None = None,
    lr: float | None = None,
    objective: Callable[[Tensor, Batch], Tensor] = reconstruction,
    optimizer: Callable[[Iterable[nn.Parameter]], Optimizer] | None = None,
    observers: Iterable[Observer] = (),
    log_every: int = 10,
    validation: Validation | None = None,
) -> list[Outcome]:
    """Train models of one architecture in place, all at once; see `fit` for what each training is.

    Where they cannot be stacked (they differ in shape, draw random numbers as dropout does, branch on values, or the
    stream's batches differ in size) they are trained one after the other instead, and a warning says why.

    Args:
        models: one a seed, each with its own initial weights.
        stream: where batches come from; each seed draws its own from it.
        anchoring: the terms and their schedule, the same for all.
        seeds: one a model, distinct; each fixes what its model sees.
        steps: how many optimiser steps; None takes the length of the schedule.
        lr: the learning rate, where the schedule has no column `lr`.
        objective: the user's own loss, a scalar of one model's output and its batch.
        optimizer: makes the optimiser from the stacked parameters `[model, ...]`; it must treat each number by
            itself, as Adam and SGD do. None is Adam with torch's defaults.
        observers: told of every logged step: the mean over the seeds that are still finite.
        log_every: log each so many steps, and the last.
        validation: what is measured on a fixed batch, and how often.

    Returns:
        One outcome a seed, in order.

    Raises:
        SettingError: there are no models, or not as many as seeds, or a seed comes twice; and as in `fit`.
        UnknownLayerError, UnknownLabelError, ShapeError, ScheduleError, CaptureError: as in `fit`.

    Warns:
        CannotStackWarning: the models are trained one after the other.
    """
    if not models or len(models) != len(seeds) or len(set(seeds)) != len(seeds):
        raise SettingError(
            f"lockstep takes one model a seed, and distinct seeds; {len(models)} models and the seeds {list(seeds)} came."
        )
    if log_every < 1:
        raise SettingError(f"log_every is at least 1; {log_every} came.")
    anchoring = Anchoring([]) if anchoring is None else anchoring
    num_steps = count_steps(anchoring, steps)
    rates = learning_rates(anchoring, lr, num_steps)
    require_stream(stream)
    with anchoring.attach(models[0], stream.labels):
        pass  # An unknown layer or label is refused before any model is trained.
    watching = tuple(observers)
    try:
        stack = _Stack(models, stream, anchoring, tuple(seeds), objective, optimizer, rates)
        outcomes = stack.train(watching, log_every, validation)
    except _CannotStackError as reason:
        warnings.warn(
            f"the {len(models)} models are trained one after the other, not in lockstep: {reason}",
            CannotStackWarning,
            stacklevel=2,
        )
    else:
        stack.unstack(models)
        return outcomes
    return [
        _fit_one(
            model, seed, stream, anchoring, steps=steps, lr=lr, objective=objective, optimizer=optimizer,
            observers=watching, log_every=log_every, validation=validation,
        )
        for model, seed in zip(models, seeds, strict=True)
    ]  # fmt: skip


def _fit_one(
    model: nn.Module,
    seed: int,
    stream: Stream,
    anchoring: Anchoring,
    *,
    observers: tuple[Observer, ...],
    **settings: object,
) -> Outcome:
    snapshots: list[Snapshot] = []
    began = time.perf_counter()
    error = None
    try:
        fit(model, stream, anchoring, seed=seed, observers=[snapshots.append, *observers], **settings)  # as they came
    except NonFiniteError as failure:
        error = failure
    num_steps = snapshots[0].num_steps if snapshots else 0
    history = History.of(snapshots, seconds=time.perf_counter() - began, num_steps=num_steps)
    return Outcome(seed, tuple(snapshots), history, error)


class _Stack:
    """Models stacked along a leading axis, and their training."""

    def __init__(
        self,
        models: Sequence[nn.Module],
        stream: Stream,
        anchoring: Anchoring,
        seeds: tuple[int, ...],
        objective: Callable[[Tensor, Batch], Tensor],
        optimizer: Callable[[Iterable[nn.Parameter]], Optimizer] | None,
        rates: list[float],
    ) -> None:
        self.seeds = seeds
        self.anchoring = anchoring
        self.objective = objective
        self.rates = rates
        # Batched products of one matrix take another path than those of several, and round otherwise.
        self.models = [*models, *models] if len(models) == 1 else list(models)
        generators = [generator(seed, "data") for seed in (seeds * 2 if len(seeds) == 1 else seeds)]
        self.base = copy.deepcopy(self.models[0]).train()
        try:
            parameters, self.buffers = stack_module_state(self.models)
        except (RuntimeError, ValueError) as error:
            raise _CannotStackError(_first_line(error)) from error
        self.flat = FlatParameters(parameters)
        self.parameters = self.flat.tensors
        if not self.flat.trained:
            raise SettingError(f"this {type(models[0]).__name__} has no parameter that requires a gradient.")
        self.optimiser = self.flat.optimiser(optimizer, rates[0])
        self.batches = _stacked_batches(stream, generators)
        self.terms = [(term, self._weights(term.name)) for term in anchoring.terms]

    def _weights(self, name: str) -> list[float]:
        timeline, steps = self.anchoring.timeline, len(self.rates)
        if timeline is None or name not in timeline.properties:
            return [1.0] * steps
        column = timeline.table[name].tolist()[:steps]
        return column + column[-1:] * (steps - len(column))

    def train(
        self, observers: tuple[Observer, ...], log_every: int, validation: Validation | None
    ) -> list[Outcome]:
        num_steps = len(self.rates)
        log = _Log(self.seeds, num_steps, observers)
        with suited_to(self.base), capture(self.base, self.anchoring.layers) as activations:
            for step in range(num_steps):
                batch = next(self.batches)
                for group in self.optimiser.param_groups:
                    group["lr"] = self.rates[step]
                values, captured = self._forward(activations, batch, first=step == 0)
                terms = StackedTerms(
                    [(term, weights[step]) for term, weights in self.terms], captured, batch.labels
                )
                totals = values.detach() + terms.totals
                if not math.isfinite(totals.sum().item()):
                    log.blame(step, values.detach(), terms)
                    if log.all_failed:
                        break
                self.flat.clear_gradients()
                torch.autograd.backward(
                    [values.sum(), *(captured[layer] for layer in terms.slopes)],
                    [None, *terms.slopes.values()],
                )
                self.optimiser.step()
                validated = validation is not None and validation.is_due(step, num_steps)
                if validated or step % log_every == 0 or step == num_steps - 1:
                    held = (
                        self._validate(activations, validation)
                        if validated and validation is not None
                        else []
                    )
                    weights = {term.name: weights[step] for term, weights in self.terms}
                    log.add(step, totals, values.detach(), self.rates[step], terms.values, weights, held)
        return log.outcomes()

    def _forward(
        self, activations: Activations, batch: Batch, *, first: bool
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The objective of each model `[model]`, and what each layer with a term gave, `[model, batch, ..., latent]`."""

        def one(
            parameters: dict[str, Tensor], buffers: dict[str, Tensor], batch: Batch
        ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
            output = functional_call(self.base, (parameters, buffers), (batch.inputs,))
            value = self.objective(output, batch)
            if not isinstance(value, Tensor) or value.ndim:
                came = f"shape {list(value.shape)}" if isinstance(value, Tensor) else repr(value)
                raise ShapeError(
                    f"the objective is a scalar tensor, such as a mean over the batch; {came} came."
                )
            return value, output, {layer: activations[layer] for layer in activations.layers}

        try:
            values, outputs, captured = torch.vmap(one)(self.parameters, self.buffers, batch)
            if first:
                self._compare(outputs, batch)
        except ExciseError:
            raise
        except (RuntimeError, ValueError, TypeError, NotImplementedError) as error:
            raise _CannotStackError(_first_line(error)) from error
        if first:
            check_layers(self.anchoring.terms, captured)
        activations.clear()
        return values, captured

    def _compare(self, outputs: Tensor, batch: Batch) -> None:
        """Hold the stacked outputs against those of the first and the last model, run by themselves."""
        for index in {0, len(self.models) - 1}:
            alone = copy.deepcopy(self.models[index]).train()
            with torch.no_grad():
                output = alone(batch.inputs[index])
            if not torch.allclose(output, outputs[index].detach(), **_CLOSE, equal_nan=True):
                worst = float((output - outputs[index]).abs().max())
                raise _CannotStackError(
                    f"stacked, this {type(alone).__name__} computes something else than alone (outputs differ by "
                    f"{worst:.2g})."
                )

    def _validate(self, activations: Activations, validation: Validation) -> list[dict[str, float]]:
        batch = validation.batch

        def one(
            parameters: dict[str, Tensor], buffers: dict[str, Tensor]
        ) -> tuple[Tensor, dict[str, Tensor]]:
            output = functional_call(self.base, (parameters, buffers), (batch.inputs,))
            return self.objective(output, batch), {layer: activations[layer] for layer in activations.layers}

        self.base.eval()
        try:
            with torch.no_grad():
                values, captured = torch.vmap(one)(self.parameters, self.buffers)
        finally:
            self.base.train()
            activations.clear()
        count = len(values)
        labels = {name: label.expand(count, -1) for name, label in batch.labels.items()}
        terms = term_values(self.anchoring, captured, labels) if captured else [{} for _ in range(count)]
        return [{"objective": value, **term} for value, term in zip(values.tolist(), terms, strict=True)]

    def unstack(self, models: Sequence[nn.Module]) -> None:
        """Write the trained parameters and buffers into the models."""
        with torch.no_grad():
            for index, model in enumerate(models):
                for own, stacked in (
                    (dict(model.named_parameters()), self.parameters),
                    (dict(model.named_buffers()), self.buffers),
                ):
                    for name, values in stacked.items():
                        own[name].copy_(values[index])


class _Log:
    """Turns logged steps of a stack into snapshots: one a seed for the outcomes, their mean for observers."""

    def __init__(self, seeds: tuple[int, ...], num_steps: int, observers: tuple[Observer, ...]) -> None:
        self.seeds = seeds
        self.num_steps = num_steps
        self.observers = observers
        self.began = time.perf_counter()
        self.snapshots: list[list[Snapshot]] = [[] for _ in seeds]
        self.errors: dict[int, NonFiniteError] = {}

    @property
    def all_failed(self) -> bool:
        return len(self.errors) == len(self.seeds)

    def blame(self, step: int, values: Tensor, terms: StackedTerms) -> None:
        """Note, for each model whose loss has just stopped being finite, which part of it did."""
        for index in range(len(self.seeds)):
            if index in self.errors:
                continue
            parts = {"objective": values[index].item()}
            if isinstance(terms.totals, Tensor) and not math.isfinite(terms.totals[index].item()):
                parts |= {
                    name: value[index].item()
                    for name, value in terms.values.items()
                    if not terms.skipped(name, index)
                }
            for name, value in parts.items():
                if not math.isfinite(value):
                    self.errors[index] = NonFiniteError(name, step, value)
                    break

    def add(
        self,
        step: int,
        totals: Tensor,
        values: Tensor,
        rate: float,
        terms: Mapping[str, Tensor],
        weights: dict[str, float],
        validation: list[dict[str, float]],
    ) -> None:
        seconds = time.perf_counter() - self.began
        losses, objectives = totals.tolist(), values.tolist()
        columns = {name: column.tolist() for name, column in terms.items()}
        latest = []
        for index, snapshots in enumerate(self.snapshots):
            if index in self.errors:
                continue
            snapshot = Snapshot(
                step=step,
                num_steps=self.num_steps,
                loss=losses[index],
                objective=objectives[index],
                lr=rate,
                terms={
                    name: column[index] for name, column in columns.items() if not math.isnan(column[index])
                },
                weights=weights,
                seconds=seconds,
                validation=validation[index] if validation else {},
            )
            snapshots.append(snapshot)
            latest.append(snapshot)
        if latest and self.observers:
            mean = _mean(latest)
            for observer in self.observers:
                observer(mean)

    def outcomes(self) -> list[Outcome]:
        seconds = time.perf_counter() - self.began
        return [
            Outcome(
                seed,
                tuple(snapshots),
                History.of(snapshots, seconds=seconds, num_steps=self.num_steps),
                self.errors.get(index),
            )
            for index, (seed, snapshots) in enumerate(zip(self.seeds, self.snapshots, strict=True))
        ]


def _mean(snapshots: Sequence[Snapshot]) -> Snapshot:
    first, count = snapshots[0], len(snapshots)

    def averaged(tables: Iterable[Mapping[str, float]]) -> dict[str, float]:
        columns: dict[str, list[float]] = {}
        for table in tables:
            for name, value in table.items():
                columns.setdefault(name, []).append(value)
        return {name: sum(column) / len(column) for name, column in columns.items()}

    return Snapshot(
        step=first.step,
        num_steps=first.num_steps,
        loss=sum(snapshot.loss for snapshot in snapshots) / count,
        objective=sum(snapshot.objective for snapshot in snapshots) / count,
        lr=first.lr,
        terms=averaged(snapshot.terms for snapshot in snapshots),
        weights=first.weights,
        seconds=first.seconds,
        validation=averaged(snapshot.validation for snapshot in snapshots),
    )


def _stacked_batches(stream: Stream, generators: list[torch.Generator]) -> Iterator[Batch]:
    if type(stream) is TensorStream:
        return stream.stacked_batches(generators)
    return _stack_each([stream.batches(generator) for generator in generators])


def _stack_each(iterators: list[Iterator[Batch]]) -> Iterator[Batch]:
    for batches in zip(*iterators, strict=False):
        names = [tuple(batch.labels) for batch in batches]
        try:
            if len(set(names)) > 1:
                raise RuntimeError("the batches of two seeds carry different labels.")
            inputs = torch.stack([batch.inputs for batch in batches])
            same = all(batch.targets is batch.inputs for batch in batches)
            targets = inputs if same else torch.stack([batch.targets for batch in batches])
            labels = {name: torch.stack([batch.labels[name] for batch in batches]) for name in names[0]}
        except RuntimeError as error:
            raise _CannotStackError(_first_line(error)) from error
        yield Batch(inputs, targets, labels)
    raise _CannotStackError("the stream ended before the training did.")


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return text[0] if text else type(error).__name__
