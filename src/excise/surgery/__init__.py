"""Cut concepts out of the weights: trace who writes and reads a feature, plan an edit, apply it to a copy."""

from excise.surgery.edit import Edit, edits_of, plan
from excise.surgery.operations import rule
from excise.surgery.report import EditReport, ParameterChange
from excise.surgery.saving import load, save
from excise.surgery.subspace import plan_subspace, remove_subspace
from excise.surgery.trace import Part, Trace, trace

# To a type checker, an absolute import of a submodule would leave the module behind the function's name.
from .ablate import ablate
from .prune import prune

__all__ = [
    "Edit",
    "EditReport",
    "ParameterChange",
    "Part",
    "Trace",
    "ablate",
    "edits_of",
    "load",
    "plan",
    "plan_subspace",
    "prune",
    "remove_subspace",
    "rule",
    "save",
    "trace",
]
