"""Edit activations while a model runs: suppression and repulsion of directions; the weights stay as they are."""

from excise.interventions.base import Intervention
from excise.interventions.falloff import (
    BezierMapper,
    BoundedFalloff,
    Falloff,
    LinearMapper,
    Mapper,
    TabulatedMapper,
)
from excise.interventions.intervene import intervene, repel, suppress
from excise.interventions.repulsion import Repulsion
from excise.interventions.serial import as_spec, from_spec
from excise.interventions.suppression import AxisAlignedSuppression, Suppression

__all__ = [
    "AxisAlignedSuppression",
    "BezierMapper",
    "BoundedFalloff",
    "Falloff",
    "Intervention",
    "LinearMapper",
    "Mapper",
    "Repulsion",
    "Suppression",
    "TabulatedMapper",
    "as_spec",
    "from_spec",
    "intervene",
    "repel",
    "suppress",
]
