"""Turns the logged steps of a stack of models into snapshots: one a seed for the outcomes, their mean for observers."""

import math
import time
from dataclasses import replace

import torch
from torch import Tensor

from excise.anchoring.stacked import StackedTerms
from excise.errors import NonFiniteError
from excise.training.history import History, Observer, Outcome, Snapshot, mean_of

__all__ = ["StackLog"]


class StackLog:
    """What a stack has logged, and which of its models have failed.

    Args:
        seeds: one a model.
        num_steps: how many steps the training takes.
        observers: told of every logged step: the mean over the models that have not failed.
    """

    def __init__(self, seeds: tuple[int, ...], num_steps: int, observers: tuple[Observer, ...]) -> None:
        self.seeds = seeds
        self.num_steps = num_steps
        self.observers = observers
        self.began = time.perf_counter()
        self.snapshots: list[list[Snapshot]] = [[] for _ in seeds]
        self.errors: dict[int, NonFiniteError] = {}

    @property
    def all_failed(self) -> bool:
        """Whether no model is left to train."""
        return len(self.errors) == len(self.seeds)

    def blame(self, step: int, objectives: Tensor, terms: StackedTerms) -> None:
        """Note, for each model whose loss has just stopped being finite, which part of it did."""
        suspects = torch.isfinite(objectives + terms.totals).logical_not().nonzero().flatten().tolist()
        for index in suspects:
            if index in self.errors or index >= len(self.seeds):
                continue
            parts = {"objective": objectives[index].item()}
            parts |= {
                name: values[index].item()
                for name, values in terms.values.items()
                if not terms.skipped(name, index)
            }
            if isinstance(terms.totals, Tensor):
                parts["the weighted sum of the terms"] = terms.totals[index].item()
            for name, value in parts.items():
                if not math.isfinite(value):
                    self.errors[index] = NonFiniteError(name, step, value)
                    break

    def add(
        self,
        step: int,
        *,
        rate: float,
        objectives: Tensor,
        terms: StackedTerms,
        weights: dict[str, float],
        validation: list[dict[str, float]],
    ) -> None:
        """Log one step."""
        blank = Snapshot(
            step=step,
            num_steps=self.num_steps,
            loss=math.nan,
            objective=math.nan,
            lr=rate,
            terms={},
            weights=weights,
            seconds=time.perf_counter() - self.began,
        )
        losses, values = (objectives + terms.totals).tolist(), objectives.tolist()
        columns = {name: column.tolist() for name, column in terms.values.items()}
        latest = []
        for index, snapshots in enumerate(self.snapshots):
            if index in self.errors:
                continue
            snapshot = replace(
                blank,
                loss=losses[index],
                objective=values[index],
                terms={
                    name: column[index] for name, column in columns.items() if not math.isnan(column[index])
                },
                validation=validation[index] if validation else {},
            )
            snapshots.append(snapshot)
            latest.append(snapshot)
        if latest and self.observers:
            mean = mean_of(latest)
            for observer in self.observers:
                observer(mean)

    def outcomes(self) -> list[Outcome]:
        """How the training of each seed ended."""
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
