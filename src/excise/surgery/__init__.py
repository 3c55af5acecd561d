"""Cut concepts out of the weights: trace who writes and reads a feature, plan an edit, apply it to a copy."""

from excise.surgery.edit import Edit, plan
from excise.surgery.report import EditReport, ParameterChange
from excise.surgery.trace import Trace, trace

# To a type checker, an absolute import of a submodule would leave the module behind the function's name.
from .ablate import ablate
from .prune import prune

__all__ = ["Edit", "EditReport", "ParameterChange", "Trace", "ablate", "plan", "prune", "trace"]
