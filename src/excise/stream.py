"""Batches with weak labels, drawn from tensors in memory.

A stream is an endless iterator of batches whose every draw comes from one generator, so that a seed fixes what
a run sees. Data that fits in memory needs no loader and no workers: an epoch's samples and labels are drawn at
once, and a batch is a view of them. Data that does not fit can be any object with the two members of `Stream`.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Num
from torch import Tensor

from excise.errors import SettingError, ShapeError

__all__ = ["Batch", "Stream", "TensorStream"]


class Batch(NamedTuple):
    """Samples that are seen together.

    Attributes:
        inputs: what the model is given, `[batch, ...]`.
        targets: what its output is held against, `[batch, ...]`; for an autoencoder the inputs themselves.
        labels: for each label name, which samples carry it: `[batch]`, in [0, 1].
    """

    inputs: Tensor
    targets: Tensor
    labels: Mapping[str, Tensor]


@runtime_checkable
class Stream(Protocol):
    """Anything that `fit` can draw batches from."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of all labels that a batch may carry."""
        ...

    def batches(self, generator: torch.Generator) -> Iterator[Batch]:
        """An endless iterator of batches whose every draw comes from `generator`."""
        ...


class TensorStream:
    """Weighted draws, with replacement, from samples held in memory, each visit labelled anew.

    An epoch is as many draws as there are samples; its last batch holds what is left over. A label is a
    Bernoulli draw at every visit of a sample: weak, noisy supervision.

    Args:
        inputs: the samples, `[sample, ...]`.
        label_probabilities: for each label, the probability that a visit of each sample carries it,
            `[sample]`, in [0, 1].
        batch_size: samples a batch, at least 1.
        weights: how often each sample is drawn relative to the others, `[sample]`, none negative;
            None draws uniformly.
        targets: what the model should give for each sample, `[sample, ...]`; None means the inputs.

    Raises:
        ShapeError: there are no samples, or another tensor does not match them.
        SettingError: what is no tensor, a probability outside [0, 1], weights that are negative or all zero, an
            empty batch.
    """

    def __init__(
        self,
        inputs: Tensor,
        label_probabilities: Mapping[str, Float[Tensor, " sample"]],
        *,
        batch_size: int = 64,
        weights: Num[Tensor, " sample"] | None = None,
        targets: Tensor | None = None,
    ) -> None:
        given = {"inputs": inputs, "targets": targets, "weights": weights, **label_probabilities}
        for name, values in given.items():
            if values is not None and not isinstance(values, Tensor):
                raise SettingError(
                    f"a stream holds tensors; {name} came as {type(values).__name__} (torch.as_tensor makes one)."
                )
        count = len(inputs) if inputs.ndim else 0
        if not count:
            raise ShapeError(f"a stream draws from [sample, ...]; inputs of shape {list(inputs.shape)} came.")
        if batch_size < 1:
            raise SettingError(f"a batch holds at least 1 sample; batch_size={batch_size} came.")
        for name, probabilities in label_probabilities.items():
            _check_one_each(f"the probabilities of label {name!r}", probabilities, count)
            if not bool(((probabilities >= 0) & (probabilities <= 1)).all()):
                low, high = probabilities.min().item(), probabilities.max().item()
                raise SettingError(f"probabilities of label {name!r} lie in [0, 1]; {low} to {high} came.")
        if weights is not None:
            _check_one_each("the sampling weights", weights, count)
            if (
                not bool(torch.isfinite(weights).all())
                or bool((weights < 0).any())
                or not bool(weights.any())
            ):
                raise SettingError("sampling weights are finite, none negative, and not all zero.")
        if targets is not None and (targets.ndim == 0 or len(targets) != count):
            raise ShapeError(f"targets are [sample, ...] for {count} samples; {list(targets.shape)} came.")
        self.inputs = inputs
        self.targets = inputs if targets is None else targets
        self.label_probabilities = dict(label_probabilities)
        self.batch_size = batch_size
        self.weights = torch.ones(count) if weights is None else weights.to(torch.float32)

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the labels, in the order they were given."""
        return tuple(self.label_probabilities)

    def __len__(self) -> int:
        """How many samples there are, which is also how many are drawn in an epoch."""
        return len(self.inputs)

    def batches(self, generator: torch.Generator) -> Iterator[Batch]:
        """An endless iterator of batches whose every draw comes from `generator`."""
        while True:
            yield from self._epoch(generator)

    def stacked_batches(self, generators: Sequence[torch.Generator]) -> Iterator[Batch]:
        """The batches that `batches` gives for each generator, stacked: tensors `[generator, batch, ...]`.

        An epoch is gathered for all at once, which costs a fraction of gathering it for each.
        """
        while True:
            yield from self._epochs(generators)

    def _epoch(self, generator: torch.Generator) -> Iterator[Batch]:
        drawn, labels = self._draw(generator)
        return self._split(drawn, labels, dim=0)

    def _epochs(self, generators: Sequence[torch.Generator]) -> Iterator[Batch]:
        epochs = [self._draw(generator) for generator in generators]
        drawn = torch.stack([drawn for drawn, _ in epochs])
        labels = {name: torch.stack([labels[name] for _, labels in epochs]) for name in self.labels}
        return self._split(drawn, labels, dim=1)

    def _draw(self, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """An epoch's samples, and the numbers in [0, 1) that decide which label each carries."""
        count = len(self)
        drawn = torch.multinomial(self.weights, count, replacement=True, generator=generator)
        return drawn, {name: torch.rand(count, generator=generator) for name in self.label_probabilities}

    def _split(self, drawn: Tensor, labels: Mapping[str, Tensor], dim: int) -> Iterator[Batch]:
        size = self.batch_size
        inputs = self.inputs[drawn].split(size, dim)
        targets = inputs if self.targets is self.inputs else self.targets[drawn].split(size, dim)
        carried = {
            name: (labels[name] < probabilities[drawn]).to(torch.float32).split(size, dim)
            for name, probabilities in self.label_probabilities.items()
        }
        for i in range(len(inputs)):
            yield Batch(inputs[i], targets[i], {name: chunks[i] for name, chunks in carried.items()})


def _check_one_each(what: str, values: Tensor, count: int) -> None:
    if values.shape != (count,):
        raise ShapeError(f"{what} are one number a sample, [{count}]; {list(values.shape)} came.")
