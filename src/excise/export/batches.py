"""Batches of several sizes, made of example inputs, and which axes of them count examples."""

from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

from excise.errors import SettingError

__all__ = ["Batch"]


class Batch:
    """Example inputs, and batches of other sizes made of them."""

    def __init__(self, call: tuple[tuple[Any, ...], dict[str, Any]], axis: int | None) -> None:
        self.axis = axis
        self.call = tree_map(lambda leaf: leaf.cpu() if isinstance(leaf, Tensor) else leaf, call)
        self.count = 0
        if axis is not None:
            first = next((leaf for leaf in tree_leaves(self.call) if isinstance(leaf, Tensor)), None)
            if first is None or not -first.ndim <= axis < first.ndim or not first.shape[axis]:
                shape = "none" if first is None else list(first.shape)
                raise SettingError(f"batch_axis={axis} is no axis of the first example input ({shape}).")
            self.count = first.shape[axis]

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many examples are tried: those that came, one more, and one; torch traces with two at least."""
        return (max(self.count, 2), max(self.count, 2) + 1, 1) if self.axis is not None else (0,)

    def of(self, count: int) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """A call with that many examples, taken in turn from the last to the first when it is not what came."""

        def sized(leaf: object) -> object:
            if not self._counts(leaf) or count == self.count:
                return leaf.clone() if isinstance(leaf, Tensor) else leaf
            assert isinstance(leaf, Tensor)
            assert self.axis is not None
            chosen = torch.tensor([-1 - at % self.count for at in range(count)]) % self.count
            return leaf.index_select(self.axis, chosen)

        return tree_map(sized, self.call)

    def dynamic_shapes(self) -> tuple[Any, ...] | dict[str, Any] | None:
        """Which axes torch shall leave open."""
        if self.axis is None:
            return None
        size = torch.export.Dim("batch")

        def axes(leaf: object) -> object:
            if not self._counts(leaf):
                return None
            assert isinstance(leaf, Tensor)
            assert self.axis is not None
            return {self.axis % leaf.ndim: size}

        arguments, keywords = self.call
        return tree_map(axes, keywords) if keywords else tree_map(axes, arguments)

    def _counts(self, leaf: object) -> bool:
        """Whether this input holds one entry an example."""
        return (
            self.axis is not None
            and isinstance(leaf, Tensor)
            and -leaf.ndim <= self.axis < leaf.ndim
            and leaf.shape[self.axis] == self.count
        )
