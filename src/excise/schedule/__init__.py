"""Schedules: a dopesheet holds keyframes as an animator writes them, a timeline the value at every step.

A training that shapes a model goes through stages: let the task be learned, pull a concept to its place, let go.
Weights and learning rate follow curves through a few keyframes, which are easier to write, read and compare as a
table than as code.
"""

from excise.schedule.dopesheet import Column, Dopesheet
from excise.schedule.timeline import Phase, Timeline

__all__ = ["Column", "Dopesheet", "Phase", "Timeline"]
