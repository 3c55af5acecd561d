"""Models of one architecture stacked along a leading axis, and their training."""

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state
from torch.optim import Optimizer

from excise.activations import Activations, capture
from excise.anchoring import Anchoring
from excise.anchoring.stacked import StackedTerms, check_layers
from excise.compute import suited_to
from excise.errors import ExciseError, SettingError, ShapeError
from excise.seeding import generator
from excise.stream import Batch, Stream, TensorStream
from excise.training.flat import FlatParameters
from excise.training.stack_log import StackLog
from excise.training.validation import Validation, term_values

__all__ = ["CannotStackError", "Stack", "Task"]

_CLOSE = 1e-3
"""How near, beside the size of the outputs, a stacked forward pass comes to that of one model alone."""

State = dict[str, Tensor]


class CannotStackError(Exception):
    """These models, or their stream, cannot be trained as one batch; never leaves this room."""


@dataclass(frozen=True)
class Task:
    """What every model of a stack is trained on: see `fit_lockstep`."""

    stream: Stream
    anchoring: Anchoring
    objective: Callable[[Tensor, Batch], Tensor]
    rates: list[float]
    optimizer: Callable[[Iterable[nn.Parameter]], Optimizer] | None


class Stack:
    """Models as one: their parameters and buffers `[model, ...]`, a batch for each, and an optimiser for all.

    Args:
        models: of one architecture; they stay as they are until `unstack`.
        seeds: one a model.
        task: what they are trained on.

    Raises:
        CannotStackError: they differ in shape or settings.
        SettingError: they have nothing to train.
    """

    def __init__(self, models: Sequence[nn.Module], seeds: tuple[int, ...], task: Task) -> None:
        self.task = task
        self.seeds = seeds
        # A batched product of one matrix takes another path than one of several, and rounds otherwise.
        copies = 2 if len(models) == 1 else 1
        self.models = list(models) * copies
        self.base = copy.deepcopy(self.models[0]).train()
        try:
            parameters, self.buffers = stack_module_state(self.models)
        except (RuntimeError, ValueError) as error:
            raise CannotStackError(_first_line(error)) from error
        self.flat = FlatParameters(parameters)
        if not self.flat.trained:
            raise SettingError(f"this {type(models[0]).__name__} has no parameter that requires a gradient.")
        self.optimiser = self.flat.optimiser(task.optimizer, task.rates[0])
        generators = [generator(seed, "data") for seed in seeds * copies]
        self.batches = _stacked_batches(task.stream, generators)
        self.weights = {
            term.name: _weights(task.anchoring, term.name, len(task.rates)) for term in task.anchoring.terms
        }

    def train(self, log: StackLog, log_every: int, validation: Validation | None) -> None:
        """Take every step of the training; what is logged goes to `log`.

        Raises:
            CannotStackError: the forward pass cannot be batched, or gives something else than alone.
        """
        num_steps = len(self.task.rates)
        with suited_to(self.base), capture(self.base, self.task.anchoring.layers) as activations:
            for step in range(num_steps):
                objectives, terms = self._step(step, activations)
                if not math.isfinite((objectives + terms.totals).sum().item()):
                    log.blame(step, objectives, terms)
                    if log.all_failed:
                        break
                self.optimiser.step()
                validated = validation is not None and validation.is_due(step, num_steps)
                if validated or step % log_every == 0 or step == num_steps - 1:
                    held = (
                        self._validate(activations, validation.batch)
                        if validated and validation is not None
                        else []
                    )
                    weights = {name: column[step] for name, column in self.weights.items()}
                    log.add(
                        step,
                        rate=self.task.rates[step],
                        objectives=objectives,
                        terms=terms,
                        weights=weights,
                        validation=held,
                    )

    def unstack(self, models: Sequence[nn.Module]) -> None:
        """Write the trained parameters and buffers into the models."""
        with torch.no_grad():
            for index, model in enumerate(models):
                own = dict(model.named_parameters()) | dict(model.named_buffers())
                for name, values in (self.flat.tensors | self.buffers).items():
                    own[name].copy_(values[index])

    def _step(self, step: int, activations: Activations) -> tuple[Tensor, StackedTerms]:
        """Forward and backward: the objectives `[model]`, the terms, and gradients in place."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.task.rates[step]
        batch = next(self.batches)
        objectives, outputs, captured = self._forward(activations, batch)
        if step == 0:
            self._compare(outputs, batch)
            check_layers(self.task.anchoring.terms, captured)
        terms = StackedTerms(
            ((term, self.weights[term.name][step]) for term in self.task.anchoring.terms),
            captured,
            batch.labels,
        )
        self.flat.clear_gradients()
        torch.autograd.backward(
            [objectives.sum(), *(captured[layer] for layer in terms.slopes)], [None, *terms.slopes.values()]
        )
        return objectives.detach(), terms

    def _forward(self, activations: Activations, batch: Batch) -> tuple[Tensor, Tensor, State]:
        """The objectives `[model]`, the outputs, and what the layers with a term gave `[model, batch, ..., latent]`."""
        try:
            return torch.vmap(self._one(activations))(self.flat.tensors, self.buffers, batch)
        except ExciseError:
            raise
        except (RuntimeError, ValueError, TypeError, NotImplementedError) as error:
            raise CannotStackError(_first_line(error)) from error
        finally:
            activations.clear()

    def _one(self, activations: Activations) -> Callable[[State, State, Batch], tuple[Tensor, Tensor, State]]:
        """The forward pass of one model, for vmap."""

        def one(parameters: State, buffers: State, batch: Batch) -> tuple[Tensor, Tensor, State]:
            output = functional_call(self.base, (parameters, buffers), (batch.inputs,))
            value = self.task.objective(output, batch)
            if not isinstance(value, Tensor) or value.ndim:
                came = f"shape {list(value.shape)}" if isinstance(value, Tensor) else repr(value)
                raise ShapeError(
                    f"the objective is a scalar tensor, such as a mean over the batch; {came} came."
                )
            return value, output, {layer: activations[layer] for layer in activations.layers}

        return one

    def _compare(self, outputs: Tensor, batch: Batch) -> None:
        """Hold the stacked outputs against those of the first and the last model, run by themselves."""
        for index in sorted({0, len(self.models) - 1}):
            alone = copy.deepcopy(self.models[index]).train()
            with torch.no_grad():
                output = alone(batch.inputs[index])
            stacked = outputs[index].detach()
            size = float(output.abs().max()) if output.numel() else 0.0
            if not torch.allclose(output, stacked, rtol=0, atol=_CLOSE * max(size, 1e-6), equal_nan=True):
                raise CannotStackError(
                    f"stacked, this {type(alone).__name__} computes something else than alone: outputs differ by "
                    f"{float((output - stacked).abs().max()):.2g}."
                )

    def _validate(self, activations: Activations, batch: Batch) -> list[dict[str, float]]:
        """The objective and each term on one batch, in evaluation mode, for each model."""
        self.base.eval()
        try:
            with torch.no_grad():
                one = self._one(activations)
                values, _, captured = torch.vmap(lambda parameters, buffers: one(parameters, buffers, batch))(
                    self.flat.tensors, self.buffers
                )
        finally:
            self.base.train()
            activations.clear()
        labels = {name: label.expand(len(values), -1) for name, label in batch.labels.items()}
        terms = term_values(self.task.anchoring, captured, labels) if captured else [{} for _ in values]
        return [{"objective": value, **term} for value, term in zip(values.tolist(), terms, strict=True)]


def _weights(anchoring: Anchoring, name: str, num_steps: int) -> list[float]:
    """The weight of a term at each step; past the schedule's end the last holds."""
    timeline = anchoring.timeline
    if timeline is None or name not in timeline.properties:
        return [1.0] * num_steps
    column = timeline.table[name].tolist()[:num_steps]
    return column + column[-1:] * (num_steps - len(column))


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
            raise CannotStackError(_first_line(error)) from error
        yield Batch(inputs, targets, labels)
    raise CannotStackError("the stream ended before the training did.")


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return text[0] if text else type(error).__name__
