"""An edited model held against the model in which the features are zeroed wherever they are carried.

The reference is a run of the unedited model in which, after each recorded operation whose result holds the features,
those are set to zero. It knows nothing of weights, so it judges both ways of editing them.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map

from excise.errors import InexactEditError
from excise.surgery.copying import ModelT, copied, same_randomness
from excise.surgery.examples import Examples, tensors_in
from excise.surgery.flow import Effect, Flow
from excise.surgery.operations.recurrent import RECURRENT
from excise.surgery.recording import Call, Value, is_counted
from excise.surgery.removal import Removal
from excise.surgery.replacements import without
from excise.surgery.rewrite import Rewrite
from excise.surgery.zeros import stays_zero

__all__ = ["difference", "outputs_projected", "outputs_without", "outputs_zeroed_at", "rewritten"]

_TOLERANCE = {torch.float64: 1e-10, torch.float16: 5e-3, torch.bfloat16: 5e-2}
_DEFAULT_TOLERANCE = 1e-5

Change = Callable[[Tensor], Tensor]
Changes = dict[int, dict[int, list[Change]]]
"""By the serial number of an operation and the place among its results: what is done to that result."""


def rewritten(model: ModelT, rewrite: Rewrite) -> ModelT:
    """A rewritten copy of the model."""
    edited = copied(model)
    rewrite.apply(edited)
    return edited


def outputs_without(removal: Removal, examples: Examples, strength: float = 1.0) -> list[Tensor]:
    """What the model gives when the features are zeroed in every tensor that carries them.

    With a strength below 1, that share of them is taken where weights write them, and sums carry the rest on.
    """
    flow = removal.flow
    changes: Changes = {}
    for call in flow.recording.calls:
        if strength < 1 and flow.effects.get(call) is not Effect.READS:
            continue
        sure = stays_zero(call, removal)
        for at, output in enumerate(call.outputs):
            for array in flow.all_of(output):
                mask = removal.is_gone(array)
                if bool(mask.any()):
                    found = changes.setdefault(call.serial, {}).setdefault(at, [])
                    if (
                        strength == 1
                        and flow.held.get(output)
                        and array in flow.held[output].values()
                        and sure
                    ):
                        found.append(_zero_already(mask, call))
                    found.append(_scaled(mask, 1 - strength))
    weights: dict[int, list[Tensor]] = {}
    for leaf, value in flow.recording.leaves.items():
        if any(call.name in RECURRENT for call in value.users):
            weights[id(flow.recording.tensors[leaf])] = [mask for mask, _ in removal.masks(value)]
    return _run(flow, examples, _Changing(changes, weights))


def outputs_zeroed_at(
    removal: Removal, places: list[Value], wanted: list[int], examples: Examples
) -> tuple[list[Tensor], dict[int, tuple[Any, ...]]]:
    """What the model gives when the features are zeroed at their place only; and what some operations then take.

    Args:
        removal: the removal.
        places: the tensors of the place.
        wanted: the serial numbers of the operations whose arguments are asked for.
        examples: what the model is run on.
    """
    changes: Changes = {}
    for place in places:
        assert place.maker is not None
        for array in removal.flow.held[place].values():
            at = place.maker.outputs.index(place)
            change = _scaled(removal.is_gone(array), 0.0)
            changes.setdefault(place.maker.serial, {}).setdefault(at, []).append(change)
    mode = _Changing(changes, wanted=wanted)
    return _run(removal.flow, examples, mode), mode.taken


def outputs_projected(
    flow: Flow,
    examples: Examples,
    basis: Tensor,
    units: Mapping[Value, Iterable[Tensor | None]],
    strength: float = 1.0,
) -> list[Tensor]:
    """What the model gives when a subspace is taken out of every tensor that carries the features.

    Args:
        flow: the features, followed.
        examples: what the model is run on.
        basis: the subspace, orthonormal rows `[k, d]`.
        units: for tensors behind a norm, the gains in whose units they lack the subspace.
        strength: the share that is taken, below 1 where weights write them only.
    """
    changes: Changes = {}
    for call in flow.recording.calls:
        if strength < 1 and flow.effects.get(call) is not Effect.READS:
            continue
        for at, output in enumerate(call.outputs):
            for array in flow.held.get(output, {}).values():
                found = changes.setdefault(call.serial, {}).setdefault(at, [])
                found += [
                    _projected(basis, array.axes[0], gain, strength) for gain in units.get(output, (None,))
                ]
    return _run(flow, examples, _Changing(changes))


def _zero_already(mask: Tensor, call: Call) -> Change:
    """Changes nothing, and refuses features that a rule followed to where they are not."""

    def change(x: Tensor) -> Tensor:
        if bool((x.masked_select(mask.to(x.device)) != 0).any()):
            raise InexactEditError(
                f"the rule of {call.name!r} is wrong: features that were zeroed before {str(call)!r} "
                f"({call.line[0]}, line {call.line[1]}) are not zero where it says that they lie behind it. If it is "
                f"yours (`excise.surgery.rule`), mend it; if not, please report it."
            )
        return x

    return change


def _scaled(mask: Tensor, left: float) -> Change:
    def change(x: Tensor) -> Tensor:
        if mask.ndim > x.ndim or any(
            size not in (1, x.shape[at - mask.ndim]) for at, size in enumerate(mask.shape)
        ):
            raise InexactEditError(
                "the model does not do the same operations each time (a cache that it fills, numbers that it draws), "
                "so that an edit of it cannot be checked. Pass a smaller module that holds the layer, its writers and "
                "its readers."
            )
        return torch.where(mask.to(x.device), left * x if left else torch.zeros_like(x), x)

    return change


def _projected(basis: Tensor, axis: int, scale: Tensor | None, strength: float) -> Change:
    def change(x: Tensor) -> Tensor:
        own = None if scale is None else scale.to(x)
        return without(x.movedim(axis, -1), basis.to(x), own, strength).movedim(-1, axis)

    return change


def difference(
    model: nn.Module,
    rewrite: Rewrite,
    reference: list[Tensor],
    examples: Examples,
    *,
    place: str,
    dtype: torch.dtype,
    spare: nn.Module | None = None,
) -> float:
    """The largest difference of an output between a rewritten copy, in evaluation mode, and the reference.

    Args:
        model: the model; it is not changed.
        rewrite: the edit.
        reference: what `outputs_without` gave.
        examples: what it was run on.
        place: the name of the place, for messages.
        dtype: the least precise type that the model computes in, which sets the tolerance: 1e-5 (1e-10 in float64,
            5e-3 in float16, 5e-2 in bfloat16), times the largest output where that is above 1.
        spare: a copy of the model that may be used up, so that no other is made.

    Raises:
        InexactEditError: they differ by more, or the rewritten copy does not run.
    """
    unseen = (
        f"something in the model uses the features of {place!r} unseen: a number in its code that "
        "stands for how many there "
        f"are, a cache, code outside torch"
    )
    arguments, keywords = examples.copies()
    try:
        if spare is None:
            edited = rewritten(model, rewrite).eval()
        else:
            rewrite.apply(spare)
            edited = spare
        with torch.no_grad(), same_randomness(model):
            found = tensors_in(edited(*arguments, **keywords))
    # What the model could do, the edited copy must; the user's forward pass may raise anything.
    except (RuntimeError, ValueError, TypeError, AssertionError, IndexError, AttributeError) as error:
        raise InexactEditError(
            f"the model runs on the example inputs, the edited copy does not: {unseen}. "
            f"{type(error).__name__}: {error} ({_line_of(error)})"
        ) from error
    if len(reference) != len(found):
        raise InexactEditError(f"the edited copy gives other outputs than the model: {unseen}.")
    worst = 0.0
    for one, other in zip(reference, found, strict=True):
        if one.shape != other.shape:
            continue  # A wanted change of an output's shape; without the wish, the plan was refused.
        tolerance = max(_TOLERANCE.get(kind, _DEFAULT_TOLERANCE) for kind in (one.dtype, dtype))
        largest = _largest(one[one.isfinite()])
        # Small outputs are held to their size, with some room for what cancels out on the way to them.
        tolerance *= largest if largest >= 1 else min(1.0, 10 * largest) or 1.0
        # Equal infinities (masked logits) do not differ, though their difference is not a number.
        unequal = one != other
        apart = _largest(_wide(one[unequal]) - _wide(other[unequal]))
        if not apart <= tolerance:
            raise InexactEditError(
                f"the edited copy differs by {apart:.2e} on the example inputs, more than "
                f"{tolerance:.0e}, from the model with "
                f"the features zeroed wherever they are carried: {unseen}."
            )
        worst = max(worst, apart)
    return worst


class _Changing(TorchFunctionMode):
    """Changes results of some operations, counted as the recorder counts them."""

    def __init__(
        self, changes: Changes, weights: dict[int, list[Tensor]] | None = None, wanted: Iterable[int] = ()
    ) -> None:
        super().__init__()
        self.changes = changes
        self.weights = weights or {}
        self.wanted = set(wanted)
        self.taken: dict[int, tuple[Any, ...]] = {}
        self.serial = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # noqa: ANN401 - torch's protocol has no types
        """See torch; whatever is called may take and give anything."""
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") == "__iter__":
            with self:
                return iter(args[0].unbind(0))
        if getattr(func, "__name__", "") in RECURRENT:
            args = tree_map(self._without, args)
        result = func(*args, **kwargs)
        target = is_counted(func, args, result)
        if target is None:
            return result
        if self.serial in self.wanted:
            self.taken[self.serial] = tuple(
                leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)
            )
        found = self.changes.get(self.serial)
        self.serial += 1
        if not found:
            return result
        if isinstance(target, Tensor):
            for change in found[0]:
                target.copy_(change(target))
            return result
        tensors = iter(range(len(tensors_in(result))))

        def changed(leaf: Any) -> Any:  # noqa: ANN401 - part of any result
            if not isinstance(leaf, Tensor):
                return leaf
            for change in found.get(next(tensors), ()):
                leaf = change(leaf)
            return leaf

        return tree_map(changed, result)

    def _without(self, leaf: Any) -> Any:  # noqa: ANN401 - an argument of any kind
        """Inside a recurrent operation the features come round again; there its weights are zeroed."""
        for mask in self.weights.get(id(leaf), ()):
            leaf = leaf.masked_fill(mask.to(leaf.device), 0)
        return leaf


def _run(flow: Flow, examples: Examples, mode: _Changing) -> list[Tensor]:
    arguments, keywords = examples.copies()
    model = flow.recording.model
    with torch.no_grad(), same_randomness(model), parametrize.cached():
        for module in model.modules():  # Computed before, as in the recording, so that they are not counted.
            if parametrize.is_parametrized(module):
                assert isinstance(module.parametrizations, nn.ModuleDict)
                for name in module.parametrizations:
                    getattr(module, name)
        try:
            with mode:
                return tensors_in(model(*arguments, **keywords))
        except InexactEditError:
            raise
        # It ran before; the user's forward pass may raise anything.
        except Exception as error:
            raise InexactEditError(
                f"the model ran once and not again with the features of {flow.place!r} zeroed where they are carried "
                f"({type(error).__name__}: {error}; {_line_of(error)}): it does not do the same operations each time "
                f"(a cache, torch.func.vmap), or does not bear zeros. Pass a smaller module that holds the layer, its "
                f"writers and its readers."
            ) from error


def _largest(values: Tensor) -> float:
    return _wide(values).abs().amax().item() if values.numel() else 0.0


def _wide(values: Tensor) -> Tensor:
    """The values on the CPU in a type that holds all others, truth values included."""
    return values.cpu().to(torch.complex128)


def _line_of(error: BaseException) -> str:
    """The innermost line of the user's code that raised it."""
    place, trace = "", error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if not file.startswith((torch.__path__[0], __file__)):
            place = f"{file}, line {trace.tb_lineno}"
        trace = trace.tb_next
    return place
