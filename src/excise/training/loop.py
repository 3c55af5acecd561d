"""Trains one model: the plain loop, with an anchoring's terms and a schedule, and little else in the hot path.

Data comes from memory, torch's settings suit the model, and numbers leave the loop only when a step is logged.
The same seed gives the same bits on the same machine.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer

from excise.anchoring import Anchoring, AttachedTerms
from excise.compute import suited_to
from excise.errors import NonFiniteError, SettingError, ShapeError
from excise.seeding import generator
from excise.stream import Batch, Stream
from excise.training.history import History, Observer, Snapshot
from excise.training.plan import count_steps, learning_rates
from excise.training.validation import Validation, measure_validation

__all__ = ["History", "Observer", "Snapshot", "fit", "reconstruction"]


def reconstruction(output: Tensor, batch: Batch) -> Tensor:
    """The mean squared error of the output against the batch's targets, over samples and features."""
    return functional.mse_loss(output, batch.targets)


def fit(
    model: nn.Module,
    stream: Stream,
    anchoring: Anchoring | None = None,
    *,
    seed: int = 0,
    steps: int | None = None,
    lr: float | None = None,
    objective: Callable[[Tensor, Batch], Tensor] = reconstruction,
    optimizer: Callable[[Iterable[nn.Parameter]], Optimizer] | None = None,
    observers: Iterable[Observer] = (),
    log_every: int = 10,
    validation: Validation | None = None,
) -> History:
    """Train `model` in place so that it meets the objective with its concepts where the anchoring wants them.

    Args:
        model: called with a batch's inputs; its output goes to the objective.
        stream: where batches come from.
        anchoring: the terms and their schedule; None trains on the objective alone.
        seed: fixes every draw of samples and labels, and what the model itself draws, as dropout does; torch's global
            generators are left as they were. (Initial weights are drawn where the model is built.)
        steps: how many optimiser steps; None takes the length of the schedule. Past its end the last values hold.
        lr: the learning rate, where the schedule has no column `lr`.
        objective: the user's own loss, a scalar of the model's output and the batch.
        optimizer: makes the optimiser from the parameters; None is Adam with torch's defaults. Either way the
            schedule or `lr` sets its learning rate at every step.
        observers: told of every logged step, in order.
        log_every: log each so many steps, and the last.
        validation: what is measured on a fixed batch, and how often; those steps are logged too.

    Returns:
        What was logged.

    Raises:
        UnknownLayerError: a term names a layer that the model lacks.
        UnknownLabelError: a term names a label that the stream lacks.
        ShapeError: a regularizer does not fit its layer, or the objective is not a scalar.
        ScheduleError: nothing says how many steps or which learning rate, or two things do.
        SettingError: no steps, a learning rate that is negative, `log_every` below 1, a model without parameters
            to train, a stream that is none or ends before the training does.
        NonFiniteError: the objective or a term became NaN or infinite; it names which, and the step.
    """
    if log_every < 1:
        raise SettingError(f"log_every is at least 1; {log_every} came.")
    anchoring = Anchoring([]) if anchoring is None else anchoring
    num_steps = count_steps(anchoring, steps)
    rates = learning_rates(anchoring, lr, num_steps)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not parameters:
        raise SettingError(f"this {type(model).__name__} has no parameter that requires a gradient.")
    optimise = (
        torch.optim.Adam(parameters, lr=rates[0], fused=True) if optimizer is None else optimizer(parameters)
    )
    batches = _batches(stream, seed)
    device = parameters[0].device
    log = _Log(tuple(observers), num_steps)
    modes = [(module, module.training) for module in model.modules()]
    model.train()
    try:
        with (
            suited_to(model),
            own_randomness(seed, device),
            anchoring.attach(model, stream.labels) as terms,
        ):
            for step in range(num_steps):
                batch = on_device(next(batches), device)
                for group in optimise.param_groups:
                    group["lr"] = rates[step]
                value = objective(model(batch.inputs), batch)
                if not isinstance(value, Tensor) or value.ndim:
                    came = f"shape {list(value.shape)}" if isinstance(value, Tensor) else repr(value)
                    raise ShapeError(
                        f"the objective is a scalar tensor, such as a mean over the batch; {came} came."
                    )
                if not math.isfinite(value.item()):
                    raise NonFiniteError("objective", step, value.item())
                loss = value + terms.loss(batch.labels, step)
                for parameter in parameters:
                    parameter.grad = None
                loss.backward()
                optimise.step()
                validated = validation is not None and validation.is_due(step, num_steps)
                if validated or step % log_every == 0 or step == num_steps - 1:
                    held = {}
                    if validated and validation is not None:
                        held_out = on_device(validation.batch, device)
                        held = measure_validation(model, anchoring, objective, held_out)
                    log.add(step, loss=loss, objective=value, rate=rates[step], terms=terms, validation=held)
    finally:
        for module, mode in modes:
            module.training = mode
    return log.history()


class _Log:
    """Turns logged steps into snapshots for observers and, at the end, into a history."""

    def __init__(self, observers: tuple[Observer, ...], num_steps: int) -> None:
        self.observers = observers
        self.num_steps = num_steps
        self.snapshots: list[Snapshot] = []
        self.began = time.perf_counter()

    def add(
        self,
        step: int,
        *,
        loss: Tensor,
        objective: Tensor,
        rate: float,
        terms: AttachedTerms,
        validation: dict[str, float],
    ) -> None:
        snapshot = Snapshot(
            step=step,
            num_steps=self.num_steps,
            loss=loss.item(),
            objective=objective.item(),
            lr=rate,
            terms={name: value.item() for name, value in terms.values.items()},
            weights=terms.weights(step),
            seconds=time.perf_counter() - self.began,
            validation=validation,
        )
        self.snapshots.append(snapshot)
        for observer in self.observers:
            observer(snapshot)

    def history(self) -> History:
        return History.of(self.snapshots, seconds=time.perf_counter() - self.began, num_steps=self.num_steps)


def require_stream(stream: Stream) -> None:
    """Refuse what is no stream.

    Raises:
        SettingError: it lacks a member of `Stream`.
    """
    if not isinstance(stream, Stream):
        raise SettingError(
            f"a stream has `labels` and `batches(generator)`, as a TensorStream has; a {type(stream).__name__} came."
        )


def _batches(stream: Stream, seed: int) -> Iterator[Batch]:
    require_stream(stream)
    return _never_ending(stream.batches(generator(seed, "data")))


def _never_ending(batches: Iterator[Batch]) -> Iterator[Batch]:
    count = 0
    for batch in batches:
        yield batch
        count += 1
    raise SettingError(f"the stream ended after {count} batches; `batches` gives an endless iterator.")


@contextmanager
def own_randomness(seed: int, device: torch.device) -> Iterator[None]:
    """Let what the model draws in the block, as dropout does, follow from the seed, and nothing outside notice."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(generator(seed, "model").initial_seed())
        yield


def on_device(batch: Batch, device: torch.device) -> Batch:
    """The batch where the model is; on a CPU the batch itself."""
    if device.type == "cpu":
        return batch
    labels = {name: label.to(device) for name, label in batch.labels.items()}
    return Batch(batch.inputs.to(device), batch.targets.to(device), labels)
