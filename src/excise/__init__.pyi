from . import color, errors, evaluation, interventions, surgery
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
from .interventions import (
    AxisAlignedSuppression,
    BezierMapper,
    BoundedFalloff,
    Intervention,
    LinearMapper,
    Repulsion,
    Suppression,
    TabulatedMapper,
    intervene,
    repel,
    suppress,
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
    "AxisAlignedSuppression",
    "Batch",
    "BezierMapper",
    "BoundedFalloff",
    "Dopesheet",
    "History",
    "Intervention",
    "LinearMapper",
    "Observer",
    "Planarity",
    "Regularizer",
    "Repulsion",
    "Separate",
    "Snapshot",
    "Stream",
    "Suppression",
    "TabulatedMapper",
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
    "intervene",
    "interventions",
    "prune",
    "reconstruction",
    "repel",
    "suppress",
    "surgery",
]
