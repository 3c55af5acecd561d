"""Place concepts: regularizers on latents, the labels that switch them on, and the schedule of their weights."""

from excise.anchoring.anchoring import Anchoring, AttachedTerms, Term
from excise.anchoring.regularizers import (
    Anchor,
    AngularAnchor,
    AntiAnchor,
    AxisAlignedSubspace,
    Planarity,
    Regularizer,
    Separate,
    Unitarity,
)

__all__ = [
    "Anchor",
    "Anchoring",
    "AngularAnchor",
    "AntiAnchor",
    "AttachedTerms",
    "AxisAlignedSubspace",
    "Planarity",
    "Regularizer",
    "Separate",
    "Term",
    "Unitarity",
]
