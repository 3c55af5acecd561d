"""Trains a model on a stream as `fit` does, in Lightning."""

import logging
import math
import signal
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from excise.anchoring import Anchoring
from excise.compute import suited_to
from excise.errors import NonFiniteError
from excise.stream import Batch, Stream
from excise.training.history import Observer, Snapshot
from excise.training.lightning.callback import AnchoringCallback
from excise.training.lightning.loader import FixedBatches, StreamLoader
from excise.training.loop import own_randomness, reconstruction
from excise.training.plan import count_steps, learning_rates
from excise.training.validation import Validation, measure_validation

__all__ = ["StreamModule", "fit_in_lightning"]


class StreamModule(pl.LightningModule):
    """A model that is trained on the batches of a stream, with Adam.

    Args:
        model: called with a batch's inputs.
        objective: a scalar of the model's output and the batch.
        lr: the learning rate, where no schedule drives it.
    """

    def __init__(
        self,
        model: nn.Module,
        objective: Callable[[Tensor, Batch], Tensor] = reconstruction,
        lr: float = 1e-3,
    ) -> None:
        super().__init__()
        self.model = model
        self._objective = objective
        self._lr = lr

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The objective on a batch.

        Raises:
            NonFiniteError: it is NaN or infinite.
        """
        value = self._objective(self.model(batch.inputs), batch)
        if not math.isfinite(value.item()):
            raise NonFiniteError("objective", self.global_step, value.item())
        return value

    def validation_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The objective on a batch that is not trained on."""
        return self._objective(self.model(batch.inputs), batch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam, as `fit` has it."""
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        return torch.optim.Adam(trained, lr=self._lr, fused=True)


def fit_in_lightning(
    model: nn.Module,
    stream: Stream,
    anchoring: Anchoring,
    *,
    seed: int = 0,
    steps: int | None = None,
    observers: Iterable[Observer] = (),
    log_every: int = 10,
    validation: Validation | None = None,
) -> None:
    """Train `model` in place on the batches that `fit` would draw, step by step as `fit` would, in a Lightning trainer.

    Args:
        model: called with a batch's inputs; its output is held against the targets.
        stream: where batches come from.
        anchoring: the terms and their schedule, which drives the learning rate.
        seed: fixes every draw.
        steps: how many optimiser steps; None takes the length of the schedule.
        observers: told of every logged step, in order.
        log_every: log each so many steps, and the last.
        validation: what is measured on a fixed batch, and how often.

    Raises:
        ScheduleError: the schedule does not say the learning rate, or nothing says how many steps.
        NonFiniteError: the objective or a term became NaN or infinite.
    """
    num_steps = count_steps(anchoring, steps)
    rates = learning_rates(anchoring, None, num_steps)
    every = None if validation is None else min(validation.every, num_steps)
    seen: list[Snapshot] = []
    observers = tuple(observers)

    def observe(snapshot: Snapshot) -> None:
        seen.append(snapshot)
        if snapshot.step < num_steps - 1:
            for observer in observers:
                observer(snapshot)

    with suited_to(model), own_randomness(seed, torch.device("cpu")), _quiet(), _interruptible():
        trainer = pl.Trainer(
            max_steps=num_steps,
            max_epochs=-1,
            accelerator="cpu",
            devices=1,
            callbacks=[AnchoringCallback(anchoring, model="model", observers=[observe], log=False)],
            logger=False,
            log_every_n_steps=log_every,
            val_check_interval=every,
            check_val_every_n_epoch=None if every else 1,
            limit_val_batches=1 if every else 0,
            num_sanity_val_steps=0,
            enable_progress_bar=False,
            enable_checkpointing=False,
            enable_model_summary=False,
        )
        trainer.fit(
            StreamModule(model, lr=rates[0]),
            StreamLoader(stream, seed=seed),
            None if validation is None else FixedBatches(validation.batch),
        )
        last = seen[-1]
        if validation is not None and not last.validation:
            # Lightning validates every so many steps, and not after the last.
            measured = measure_validation(model, anchoring, reconstruction, validation.batch)
            last = replace(last, validation=measured)
        for observer in observers:
            observer(last)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let an interrupt end the training as it ends `fit`: Lightning exits instead, and has all later ones ignored."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as end:
        if isinstance(end.__context__, KeyboardInterrupt):
            raise end.__context__ from None
        raise
    finally:
        if handler is not None and signal.getsignal(signal.SIGINT) is not handler:
            signal.signal(signal.SIGINT, handler)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Lightning's advice on data loaders, loggers and GPUs from the user, who chose none of them."""
    logger = logging.getLogger("pytorch_lightning")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"pytorch_lightning|lightning_fabric")
            yield
    finally:
        logger.setLevel(level)
