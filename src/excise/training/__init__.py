"""Train models whose concepts lie where an anchoring wants them."""

from excise.training.history import History, Observer, Outcome, Snapshot
from excise.training.lockstep import fit_lockstep
from excise.training.loop import fit, reconstruction
from excise.training.validation import Validation

__all__ = [
    "History",
    "Observer",
    "Outcome",
    "Snapshot",
    "Validation",
    "fit",
    "fit_lockstep",
    "reconstruction",
]
