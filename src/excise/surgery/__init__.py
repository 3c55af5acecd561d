"""Cut concepts out of the weights: trace who writes and reads a feature, plan an edit, apply it to a copy."""

from excise.surgery.ablate import ablate
from excise.surgery.edit import Edit, EditReport, ParameterChange, plan
from excise.surgery.prune import prune
from excise.surgery.trace import Trace, trace

__all__ = ["Edit", "EditReport", "ParameterChange", "Trace", "ablate", "plan", "prune", "trace"]
