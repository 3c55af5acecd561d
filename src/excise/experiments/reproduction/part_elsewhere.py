"""One sweep of a reproduction, carried out whole by a worker: it tells how far it is, and its notes."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from excise.executors import CallBack, remote
from excise.experiments.recipe import Recipe
from excise.experiments.sweep import run_sweep
from excise.training import Snapshot
from excise.training.progress import SilentProgress

__all__ = ["PartNote", "PartOrder", "PartStep", "carry_out_part"]


@dataclass(frozen=True)
class PartOrder:
    """What a worker needs to know.

    Attributes:
        spec: the recipe, as JSON-ready data.
        seeds: those of the sweep.
        path: the sweep's directory, which the worker sees.
        workers: how many processes the sweep trains in.
    """

    spec: dict[str, Any]
    seeds: tuple[int, ...]
    path: str
    workers: int


@dataclass(frozen=True)
class PartStep:
    """How far the sweep's training is: the share that is done, in [0, 1], and its latest logged step."""

    share: float
    snapshot: Snapshot


@dataclass(frozen=True)
class PartNote:
    """Something that a user should know about the training, with the recipe's name."""

    text: str


@remote
def carry_out_part(order: PartOrder, *, call_back: CallBack) -> None:
    """Run the sweep; interrupted, it says so in its directory.

    Raises:
        RunError: a directory cannot be written, or a process died.
    """
    recipe = Recipe.model_validate(order.spec)

    def warn(message: Warning | str, *_rest: object, **_others: object) -> None:
        call_back(PartNote(f"{recipe.name}, {message}"))

    with warnings.catch_warnings():
        warnings.showwarning = warn
        run_sweep(
            recipe,
            order.seeds,
            Path(order.path),
            progress=_Telling(recipe.name, call_back),
            workers=order.workers,
        )


class _Telling(SilentProgress):
    """Tells how far a sweep is, and its notes."""

    def __init__(self, name: str, call_back: CallBack) -> None:
        self.name = name
        self.call_back = call_back

    def __call__(self, snapshot: Snapshot) -> None:
        """Tell the share of the training that is done."""
        self.call_back(PartStep((snapshot.step + 1) / snapshot.num_steps, snapshot))

    def note(self, text: str) -> None:
        """Tell the note, with the recipe's name: it stands among those of others."""
        self.call_back(PartNote(f"{self.name}, {text}"))
