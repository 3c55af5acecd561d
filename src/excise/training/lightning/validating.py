"""The terms on the batches that Lightning validates on, unweighted, and the objective where the module returns it."""

from collections.abc import Mapping
from contextlib import ExitStack

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from excise.activations import Activations, capture
from excise.anchoring import Anchoring
from excise.anchoring.stacked import StackedTerms
from excise.training.lightning.ranks import sum_over_ranks

__all__ = ["ValidationTerms"]

OBJECTIVE = "objective"


class ValidationTerms:
    """Sums up what validation batches give: each counts for as much as it has samples."""

    def __init__(self) -> None:
        self._hooks = ExitStack()
        self._activations: Activations | None = None
        self._names: tuple[str, ...] = ()
        self._anchoring = Anchoring([])
        self._sums: dict[str, float] = {}
        self._samples: dict[str, int] = {}

    def begin(self, model: nn.Module, anchoring: Anchoring) -> None:
        """Listen to the layers of the model."""
        self._anchoring = anchoring
        self._names = (OBJECTIVE, *(term.name for term in anchoring.terms))
        self._sums = dict.fromkeys(self._names, 0.0)
        self._samples = dict.fromkeys(self._names, 0)
        self._activations = self._hooks.enter_context(capture(model, anchoring.layers))

    def measure(self, labels: Mapping[str, Tensor], outputs: object) -> None:
        """Measure the terms on the batch that was just validated; a layer that did not run has none.

        Args:
            labels: of the batch.
            outputs: what `validation_step` returned: the objective, or a mapping that has it under "loss", or neither.
        """
        assert self._activations is not None
        ran = {
            layer: self._activations[layer].unsqueeze(0)
            for layer in self._activations.layers
            if self._activations.ran(layer)
        }
        stacked = {name: label.unsqueeze(0) for name, label in labels.items()}
        with torch.no_grad():
            terms = StackedTerms(
                [(term, 1.0) for term in self._anchoring.terms if term.layer in ran], ran, stacked
            )
        self._activations.clear()
        samples = next((activations.shape[1] for activations in ran.values()), 1)
        objective = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
        if isinstance(objective, Tensor) and objective.ndim == 0:
            self._add(OBJECTIVE, objective.item(), samples)
        for name, value in terms.values.items():
            if not terms.skipped(name, 0):
                self._add(name, value.item(), samples)

    def _add(self, name: str, value: float, samples: int) -> None:
        self._sums[name] += value * samples
        self._samples[name] += samples

    def end(self, trainer: pl.Trainer) -> dict[str, float]:
        """The mean of each over the batches of all processes; what no batch gave is absent."""
        self.close()
        numbers = [*self._sums.values(), *self._samples.values()]
        summed = sum_over_ranks(trainer, numbers)
        count = len(self._names)
        return {
            name: value / samples
            for name, value, samples in zip(self._names, summed[:count], summed[count:], strict=True)
            if samples
        }

    def close(self) -> None:
        """Listen no longer."""
        self._hooks.close()
        self._activations = None
