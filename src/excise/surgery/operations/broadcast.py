"""What rules have in common: tensors whose axes are the same letters, as in an einsum."""

from collections.abc import Iterable, Sequence

from torch import Tensor

from excise.surgery.flow import Flow, Role
from excise.surgery.recording import Value

__all__ = ["Axes", "alike", "contract", "spread"]

Axes = tuple[str, ...]


def alike(
    flow: Flow,
    out: Value,
    terms: Iterable[Value] = (),
    *,
    factors: Iterable[Value] = (),
    role: Role = Role.CARRIES,
) -> None:
    """Tie tensors that an operation combines number by number, broadcasting.

    Args:
        flow: what is known so far.
        out: the result.
        terms: what holds the features that the result holds, such as the terms of a sum. One that lacks an axis, or has
            size 1 there, serves all features along it, and only when all of them go can it go.
        factors: what only serves them, such as a gain; the result goes with the features of any of them.
        role: what the factors do to the features.
    """
    terms, factors = list(terms), list(factors)
    for operand in terms:
        for array in flow.of(operand):
            flow.join(out, array)
    for operand in factors:
        for array in flow.of(operand):
            flow.join(out, array.moved(array.ids, Role.CARRIES), either=True)
    for array in flow.of(out):
        for term in terms:
            missing = out.ndim - term.ndim
            if missing >= 0 and all(
                axis >= missing and term.shape[axis - missing] == out.shape[axis] for axis in array.axes
            ):
                flow.join(term, array.moved(array.ids.reshape(array.ids.shape[missing:])))
            else:
                flow.spare(term, array)
        for factor in factors:
            flow.spare(factor, array.moved(array.ids, role if role is not Role.CARRIES else array.role))


def contract(flow: Flow, operands: Sequence[tuple[Value, Axes]], out: tuple[Value, Axes]) -> None:
    """Tie the tensors of a sum of products, as `torch.einsum` takes it.

    Features along an axis that is summed over end there: the other operands read them. Features along an axis of the
    result are written by the operand that has it; one that has it in part serves them.

    Args:
        flow: what is known so far.
        operands: tensors, each with a letter an axis (letters of several characters are fine).
        out: the result likewise.
    """
    target, letters_out = out
    for value, letters in operands:
        for array in flow.of(value):
            varied = {letters[axis] for axis in array.axes}
            if varied <= set(letters_out):
                flow.join(
                    target, array.moved(spread(array.ids, letters, letters_out), Role.CARRIES), either=True
                )
                continue
            for other, others in operands:
                shared = varied & set(others)
                if other is not value and shared - set(letters_out):
                    kept = flow.common(
                        array.ids, [axis for axis in array.axes if letters[axis] not in shared]
                    )
                    read = array.moved(spread(kept, letters, others), Role.READS)
                    if value.source == "leaf" and not flow.looking_back:
                        # A column that is gone, of a weight that also writes, drags along what is read by it.
                        flow.join(other, read.moved(read.ids, Role.CARRIES))
                    else:
                        flow.spare(other, read)
    for array in flow.of(target):
        varied = {letters_out[axis] for axis in array.axes}
        for value, letters in operands:
            shared = {
                letter
                for letter in varied & set(letters)
                if value.shape[letters.index(letter)] == target.shape[letters_out.index(letter)]
            }
            if not shared:
                continue
            kept = flow.common(array.ids, [axis for axis in array.axes if letters_out[axis] not in shared])
            written = array.moved(spread(kept, letters_out, letters), Role.CARRIES)
            if shared == varied:
                flow.join(value, written)
            else:
                flow.spare(value, written)


def spread(ids: Tensor, letters: Axes, wanted: Axes) -> Tensor:
    """An array over some axes as one over others; axes that are not wanted must have size 1."""
    order = [letters.index(letter) for letter in wanted if letter in letters]
    dropped = [axis for axis in range(ids.ndim) if axis not in order]
    assert all(ids.shape[axis] == 1 for axis in dropped), "an axis that varies is lost"
    moved = ids.permute(*order, *dropped).reshape([ids.shape[axis] for axis in order])
    sizes = dict(zip([letter for letter in wanted if letter in letters], moved.shape, strict=True))
    return moved.reshape([sizes.get(letter, 1) for letter in wanted])
