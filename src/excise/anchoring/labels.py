"""How labels switch a regularizer on: affinities turn labels into one share a sample."""

from collections.abc import Mapping

from torch import Tensor

from excise.errors import ShapeError

__all__ = ["shares_of"]

_EPSILON = 1e-8


def shares_of(labels: Mapping[str, Tensor], affinities: Mapping[str, float]) -> Tensor | None:
    """How much each sample counts: w / (sum(w) + 1e-8), with w = clamp(sum of label x strength, 0, 1).

    Args:
        labels: for each label that the batch carries, which samples have it, `[batch]`, in [0, 1].
        affinities: for each label, how strongly it switches the regularizer on.

    Returns:
        `[batch]`, summing to (almost) 1; None when no sample counts, because none carries such a label or the
        batch carries no such label at all.

    Raises:
        ShapeError: a label is not `[batch]`.
    """
    total = None
    for label, strength in affinities.items():
        if label not in labels:
            continue
        values = labels[label]
        if values.ndim != 1:
            raise ShapeError(f"label {label!r} takes one value a sample, [batch]; {list(values.shape)} came.")
        part = values * float(strength)
        total = part if total is None else total + part
    if total is None:
        return None
    weights = total.clamp_(0, 1)
    count = weights.sum().item()
    return None if count == 0 else weights.div_(count + _EPSILON)
