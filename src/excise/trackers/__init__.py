"""Trackers: a run shown where its user looks already, several at once, none of which can harm it."""

from excise.trackers.apart import Apart
from excise.trackers.base import Ended, Figure, Table, Tracked, Tracker
from excise.trackers.guarded import Guard, Limits
from excise.trackers.names import TRACKERS, make_trackers
from excise.trackers.tracking import Tracking

__all__ = [
    "TRACKERS",
    "Apart",
    "Ended",
    "Figure",
    "Guard",
    "Limits",
    "Table",
    "Tracked",
    "Tracker",
    "Tracking",
    "make_trackers",
]
