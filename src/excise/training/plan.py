"""How long a training takes, and what holds at every step of it: the learning rate and the weight of each term."""

import math

from excise.anchoring import Anchoring
from excise.errors import ScheduleError, SettingError
from excise.schedule import Timeline

__all__ = ["count_steps", "learning_rates", "term_weights"]

LEARNING_RATE = "lr"


def count_steps(anchoring: Anchoring, steps: int | None) -> int:
    """The number of optimiser steps: `steps`, or else the length of the schedule.

    Raises:
        ScheduleError: nothing says how many.
        SettingError: fewer than one, or no whole number.
    """
    if steps is None:
        if anchoring.timeline is None:
            raise ScheduleError(
                "nothing says how long to train: pass steps=..., or give the anchoring a schedule."
            )
        return anchoring.timeline.num_steps
    if not isinstance(steps, int) or steps < 1:
        raise SettingError(f"a training takes a whole number of at least 1 step; steps={steps} came.")
    return steps


def learning_rates(anchoring: Anchoring, lr: float | None, num_steps: int) -> list[float]:
    """The learning rate of each step; past the end of a schedule its last value holds.

    Raises:
        ScheduleError: nothing says the rate, or two things do.
        SettingError: a rate is negative or not finite.
    """
    timeline = anchoring.timeline
    scheduled = timeline is not None and LEARNING_RATE in timeline.properties
    if scheduled == (lr is not None):
        raise ScheduleError(
            f"the learning rate is given twice: by the schedule's column {LEARNING_RATE!r} and by lr={lr}. Drop one."
            if scheduled
            else f"nothing says the learning rate: pass lr=..., or give the schedule a column {LEARNING_RATE!r}."
        )
    if timeline is None or not scheduled:
        assert lr is not None
        rates = [lr] * num_steps
    else:
        rates = _held(timeline, LEARNING_RATE, num_steps)
    if not all(math.isfinite(rate) and rate >= 0 for rate in rates):
        raise SettingError(f"a learning rate is finite and at least 0; {min(rates)} to {max(rates)} came.")
    return rates


def term_weights(anchoring: Anchoring, num_steps: int) -> dict[str, list[float]]:
    """The weight of each term at each step; past the end of a schedule the last holds, without a column it is 1."""
    timeline = anchoring.timeline
    return {
        term.name: [1.0] * num_steps
        if timeline is None or term.name not in timeline.properties
        else _held(timeline, term.name, num_steps)
        for term in anchoring.terms
    }


def _held(timeline: Timeline, name: str, num_steps: int) -> list[float]:
    column = timeline.table[name].tolist()[:num_steps]
    return column + column[-1:] * (num_steps - len(column))
