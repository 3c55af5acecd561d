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
        self._before_epoch: dict[str, int] = {}

    def add(self, labels: Mapping[str, Tensor]) -> None:
        """Count a batch."""
        counts = self._since_start
        for name, values in labels.items():
            count = torch.count_nonzero(values)
            counts[name] = count if name not in counts else count.add_(counts[name])

    def begin_epoch(self) -> None:
        """Count the epoch from 0."""
        self._before_epoch = self.since_start()

    def since_start(self) -> dict[str, int]:
        """The count of each label since the training began."""
        return {name: int(count) for name, count in self._since_start.items()}

    def in_epoch(self) -> dict[str, int]:
        """The count of each label in this epoch."""
        return {name: count - self._before_epoch.get(name, 0) for name, count in self.since_start().items()}

    def names(self) -> Iterable[str]:
        """The labels that were seen, sorted."""
        return sorted(self._since_start)

    def state(self) -> dict[str, dict[str, int]]:
        """The counts, for a checkpoint."""
        return {"since_start": self.since_start(), "before_epoch": self._before_epoch}

    def restore(self, state: Mapping[str, Mapping[str, int]]) -> None:
        """Count on from those."""
        self._since_start = {name: torch.tensor(count) for name, count in state["since_start"].items()}
        self._before_epoch = dict(state["before_epoch"])
