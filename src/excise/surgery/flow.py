"""The features of one place, followed through a recorded forward pass until nothing new is found.

Of each tensor that holds features, or that writes, scales or reads them, the flow knows which number belongs to which
feature: as one or more integer arrays, each as large as the tensor along the axes it varies on and 1 along the others
(so `[1, 1, d]` for a residual stream, and for a weight that both reads and writes features one array `[1, d]` and one
`[d, 1]`). Each operation has a rule (see `operations`) that carries such arrays from its inputs to its outputs and
back.

What belongs to a feature comes in two strengths. What *holds* it (`join`) is found by walking both ways until nothing
is new: a sum holds the features of its terms, so all terms hold them. What only *serves* it (`spare`) can go with it
if nothing else needs it: the column that reads it, the gate that it is multiplied by, the queries of a head whose
values are gone. This is found afterwards, in one walk from the end to the start, from all users of a tensor.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum

import torch
from torch import Tensor

from excise.errors import UnfollowableError
from excise.surgery.features import Features
from excise.surgery.recording import Call, Recording, Value

__all__ = ["ALL_LAYERS", "Array", "Count", "Effect", "Flow", "Role", "Rule", "follow", "refusal"]

ALL_LAYERS = "several layers of one width"
"""The kind of count of a recurrent network that has several layers."""


class Role(Enum):
    """What a tensor has to do with the features it belongs to."""

    CARRIES = "holds or writes them"
    READS = "multiplies them"
    SCALES = "divides or shifts them by statistics"


class Effect(Enum):
    """What an operation makes of removed features, which are zero unless something before made them constant."""

    ELEMENTWISE = "gives each feature on by itself; whether zero stays zero is tried out"
    MOVES = "puts them elsewhere"
    NEEDS_ZERO = "mixes features in a way in which zeros count for nothing, and constants would count"
    READS = "ends there: a weight multiplies them"


@dataclass(eq=False)
class Array:
    """Which number of a tensor belongs to which feature.

    Attributes:
        ids: the features, 0 for none; of a shape that broadcasts to the tensor's.
        role: what the tensor does to them.
        slot: a number of a product goes with the features of any factor; those of each factor are an array of their
            own.
    """

    ids: Tensor
    role: Role = Role.CARRIES
    slot: int = 0

    def moved(self, ids: Tensor, role: Role | None = None) -> "Array":
        """What becomes of it in another tensor."""
        return Array(ids, self.role if role is None else role, self.slot)

    @property
    def axes(self) -> tuple[int, ...]:
        """The axes along which it varies."""
        return tuple(axis for axis, size in enumerate(self.ids.shape) if size > 1)


_MOST_PAIRS = 64
Arrays = dict[tuple[int, tuple[int, ...]], Array]
Rule = Callable[[Call, "Flow"], None]


@dataclass(frozen=True, eq=False)
class Count:
    """An operation whose result depends on how many features there are, and not only on their values.

    Attributes:
        call: the operation.
        value: the tensor whose features it counts.
        kind: how: "layer_norm", "rms_norm", "group_norm", or a phrase for what no edit can adapt.
    """

    call: Call
    value: Value
    kind: str


@dataclass(eq=False)
class Flow:
    """What is known so far; see the module's text for the two strengths."""

    recording: Recording
    features: Features
    place: str
    held: dict[Value, Arrays] = field(default_factory=dict)
    served: dict[Value, Arrays] = field(default_factory=dict)
    effects: dict[Call, Effect] = field(default_factory=dict)
    counts: dict[Call, Count] = field(default_factory=dict)
    disputed: dict[Value, list[Array]] = field(default_factory=dict)
    _fixed: set[Value] = field(default_factory=set)
    _pending: deque[Call] = field(default_factory=deque)
    _queued: set[Call] = field(default_factory=set)
    _looking_back: Call | None = None
    _offers: dict[Value, dict[Call, list[Array]]] = field(default_factory=dict)
    _slots: int = 0

    def __post_init__(self) -> None:
        """Find out once which tensors no parameter has to do with."""
        for call in self.recording.calls:
            if all(map(self.is_fixed, call.values)):
                self._fixed.update(call.outputs)

    def of(self, value: Value) -> tuple[Array, ...]:
        """The arrays of a tensor, perhaps none."""
        held = self.held.get(value, {})
        if self._looking_back is None or value not in self._looking_back.outputs:
            return tuple(held.values())
        return (*held.values(), *self.served.get(value, {}).values())

    def all_of(self, value: Value) -> tuple[Array, ...]:
        """The arrays of both strengths, when all is known."""
        return (*self.held.get(value, {}).values(), *self.served.get(value, {}).values())

    def is_fixed(self, value: Value) -> bool:
        """Whether no parameter has to do with a tensor: it comes from inputs, buffers and numbers in the code alone."""
        return value in self._fixed or (
            value.source != "call"
            and not (value.source == "leaf" and value.name in self.recording.parameters)
        )

    def join(self, value: Value, array: Array, *, either: bool = False) -> None:
        """Let numbers of a tensor hold features.

        Args:
            value: the tensor.
            array: the features.
            either: whether the tensor is a product, whose numbers go with the features of any factor. Elsewhere,
                features that meet in one number go together.
        """
        ids = _compressed(array.ids.reshape((1,) * (value.ndim - array.ids.ndim) + tuple(array.ids.shape)))
        if value.dtype in _INDICES or not bool(ids.any()):
            return
        if self._looking_back is not None:
            self._offer(value, array.moved(ids))
            return
        if value.source == "input":
            raise UnfollowableError(
                self.place,
                f"its features lie in an input of the model, {list(value.shape)}, which no weight writes. Name a "
                f"layer behind the first one with weights, or suppress them while the model runs (`excise.suppress`).",
            )
        arrays = self.held.setdefault(value, {})
        slot = self._slot(arrays, ids, array.slot) if either else array.slot
        known = arrays.get((slot, _varied(ids)))
        if known is None and any(self._covers(array, ids) for array in arrays.values()):
            return
        if known is None:
            arrays[slot, _varied(ids)] = Array(ids, array.role, slot)
        else:
            self.features.join(known.ids, ids)
            new = (ids > 0) & (known.ids == 0)
            if not bool(new.any()):
                return
            known.ids = torch.where(new, ids, known.ids)
        self._queue(value)

    def spare(self, value: Value, array: Array) -> None:
        """Let numbers of a tensor serve features: they can go with them unless something else needs them.

        Args:
            value: the tensor, an input of the operation.
            array: the features; along axes that vary and that the tensor lacks (size 1 there), all must go.
        """
        if self._looking_back is None or value.dtype in _INDICES:
            return
        ids = array.ids
        lead = ids.ndim - value.ndim
        ids = self._common(
            ids, [axis for axis in range(ids.ndim) if axis < lead or value.shape[axis - lead] == 1]
        )
        ids = ids.reshape(ids.shape[lead:]) if lead > 0 else ids.reshape((1,) * -lead + tuple(ids.shape))
        self._offer(value, array.moved(_compressed(ids)))

    def _slot(self, arrays: Arrays, ids: Tensor, wanted: int) -> int:
        """The slot of a product's array: a new one where the features of another factor are in the way."""
        for slot, axes in arrays:
            known = arrays[slot, axes].ids
            if axes == _varied(ids) and self.features.agree(known, ids):
                return slot
        taken = {slot for slot, axes in arrays if axes == _varied(ids)}
        if wanted not in taken:
            return wanted
        self._slots += 1
        return self._slots

    def _covers(self, known: Array, ids: Tensor) -> bool:
        """Whether an array that varies along fewer axes says all that `ids` does."""
        if not set(known.axes) <= set(_varied(ids)):
            return False
        held = known.ids.expand(ids.shape)
        return bool((held[ids > 0] > 0).all()) and self.features.agree(held, ids)

    def _queue(self, value: Value) -> None:
        for call in (*value.users, *((value.maker,) if value.maker else ())):
            if call not in self._queued:
                self._queued.add(call)
                self._pending.append(call)

    def common(self, ids: Tensor, axes: Iterable[int]) -> Tensor:
        """The features along all axes but `axes`, across which all must go; size 1 there.

        Before all that goes together is known there are no groups, and what differs across the axes is 0.
        """
        return self._common(ids, list(axes))

    @property
    def looking_back(self) -> bool:
        """Whether it is the second walk, in which groups can be made."""
        return self._looking_back is not None

    def effect(self, call: Call, effect: Effect) -> None:
        """Say what an operation makes of features that are removed."""
        self.effects[call] = effect

    def count(self, call: Call, value: Value, kind: str) -> None:
        """Say that an operation depends on the number of features."""
        self.counts.setdefault(call, Count(call, value, kind))

    def _common(self, ids: Tensor, axes: list[int]) -> Tensor:
        across = [axis for axis in axes if ids.shape[axis] > 1]
        if not across:
            return ids
        rest = [axis for axis in range(ids.ndim) if axis not in across]
        rows = ids.permute(*rest, *across).reshape(
            -1, int(torch.Size(ids.shape[axis] for axis in across).numel())
        )
        if self.looking_back:
            reduced = torch.tensor([self.features.group(row) for row in rows.tolist()])
        else:
            reduced = torch.where((rows == rows[:, :1]).all(dim=1), rows[:, 0], 0)
        return reduced.reshape([1 if axis in across else size for axis, size in enumerate(ids.shape)])

    def _offer(self, value: Value, array: Array) -> None:
        call = self._looking_back
        assert call is not None
        if call not in value.users or not bool(array.ids.any()):
            return
        offered = self._offers.setdefault(value, {}).setdefault(call, [])
        if not any(_same(known, array) for known in offered):
            offered.append(array)

    def walk(self, rules: Callable[[str], Rule | None]) -> None:
        """Find all that holds the features."""
        while self._pending:
            call = self._pending.popleft()
            self._queued.discard(call)
            rule = rules(call.name)
            if rule is None:
                raise refusal(call, self.place, "what it does to single features is not known here")
            rule(call, self)

    def settle(self, rules: Callable[[str], Rule | None]) -> None:
        """Find what serves the features, and what a weight that is used several times drags along.

        A weight that reads them in one place and something else in another cannot lose a column in one place only: what
        it reads elsewhere holds the same features then.
        """
        for _ in range(len(self.recording.leaves) + 1):
            self.features.forget_groups()
            self.served.clear()
            self.disputed.clear()
            self.walk_back(rules)
            if not self.disputed:
                return
            for value, arrays in self.disputed.items():
                for array in arrays:
                    self.join(value, array)
            if not self._pending:  # All of it was held already.
                return
            self.walk(rules)

    def walk_back(self, rules: Callable[[str], Rule | None]) -> None:
        """Find all that serves them and nothing else, from the last operation to the first."""
        leaving = set(self.recording.outputs)
        for call in reversed(self.recording.calls):
            for output in call.outputs:
                self._settle(output, leaving)
            touched = any(self.all_of(output) for output in call.outputs) or any(
                self.held.get(v) for v in call.values
            )
            rule = rules(call.name) if touched else None
            if rule is not None:
                self._looking_back = call
                rule(call, self)
                self._looking_back = None
        for leaf in self.recording.leaves.values():
            self._settle(leaf, leaving)

    def _settle(self, value: Value, leaving: set[Value]) -> None:
        """What all users of a tensor can spare of it."""
        offers = self._offers.pop(value, {})
        if not offers or value in leaving:
            return
        arrays: list[Array] = []
        if value.source == "leaf":
            reads = {call: [one for one in each if one.role is Role.READS] for call, each in offers.items()}
            reads = {call: each for call, each in reads.items() if each}
            if reads and len(reads) < len(set(value.users)):
                self.disputed[value] = [array for each in reads.values() for array in each]
            elif reads:
                arrays += self._agreed(list(reads.values()))
            offers = {
                call: [one for one in each if one.role is not Role.READS] for call, each in offers.items()
            }
            offers = {call: each for call, each in offers.items() if each}
        if offers and len(offers) == len(set(value.users)):
            arrays += self._agreed(list(offers.values()))
        served, held = self.served.setdefault(value, {}), self.held.get(value, {})
        for slot, array in enumerate(arrays):
            known = array.moved(_compressed(array.ids.clamp(min=0)))
            if any(one.role is known.role and self._covers(one, known.ids) for one in held.values()):
                continue
            if bool(known.ids.any()):
                served[slot, known.axes] = known

    def _agreed(self, offers: list[list[Array]]) -> list[Array]:
        """What one user of a tensor can spare, and each other too."""
        arrays, *others = offers
        for other in others:
            if len(arrays) * len(other) > _MOST_PAIRS:
                return []  # A loop over time may ask in ever more ways; what is not known to be spare stays.
            pairs = [
                Array(
                    _compressed(self.features.both(one.ids, two.ids)),
                    two.role if one.role is Role.SCALES else one.role,
                )
                for one in arrays
                for two in other
            ]
            arrays = []
            for pair in pairs:
                if bool(pair.ids.any()) and not any(_same(known, pair) for known in arrays):
                    arrays.append(pair)
        return arrays


_INDICES = {torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64}


def follow(
    recording: Recording, place: str, starts: list[tuple[Value, int]], rules: Callable[[str], Rule | None]
) -> Flow:
    """Follow the features that lie along an axis of some tensors, which are the results of one place.

    Args:
        recording: the forward pass.
        place: its name, for messages.
        starts: the tensors, each with the axis of its features, which are equally many.
        rules: the rule of an operation by its name.

    Raises:
        UnfollowableError: the features lie in an input, or meet an operation that no rule covers.
    """
    width = starts[0][0].shape[starts[0][1]]
    flow = Flow(recording, Features(width), place)
    for value, axis in starts:
        shape = [1] * value.ndim
        shape[axis] = width
        flow.join(value, Array(torch.arange(1, width + 1).reshape(shape)))
    flow.walk(rules)
    flow.settle(rules)
    _check_reads(flow)
    return flow


def _check_reads(flow: Flow) -> None:
    """Refuse Python code that takes numbers out of the features, or out of what was made of them without a weight."""
    derived = {value for value in flow.held if value.source == "call"}
    for call in flow.recording.calls:
        weighted = any(value.source == "leaf" and value.ndim > 1 for value in call.values)
        if not weighted and flow.effects.get(call) is not Effect.READS and derived & set(call.values):
            derived |= set(call.outputs)
    for call in flow.recording.reads:
        if derived & set(call.values):
            reason = "Python code depends on their values there, so that other inputs may go another way"
            raise refusal(
                call, flow.place, reason,
                "Pass a smaller module that holds the layer, its writers and its readers and not this line, or "
                "choose a layer whose features do not come there.",
            )  # fmt: skip


def refusal(call: Call, place: str, reason: str, advice: str = "") -> UnfollowableError:
    """The error for an operation in the way."""
    file, line = call.line
    usual = (
        "Choose a layer whose features do not come there, pass a smaller module that holds the layer, its writers and "
        "its readers, or teach excise the operation with `excise.surgery.rule`."
    )
    return UnfollowableError(
        str(call),
        f"it takes the features of {place!r} ({file}, line {line}), and {reason}. {advice or usual}",
    )


def _varied(ids: Tensor) -> tuple[int, ...]:
    return tuple(axis for axis, size in enumerate(ids.shape) if size > 1)


def _compressed(ids: Tensor) -> Tensor:
    """`ids` with every axis along which it is constant cut to 1."""
    for axis, size in enumerate(ids.shape):
        if size > 1:
            first = ids.narrow(axis, 0, 1)
            if bool((ids == first).all()):
                ids = first
    return ids.clone() if ids._is_view() else ids


def _same(one: Array, other: Array) -> bool:
    return one.ids.shape == other.ids.shape and bool((one.ids == other.ids).all())
