"""What each operation does to the features that come to it: one file a family, one rule an operation.

A rule is a function of a `Call` and a `Flow`. It looks at the arrays of the call's tensors and joins what follows to
the
others: forwards, from inputs to outputs, and backwards. It may be called many times, and only ever adds. Operations
are known by torch's plain names ("linear", "add"), whichever way they were called.
"""

from excise.surgery.operations import (
    attention,
    contraction,
    convolution,
    elementwise,
    embedding,
    movement,
    normalization,
    recurrent,
    reduction,
    spatial,
)
from excise.surgery.operations.registry import find_rule, rule

FAMILIES = (
    attention, contraction, convolution, elementwise, embedding, movement, normalization, recurrent, reduction, spatial,
)  # fmt: skip
"""Each registers its rules when it is imported."""

__all__ = ["find_rule", "rule"]
