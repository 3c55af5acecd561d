"""Trains many models of one architecture as one batch: stacked parameters, one forward and one backward pass for all.

A tiny model leaves a processor idle: most of a training step is spent on starting operations, not on carrying them
out. A stack of models shares that cost. Each keeps its own initial weights, samples and labels, so that it ends
where it would end in a stack of any other size: to the bit on a CPU, for models that are tiny (see `excise.compute`).
"""

import os
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from torch import Tensor, nn
from torch.optim import Optimizer

from excise.anchoring import Anchoring
from excise.errors import CannotStackWarning, NonFiniteError, SettingError
from excise.stream import Batch, Stream
from excise.training.history import History, Observer, Outcome, Snapshot
from excise.training.loop import fit, reconstruction, require_stream
from excise.training.plan import count_steps, learning_rates
from excise.training.stack import Stack, Task
from excise.training.stack_log import StackLog
from excise.training.stackable import CannotStackError
from excise.training.validation import Validation

__all__ = ["fit_lockstep"]

# Intel's library of matrix products rounds by where in memory a matrix lies, unless it is told otherwise before its
# first use: here, as in no training that has been measured does it cost time. What the user has set stays.
os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")


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
    stream's batches differ in size) they are trained one after the other instead, and a warning says why; observers
    are then told of each training from its first step on. A stacked parameter that a step does not reach has a
    gradient of 0 there, where `fit` has none.

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
        One outcome a seed, in order. A model whose training failed is not to be used: its weights may be NaN.

    Raises:
        SettingError: there are no models, or not as many as seeds, or a seed or a model comes twice; and as in
            `fit`.
        UnknownLayerError, UnknownLabelError, ShapeError, ScheduleError, CaptureError: as in `fit`.

    Warns:
        CannotStackWarning: the models are trained one after the other.
    """
    if not models or len(models) != len(seeds) or len(set(seeds)) != len(seeds):
        raise SettingError(
            f"lockstep takes one model a seed, and distinct seeds; {len(models)} models and the seeds "
            f"{list(seeds)} came."
        )
    if len({id(model) for model in models}) != len(models):
        raise SettingError("lockstep takes a model of its own for each seed; one model came twice.")
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
        log = StackLog(tuple(seeds), num_steps, watching)
        stack = Stack(models, tuple(seeds), Task(stream, anchoring, objective, rates, optimizer))
        stack.train(log, log_every, validation)
    except CannotStackError as reason:
        warnings.warn(
            f"the {len(models)} models are trained one after the other, not in lockstep: {reason}",
            CannotStackWarning,
            stacklevel=2,
        )
    else:
        stack.unstack(models)
        return log.outcomes()
    one = partial(
        fit,
        stream=stream,
        anchoring=anchoring,
        steps=steps,
        lr=lr,
        objective=objective,
        optimizer=optimizer,
        log_every=log_every,
        validation=validation,
    )
    return [
        outcome_of(seed, num_steps, watching, partial(one, model, seed=seed))
        for model, seed in zip(models, seeds, strict=True)
    ]


def outcome_of(
    seed: int, num_steps: int, observers: tuple[Observer, ...], train: Callable[..., object]
) -> Outcome:
    """How one training by itself ended; `train` is called with its observers."""
    snapshots: list[Snapshot] = []
    began = time.perf_counter()
    error = None
    try:
        train(observers=[snapshots.append, *observers])
    except NonFiniteError as failure:
        error = failure
    history = History.of(snapshots, seconds=time.perf_counter() - began, num_steps=num_steps)
    return Outcome(seed, tuple(snapshots), history, error)
