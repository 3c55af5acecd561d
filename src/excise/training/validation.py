"""Losses on a fixed batch with exact labels, measured now and then while a model trains, and never trained on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from excise.activations import capture
from excise.anchoring import Anchoring
from excise.anchoring.stacked import StackedTerms
from excise.errors import SettingError
from excise.stream import Batch

__all__ = ["Validation", "measure_validation", "term_values"]


@dataclass(frozen=True)
class Validation:
    """What is held out, and how often it is measured.

    Args:
        batch: samples with their targets and labels.
        every: measure after each so many optimiser steps, and after the last.

    Raises:
        SettingError: `every` is below 1.
    """

    batch: Batch
    every: int = 150

    def __post_init__(self) -> None:
        if self.every < 1:
            raise SettingError(f"validation takes place every so many steps, at least 1; {self.every} came.")

    def is_due(self, step: int, num_steps: int) -> bool:
        """Whether it is measured after optimiser step `step`, counted from 0."""
        return (step + 1) % self.every == 0 or step == num_steps - 1


def measure_validation(
    model: nn.Module, anchoring: Anchoring, objective: Callable[[Tensor, Batch], Tensor], batch: Batch
) -> dict[str, float]:
    """The objective and each term, unweighted, in evaluation mode; a term that no sample counts for is absent."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad(), capture(model, anchoring.layers) as activations:
            value = objective(model(batch.inputs), batch)
            captured = {layer: activations[layer].unsqueeze(0) for layer in anchoring.layers}
    finally:
        for module, mode in modes:
            module.training = mode
    labels = {name: label.unsqueeze(0) for name, label in batch.labels.items()}
    return {"objective": value.item(), **term_values(anchoring, captured, labels)[0]}


def term_values(
    anchoring: Anchoring, activations: Mapping[str, Tensor], labels: Mapping[str, Tensor]
) -> list[dict[str, float]]:
    """Each term's unweighted value, for each model of a stack; a term that no sample counts for is absent."""
    terms = StackedTerms([(term, 1.0) for term in anchoring.terms], activations, labels)
    columns = {name: values.tolist() for name, values in terms.values.items()}
    models = len(next(iter(activations.values()))) if activations else 1
    return [
        {name: values[index] for name, values in columns.items() if values[index] == values[index]}
        for index in range(models)
    ]
