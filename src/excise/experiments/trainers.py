"""What can train a recipe: our own loop, or Lightning's."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Literal

from torch import nn

from excise.anchoring import Anchoring
from excise.extras import require
from excise.stream import Stream
from excise.training import Observer, Outcome, Validation, fit_lockstep
from excise.training.lockstep import outcome_of
from excise.training.plan import count_steps

__all__ = ["TrainerName", "training_in"]

TrainerName = Literal["excise", "lightning"]
"""The trainers, by the names that `excise run --trainer` takes."""


def training_in(trainer: TrainerName) -> Callable[..., list[Outcome]]:
    """What trains several models: `fit_lockstep`, or a function called like it that trains one after the other.

    Raises:
        MissingExtraError: the trainer's package is not installed.
    """
    if trainer == "excise":
        return fit_lockstep
    require("pytorch-lightning", "training with Lightning")
    return _fit_each_in_lightning


def _fit_each_in_lightning(
    models: Sequence[nn.Module],
    stream: Stream,
    anchoring: Anchoring,
    *,
    seeds: Sequence[int],
    observers: Iterable[Observer] = (),
    log_every: int = 10,
    validation: Validation | None = None,
) -> list[Outcome]:
    from excise.training.lightning import fit_in_lightning

    one = partial(
        fit_in_lightning, stream=stream, anchoring=anchoring, log_every=log_every, validation=validation
    )
    watching = tuple(observers)
    return [
        outcome_of(seed, count_steps(anchoring, None), watching, partial(one, model, seed=seed))
        for model, seed in zip(models, seeds, strict=True)
    ]
