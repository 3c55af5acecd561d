"""Train models whose concepts lie where an anchoring wants them."""

from excise.training.history import History, Observer, Snapshot
from excise.training.loop import fit, reconstruction

__all__ = ["History", "Observer", "Snapshot", "fit", "reconstruction"]
