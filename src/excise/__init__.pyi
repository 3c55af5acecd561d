from . import color, errors, evaluation, surgery
from .activations import Activations, capture
from .anchoring import (
    Anchor,
    Anchoring,
    AngularAnchor,
    AntiAnchor,
    AttachedTerms,
    AxisAlignedSubspace,
    Planarity,
    Regularizer,
    Separate,
    Term,
    Unitarity,
)
from .schedule import Dopesheet, Timeline
from .stream import Batch, Stream, TensorStream
from .surgery import ablate, prune
from .training import History, Observer, Snapshot, fit, reconstruction

__version__: str

__all__ = [
    "Activations",
    "Anchor",
    "Anchoring",
    "AngularAnchor",
    "AntiAnchor",
    "AttachedTerms",
    "AxisAlignedSubspace",
    "Batch",
    "Dopesheet",
    "History",
    "Observer",
    "Planarity",
    "Regularizer",
    "Separate",
    "Snapshot",
    "Stream",
    "TensorStream",
    "Term",
    "Timeline",
    "Unitarity",
    "ablate",
    "capture",
    "color",
    "errors",
    "evaluation",
    "fit",
    "prune",
    "reconstruction",
    "surgery",
]
