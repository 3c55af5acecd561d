"""What an anchored training in Lightning tells: logged metrics, snapshots for observers, counts of labels."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

import pytorch_lightning as pl
from torch import Tensor

from excise.anchoring import Anchoring, AttachedTerms
from excise.training.history import Observer, Snapshot
from excise.training.lightning.labels import LabelCounts
from excise.training.lightning.ranks import sum_over_ranks
from excise.training.plan import LEARNING_RATE

__all__ = ["Teller"]


@dataclass(frozen=True)
class _Step:
    """The latest pass: of an optimiser step over several batches, its last batch."""

    number: int
    objective: Tensor
    loss: Tensor


class Teller:
    """Logs steps and epochs, and tells observers of them.

    Loggers are told of every so many steps as Lightning counts them, observers of those that `excise.fit` tells them
    of: the first, every so many after it, and the last. A snapshot waits until the next step begins, so that a
    validation which follows the step is part of it.

    Args:
        observers: told of each logged step, on the first process only.
        log: whether Lightning's loggers are told too.
    """

    def __init__(self, observers: tuple[Observer, ...], *, log: bool = True) -> None:
        self.counts = LabelCounts()
        self.label_counts: dict[str, int] = {}
        self.epoch_label_counts: dict[str, int] = {}
        self._observers = observers
        self._told: tuple[Observer, ...] = ()
        self._log = log
        self._terms: AttachedTerms | None = None
        self._names: tuple[str, ...] = ()
        self._labels: tuple[str, ...] = ()
        self._rates: list[float] | None = None
        self._num_steps = 0
        self._latest: _Step | None = None
        self._waiting: Snapshot | None = None
        self._began = 0.0

    def begin(self, trainer: pl.Trainer, anchoring: Anchoring, terms: AttachedTerms) -> None:
        """Get ready for a training."""
        timeline = anchoring.timeline
        self._terms = terms
        self._names = tuple(term.name for term in anchoring.terms)
        self._labels = tuple(dict.fromkeys(label for term in anchoring.terms for label in term.affinities))
        scheduled = timeline is not None and LEARNING_RATE in timeline.properties
        self._rates = timeline.table[LEARNING_RATE].tolist() if timeline is not None and scheduled else None
        steps = trainer.estimated_stepping_batches
        endless = steps in (float("inf"), -1)
        self._num_steps = (timeline.num_steps if timeline is not None else 0) if endless else int(steps)
        self._told = self._observers if trainer.is_global_zero else ()
        self._latest = self._waiting = None
        self._began = time.perf_counter()

    def rate(self, step: int) -> float | None:
        """The learning rate of a step; None where the schedule does not drive it."""
        return None if self._rates is None else self._rates[min(step, len(self._rates) - 1)]

    def step(self, number: int, objective: Tensor, loss: Tensor, labels: Mapping[str, Tensor]) -> None:
        """Be told of a pass."""
        self.counts.add(labels)
        self._latest = _Step(number, objective, loss)

    def log_step(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the step that has just been made, if it is due; while gradients accumulate, none has been."""
        latest = self._latest
        if latest is None or trainer.global_step == latest.number:
            return
        done = latest.number + 1
        every = trainer.log_every_n_steps  # pyright: ignore[reportAttributeAccessIssue] - Lightning sets it from outside
        logged = done % every == 0 or trainer.should_stop
        told = latest.number % every == 0 or done == self._num_steps or trainer.should_stop
        if not logged and not told:
            return
        snapshot = self._snapshot(trainer, latest)
        if logged and self._log and not trainer.barebones:
            row = {
                "lr": snapshot.lr,
                **{f"term/{name}": value for name, value in snapshot.terms.items()},
                **{f"weight/{name}": weight for name, weight in snapshot.weights.items()},
                **{f"label/{name}": float(count) for name, count in self.label_counts.items()},
            }
            pl_module.log_dict(row, on_step=True, on_epoch=False)
        if told:
            self._waiting = snapshot

    def _snapshot(self, trainer: pl.Trainer, latest: _Step) -> Snapshot:
        """The step in numbers, of all processes."""
        assert self._terms is not None
        values = {name: value.item() for name, value in self._terms.values.items()}
        since_start, in_epoch = self.counts.since_start(), self.counts.in_epoch()
        labels = self._labels if trainer.world_size > 1 else tuple(self.counts.names())
        mine = [
            latest.objective.item(),
            latest.loss.item(),
            *(values.get(name, 0.0) for name in self._names),
            *(float(name in values) for name in self._names),
            *(float(since_start.get(name, 0)) for name in labels),
            *(float(in_epoch.get(name, 0)) for name in labels),
        ]
        objective, loss, *summed = sum_over_ranks(trainer, mine)
        terms, summed = summed[: len(self._names)], summed[len(self._names) :]
        ranks, summed = summed[: len(self._names)], summed[len(self._names) :]
        self.label_counts = dict(zip(labels, map(int, summed[: len(labels)]), strict=True))
        self.epoch_label_counts = dict(zip(labels, map(int, summed[len(labels) :]), strict=True))
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        return Snapshot(
            step=latest.number,
            num_steps=max(self._num_steps, latest.number + 1),
            loss=loss / trainer.world_size,
            objective=objective / trainer.world_size,
            lr=float(rate),
            terms={
                name: value / count
                for name, value, count in zip(self._names, terms, ranks, strict=True)
                if count
            },
            weights=self._terms.weights(latest.number),
            seconds=time.perf_counter() - self._began,
        )

    def log_epoch(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log how many samples of each label the epoch had."""
        if self._latest is None:
            return
        self._snapshot(trainer, self._latest)
        if self._log and not trainer.barebones:
            row = {f"label_epoch/{name}": float(count) for name, count in self.epoch_label_counts.items()}
            pl_module.log_dict(row, on_epoch=True, sync_dist=True, batch_size=1)

    def validated(self, trainer: pl.Trainer, measured: Mapping[str, float]) -> None:
        """Be told what was measured after the latest step."""
        if self._latest is not None:
            waiting = self._waiting or self._snapshot(trainer, self._latest)
            self._waiting = replace(waiting, validation=dict(measured))

    def flush(self) -> None:
        """Tell the observers of the step that waits."""
        if self._waiting is not None:
            for observer in self._told:
                observer(self._waiting)
            self._waiting = None
