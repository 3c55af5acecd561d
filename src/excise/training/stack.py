"""Models of one architecture stacked along a leading axis, and their training."""

import copy
import math
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state
from torch.optim import Optimizer

from excise.activations import Activations, capture
from excise.anchoring import Anchoring
from excise.anchoring.stacked import StackedTerms, check_layers
from excise.compute import suited_to
from excise.errors import SettingError, ShapeError
from excise.seeding import generator
from excise.stream import Batch, Stream
from excise.training.flat import FlatParameters
from excise.training.loop import on_device
from excise.training.plan import term_weights
from excise.training.stack_log import StackLog
from excise.training.stackable import (
    OUTPUT,
    CannotStackError,
    compare,
    refusals_told,
    spare_models,
    stacked_batches,
)
from excise.training.validation import Validation, term_values

__all__ = ["Stack", "Task"]

State = dict[str, Tensor]


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
        CannotStackError: they differ in shape.
        SettingError: they have nothing to train.
    """

    def __init__(self, models: Sequence[nn.Module], seeds: tuple[int, ...], task: Task) -> None:
        self.task = task
        self.seeds = seeds
        spare = spare_models(models[0], task.stream)
        self.models = [*models, *[models[-1]] * spare]
        if len({_names(model) for model in models}) > 1:
            raise CannotStackError("they have different parameters.")
        with refusals_told():
            self.base = copy.deepcopy(self.models[0]).train()
            parameters, self.buffers = stack_module_state(self.models)
        self.flat = FlatParameters(parameters)
        if not self.flat.trained:
            raise SettingError(f"this {type(models[0]).__name__} has no parameter that requires a gradient.")
        self.optimiser = self.flat.optimiser(task.optimizer)
        generators = [generator(seed, "data") for seed in (*seeds, *[seeds[-1]] * spare)]
        self.batches = stacked_batches(task.stream, generators)
        self.weights = term_weights(task.anchoring, len(task.rates))

    def train(self, log: StackLog, log_every: int, validation: Validation | None) -> None:
        """Take every step of the training; what is logged goes to `log`.

        Raises:
            CannotStackError: the forward pass cannot be batched, or gives something else than alone.
        """
        num_steps = len(self.task.rates)
        with (
            warnings.catch_warnings(),
            suited_to(self.base),
            capture(self.base, self.task.anchoring.layers) as activations,
        ):
            # An operation that torch carries out model by model is slow, but right.
            warnings.filterwarnings("ignore", message="There is a performance drop")
            for step in range(num_steps):
                objectives, terms = self._step(step, activations)
                if not math.isfinite((objectives + terms.totals).sum().item()):
                    log.blame(step, objectives, terms)
                    if log.all_failed:
                        break
                self.optimiser.step()
                validated = validation is not None and validation.is_due(step, num_steps)
                if validated or step % log_every == 0 or step == num_steps - 1:
                    held: list[dict[str, float]] = []
                    if validated and validation is not None:
                        held = self._validate(activations, validation.batch)
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
        batch = on_device(next(self.batches), self.flat.trained[0].device)
        with refusals_told():
            objectives, captured, output = torch.vmap(self._one(activations))(
                self.flat.tensors, self.buffers, batch
            )
        activations.clear()
        if step == 0:
            models = self.models[: len(self.seeds)]
            compare(models, activations.layers, batch, captured | output | self.buffers)
            check_layers(self.task.anchoring.terms, captured)
        terms = StackedTerms(
            ((term, self.weights[term.name][step]) for term in self.task.anchoring.terms),
            captured,
            batch.labels,
        )
        self.flat.clear_gradients()
        # Scalars whose gradients are the slopes: to start from slopes, torch would first import a computer algebra.
        ends = [(captured[layer] * slope).sum() for layer, slope in terms.slopes.items()]
        if objectives.requires_grad or not ends:
            ends.append(objectives.sum())
        torch.autograd.backward(ends)
        return objectives.detach(), terms

    def _one(self, activations: Activations) -> Callable[[State, State, Batch], tuple[Tensor, State, State]]:
        """The forward pass of one model, for vmap: its objective, what layers with a term gave, its output."""

        def one(parameters: State, buffers: State, batch: Batch) -> tuple[Tensor, State, State]:
            output = functional_call(self.base, (parameters, buffers), (batch.inputs,))
            value = self.task.objective(output, batch)
            if not isinstance(value, Tensor) or value.ndim:
                came = f"shape {list(value.shape)}" if isinstance(value, Tensor) else repr(value)
                raise ShapeError(
                    f"the objective is a scalar tensor, such as a mean over the batch; {came} came."
                )
            captured = {layer: activations[layer] for layer in activations.layers}
            return value, captured, {OUTPUT: output} if isinstance(output, Tensor) else {}

        return one

    def _validate(self, activations: Activations, batch: Batch) -> list[dict[str, float]]:
        """The objective and each term on one batch, in evaluation mode, for each model."""
        batch = on_device(batch, self.flat.trained[0].device)
        self.base.eval()
        try:
            with torch.no_grad(), refusals_told():
                one = self._one(activations)
                values, captured, _ = torch.vmap(lambda parameters, buffers: one(parameters, buffers, batch))(
                    self.flat.tensors, self.buffers
                )
        finally:
            self.base.train()
            activations.clear()
        labels = {name: label.expand(len(values), -1) for name, label in batch.labels.items()}
        terms = term_values(self.task.anchoring, captured, labels) if captured else [{} for _ in values]
        return [{"objective": value, **term} for value, term in zip(values.tolist(), terms, strict=True)]


def _names(model: nn.Module) -> tuple[str, ...]:
    return tuple(name for name, _ in (*model.named_parameters(), *model.named_buffers()))
