"""Where features lie side by side, so that all of them can be turned alike; and what writes and reads them there."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from excise.errors import UnfollowableError
from excise.surgery.flow import Effect, Flow, Role
from excise.surgery.partial import LINEAR
from excise.surgery.recording import Call, Value
from excise.surgery.rewrite import Fold, Project, Rewrite, Rotate, Swap

__all__ = ["Norm", "Space", "Units"]

_NORMS = ("layer_norm", "rms_norm", "rms_norm_module")
_MOST_UNEVEN = 100.0

Vectors = tuple[tuple[float, ...], ...]
Units = tuple[Tensor | None, ...]
"""Gains in whose units a tensor lacks a subspace, one after the other; None for the units of the stream."""


@dataclass(eq=False)
class Norm:
    """A norm on the way: its gain, and what reads its output (None where that goes on as the stream)."""

    call: Call
    gain: Value | None
    offset: float
    readers: list[Call] | None


@dataclass(eq=False)
class Space:
    """The tensors in which the features lie along one axis, in order; and what writes and reads them."""

    flow: Flow
    writers: set[tuple[str, int]] = field(default_factory=set)
    readers: set[tuple[str, int]] = field(default_factory=set)
    norms: list[Norm] = field(default_factory=list)

    @property
    def dtype(self) -> torch.dtype:
        """The type of the edited weights."""
        name, _ = next(iter(self.writers))
        return self.flow.recording.leaves[name].dtype

    def walk(self, *, partial: bool) -> "Space":
        """Check that all features are treated alike on the way, and find what writes and reads them."""
        for call in self.flow.recording.calls:
            if any(self.flow.held.get(output) for output in call.outputs):
                self._check(call, partial=partial)
        streams = {norm.call.module for norm in self.norms if norm.readers is None}
        for norm in self.norms:
            if norm.call.module in streams:
                norm.readers = None
        behind = {call for norm in self.norms for call in norm.readers or ()}
        for name, value in self.flow.recording.leaves.items():
            for array in self.flow.all_of(value):
                gain = any(norm.gain is value for norm in self.norms) or (
                    value.ndim == 1 and self._is_norms(value)
                )
                if gain or array.role is Role.SCALES:
                    continue
                axis = self._axis(value, array.ids)
                if array.role is Role.READS:
                    if not behind.issuperset(value.users):
                        self.readers.add((name, axis))
                else:
                    self.writers.add((name, axis))
        if not self.writers:
            raise UnfollowableError(self.flow.place, "no weight writes its features by a sum of products.")
        return self

    def _is_norms(self, value: Value) -> bool:
        return any(value in norm.call.values for norm in self.norms)

    def _check(self, call: Call, *, partial: bool) -> None:
        for output in call.outputs:
            for array in self.flow.held.get(output, {}).values():
                if output is call.out or array.axes:
                    self._axis(output, array.ids, call)
        effect = self.flow.effects.get(call)
        if call.name in _NORMS:
            if partial:
                raise self._refused(call, "a norm of less is not less of a norm")
            self.norms.append(self._norm(call))
        elif (
            (call.name == "normalize" and not partial)
            or effect in (Effect.MOVES, Effect.READS)
            or (effect is Effect.ELEMENTWISE and (call.name in LINEAR or self._scales_all(call)))
        ):
            return
        else:
            raise self._refused(
                call, "it treats each number by itself, so that turned features come out otherwise"
            )

    def _scales_all(self, call: Call) -> bool:
        """Whether a product multiplies all features of a sample by the same number."""
        if call.name not in ("mul", "rmul", "multiply", "div", "truediv", "divide", "true_divide"):
            return False
        others = [value for value in call.values if not self.flow.held.get(value)]
        return all(value.ndim == 0 or value.shape[-1] == 1 for value in others)

    def _norm(self, call: Call) -> Norm:
        leaves = [value for value in call.values[1:] if value.source == "leaf"]
        offset = self.flow.recording.rms_norms.get(call.module, ("", 0.0))[1]
        return Norm(call, leaves[0] if leaves else None, offset, self._readers(call.out))

    def _readers(self, value: Value) -> list[Call] | None:
        """The products with weights that take a tensor, perhaps moved; None where it is used otherwise too."""
        if value in self.flow.recording.outputs or not value.users:
            return None
        found: list[Call] = []
        for user in value.users:
            effect = self.flow.effects.get(user)
            if effect is Effect.READS:
                found.append(user)
                continue
            behind = self._readers(user.out) if effect is Effect.MOVES and len(user.outputs) == 1 else None
            if behind is None:
                return None
            found += behind
        return found

    def _axis(self, value: Value, ids: Tensor, call: Call | None = None) -> int:
        axes = [axis for axis, size in enumerate(ids.shape) if size > 1]
        width = self.flow.features.count
        if len(axes) == 1 and torch.equal(ids.flatten(), torch.arange(1, width + 1)):
            return axes[0]
        where = f"in {value.name!r}" if call is None else f"at {str(call)!r}"
        raise UnfollowableError(
            self.flow.place,
            f"{where} its features no longer lie side by side in their order ({list(value.shape)}: "
            "heads, or parts of them), so "
            "that no direction can be taken out there. Remove single features (`excise.ablate`, "
            "`excise.prune`), or suppress the "
            f"direction while the model runs (`excise.suppress`).",
        )

    def _refused(self, call: Call, why: str) -> UnfollowableError:
        file, line = call.line
        return UnfollowableError(
            str(call),
            f"it is on the way of the features of {self.flow.place!r} ({file}, line {line}), and "
            f"{why}. Only single features can be "
            f"removed there (`excise.ablate`, `excise.prune`); a direction can be suppressed while the model runs "
            f"(`excise.suppress`).",
        )

    def projection(self, basis: Tensor, strength: float) -> tuple[Rewrite, dict[Value, Units]]:
        """The steps that take the subspace out; and in which units the tensors behind a norm lack it."""
        rows: Vectors = tuple(map(tuple, basis.tolist()))
        projects = [
            Project(name=name, axis=axis, basis=rows, strength=strength)
            for name, axis in sorted(self.writers)
        ]
        if strength == 1:
            reading = sorted(self.readers - self.writers)
            projects += [Project(name=name, axis=axis, basis=rows) for name, axis in reading]
        swaps: dict[str, Swap] = {}
        units: dict[Value, Units] = {}
        shared = self._read_twice()
        for norm in self.norms:
            path = norm.call.module
            if norm.readers is None:
                swaps[path] = Swap(path=path, kind="projected", basis=rows)
                continue
            gain = self._gain(norm)
            pairs = self._pairs(norm)
            tied = bool(self.writers & pairs)
            # A tied weight lacks the subspace as a reader as well, in the units of the stream.
            self._mark(norm.call.out, (gain, None) if tied else (gain,), units)
            scale = () if gain is None else tuple(gain.tolist())
            if not tied and not shared & {name for name, _ in pairs} and _even(gain):
                projects += [
                    Project(name=name, axis=axis, basis=rows, scale=scale) for name, axis in sorted(pairs)
                ]
            elif norm.call.name == "layer_norm":
                swaps[path] = Swap(path=path, kind="projected", basis=rows, scale=scale)
        unique = tuple(dict.fromkeys(projects))
        return Rewrite(projects=unique, swaps=tuple(swaps.values())), units

    def _mark(self, value: Value, given: Units, units: dict[Value, Units]) -> None:
        """Note the units of a norm's output; what it is moved to lacks the subspace already."""
        units[value] = given
        for user in value.users:
            if self.flow.effects.get(user) is Effect.MOVES:
                for output in user.outputs:
                    self._mark(output, (), units)

    def _pairs(self, norm: Norm) -> set[tuple[str, int]]:
        """The weights that read a norm's output, each with the axis that reads."""
        weights = dict.fromkeys(self._weight(user) for user in norm.readers or ())
        return {(weight.name, self._reading_axis(weight)) for weight in weights}

    def rotation(self, basis: Tensor) -> Rewrite:
        """The steps that turn the features so that the subspace lies on the last of them, and change nothing else."""
        rows: Vectors = tuple(map(tuple, basis.tolist()))
        folds: list[Fold] = []
        turned = self.writers | self.readers
        for norm in self.norms:
            if norm.call.name == "layer_norm":
                raise self._refused(
                    norm.call, "a LayerNorm takes a mean over features, which turning does not keep"
                )
            if norm.readers is None:
                raise self._refused(
                    norm.call, "no weight can take its gain, as its output is the stream itself"
                )
            pairs = self._pairs(norm)
            if norm.gain is not None:
                if self.writers & pairs or self._read_twice() & {name for name, _ in pairs}:
                    raise self._refused(
                        norm.call, "its gain cannot go into weights that are used otherwise too (tied ones)"
                    )
                readers = tuple((name, axis, None) for name, axis in sorted(pairs))
                folds.append(Fold(path=norm.call.module, offset=norm.offset, readers=readers))
            turned |= pairs
        rotates = [Rotate(name=name, axis=axis, basis=rows) for name, axis in sorted(turned)]
        return Rewrite(folds=tuple(folds), rotates=tuple(rotates))

    def _gain(self, norm: Norm) -> Tensor | None:
        if norm.gain is None:
            return None
        gain = self.flow.recording.tensors[norm.gain.name].detach().double() + norm.offset
        if norm.readers is not None and bool((gain == 0).any()):
            raise self._refused(
                norm.call, "its gain has zeros, so that it cannot be folded into what reads it"
            )
        return gain

    def _weight(self, reader: Call) -> Value:
        """The weight that a product multiplies the features by."""
        return next(value for value in reader.values if value.source == "leaf" and value.ndim > 1)

    def _reading_axis(self, weight: Value) -> int:
        for array in self.flow.all_of(weight):
            if array.role is Role.READS or (weight.name, self._axis(weight, array.ids)) in self.writers:
                return self._axis(weight, array.ids)
        raise UnfollowableError(
            weight.name,
            f"it reads the features of {self.flow.place!r} in some of its uses only, so that no direction can be taken "
            f"out of it.",
        )

    def _read_twice(self) -> set[str]:
        """Weights that read several norms, each with a gain of its own."""
        seen: dict[str, set[Call]] = {}
        for norm in self.norms:
            for user in norm.readers or ():
                seen.setdefault(self._weight(user).name, set()).add(norm.call)
        return {name for name, calls in seen.items() if len(calls) > 1}


def _even(gain: Tensor | None) -> bool:
    """Whether a gain is so even that weights hold what is divided by it without losing digits.

    Where it is not, what reads an RMS norm stays as it is: nothing of the subspace comes to it.
    """
    return gain is None or bool(gain.abs().max() <= _MOST_UNEVEN * gain.abs().min())
