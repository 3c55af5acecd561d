"""Train models whose concepts lie where an anchoring wants them."""

from excise.training.loop import History, Observer, Snapshot, fit, reconstruction

__all__ = ["History", "Observer", "Snapshot", "fit", "reconstruction"]
