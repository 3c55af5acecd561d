"""Which features there are, which of them go together, and what goes when some of them do.

A feature is a number from 1; 0 marks what belongs to none. Two features that meet in one number (the two halves of a
rotary embedding, say) go together. A *group* is a number of its own that goes when all its members go: the queries
of an attention head are of no use when all values of that head are gone, and of use before.
"""

import torch
from torch import Tensor

__all__ = ["FREE", "Features"]

FREE = -1
"""Marks what an operation does not use at all, and so can spare with any features."""


class Features:
    """The features of one place, and groups of them."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._parent = list(range(count + 1))
        self._members: dict[int, tuple[int, ...]] = {}
        self._groups: dict[tuple[int, ...], int] = {}

    def join(self, one: Tensor, other: Tensor) -> None:
        """Note that the features in the same places of two arrays go together, where both have one."""
        pairs = torch.stack([one.flatten(), other.flatten()], dim=1)
        pairs = pairs[(pairs > 0).all(dim=1) & (pairs[:, 0] != pairs[:, 1])]
        if not len(pairs):
            return
        for a, b in pairs.unique(dim=0).tolist():
            root, child = sorted((self._root(a), self._root(b)))
            if root != child:
                assert child <= self.count, "groups are made when all that goes together is known"
                self._parent[child] = root

    def agree(self, one: Tensor, other: Tensor) -> bool:
        """Whether two arrays nowhere hold features that do not go together already."""
        pairs = torch.stack([one.flatten(), other.flatten()], dim=1)
        pairs = pairs[(pairs > 0).all(dim=1) & (pairs[:, 0] != pairs[:, 1])]
        return all(self._root(a) == self._root(b) for a, b in pairs.unique(dim=0).tolist())

    def forget_groups(self) -> None:
        """Before more is found to go together."""
        del self._parent[self.count + 1 :]
        self._members.clear()
        self._groups.clear()

    def group(self, members: list[int]) -> int:
        """The number that goes when all of `members` go; 0 where one of them belongs to no feature."""
        distinct = tuple(sorted({self._root(feature) for feature in members if feature != FREE}))
        if 0 in distinct:
            return 0
        if not distinct:
            return FREE
        if len(distinct) == 1:
            return distinct[0]
        if distinct not in self._groups:
            self._groups[distinct] = len(self._parent)
            self._members[len(self._parent)] = distinct
            self._parent.append(len(self._parent))
        return self._groups[distinct]

    def both(self, one: Tensor, other: Tensor) -> Tensor:
        """Place by place, what goes when the features of both arrays go."""
        one, other = torch.broadcast_tensors(one, other)
        pairs, inverse = torch.stack([one.flatten(), other.flatten()], dim=1).unique(
            dim=0, return_inverse=True
        )
        grouped = torch.tensor([self.group(pair) for pair in pairs.tolist()])
        return grouped[inverse].reshape(one.shape)

    def together(self, features: list[int]) -> list[int]:
        """All features of the place that go together with these, these included."""
        roots = {self._root(feature) for feature in features}
        return [feature for feature in range(1, self.count + 1) if self._root(feature) in roots]

    def gone(self, features: list[int]) -> Tensor:
        """For each feature and group, by number, whether it goes when `features` go."""
        roots = {self._root(feature) for feature in features}
        flags = [feature > 0 and self._root(feature) in roots for feature in range(len(self._parent))]
        for (
            group,
            members,
        ) in self._members.items():  # In the order in which they were made, inner ones first.
            flags[group] = all(flags[member] for member in members)
        return torch.tensor(flags)

    def _root(self, feature: int) -> int:
        while self._parent[feature] != feature:
            self._parent[feature] = self._parent[self._parent[feature]]
            feature = self._parent[feature]
        return feature
