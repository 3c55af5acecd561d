"""Where the labels of a batch are, and how many samples of each label a training has seen."""

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor

from excise.errors import SettingError
from excise.stream import Batch

__all__ = ["LabelCounts", "LabelReader", "labels_of"]

LabelReader = Callable[[object], Mapping[str, Tensor]]
"""From a batch to its labels: for each name, which samples carry it, `[batch]`, in [0, 1]."""


def labels_of(batch: object) -> Mapping[str, Tensor]:
    """The labels of a batch: of an `excise.Batch`, under the key "labels" of a mapping, or last in a tuple or list.

    Raises:
        SettingError: there is no mapping from label names to tensors in that place.
    """
    place = None
    if isinstance(batch, Batch):
        place = batch.labels
    elif isinstance(batch, Mapping):
        place = batch.get("labels")
    elif isinstance(batch, tuple | list) and batch:
        place = batch[-1]
    if isinstance(place, Mapping):
        return place
    raise SettingError(
        f"a batch carries its labels as a mapping from names to tensors: as an excise.Batch, under the key 'labels', "
        f"or last in a tuple; this {type(batch).__name__} does not. Pass labels=, a function from a batch to them."
    )


class LabelCounts:
    """How many samples of each label this process has seen; a soft label counts where it is above 0."""

    def __init__(self) -> None:
        self._since_start: dict[str, Tensor] = {}
        self._in_epoch: dict[str, Tensor] = {}

    def add(self, labels: Mapping[str, Tensor]) -> None:
        """Count a batch."""
        for name, values in labels.items():
            count = torch.count_nonzero(values)
            for counts in (self._since_start, self._in_epoch):
                before = counts.get(name)
                counts[name] = count if before is None else before + count

    def begin_epoch(self) -> None:
        """Count the epoch from 0."""
        self._in_epoch = {}

    def since_start(self) -> dict[str, int]:
        """The count of each label since the training began."""
        return _numbers(self._since_start)

    def in_epoch(self) -> dict[str, int]:
        """The count of each label in this epoch."""
        return _numbers(self._in_epoch)

    def names(self) -> Iterable[str]:
        """The labels that were seen, sorted."""
        return sorted(self._since_start)

    def state(self) -> dict[str, dict[str, int]]:
        """Both counts, for a checkpoint."""
        return {"since_start": self.since_start(), "in_epoch": self.in_epoch()}

    def restore(self, state: Mapping[str, Mapping[str, int]]) -> None:
        """Count on from those."""
        self._since_start = {name: torch.tensor(count) for name, count in state["since_start"].items()}
        self._in_epoch = {name: torch.tensor(count) for name, count in state["in_epoch"].items()}


def _numbers(counts: Mapping[str, Tensor]) -> dict[str, int]:
    return {name: int(count) for name, count in counts.items()}
