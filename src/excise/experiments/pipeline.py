"""Runs a recipe: train, edit, evaluate, and write the run directory while it goes."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from excise.experiments.conditions import conditions_of
from excise.experiments.measure import measure, picture_arrays
from excise.experiments.recipe import Recipe
from excise.experiments.tracked import hand_over_run, tracked
from excise.experiments.trainers import TrainerName, training_in
from excise.record import Record
from excise.record.environment import describe_environment
from excise.seeding import generator
from excise.trackers import Tracker, Tracking, make_trackers
from excise.training import Observer, Outcome
from excise.training.progress import SilentProgress

__all__ = ["Trained", "check_edits", "run_recipe", "train", "validation_of"]


@dataclass(frozen=True)
class Trained:
    """One seed's model, and how its training went."""

    seed: int
    model: nn.Module
    outcome: Outcome


def run_recipe(
    recipe: Recipe,
    seed: int,
    path: Path,
    *,
    progress: SilentProgress | None = None,
    then: Callable[[Path], object] | None = None,
    log_every: int = 10,
    trackers: Iterable[str | Tracker] = (),
    trainer: TrainerName = "excise",
) -> dict[str, Any]:
    """Train, edit and evaluate once, into the run directory `path`.

    Args:
        recipe: what to run.
        seed: fixes every random draw; the same seed gives the same numbers on the same machine, alone or in a sweep.
        path: the run directory, made here.
        progress: shows how it goes.
        then: what else belongs to the run, such as its report; called with `path` when the results are written.
        log_every: log each so many steps to `metrics.jsonl`.
        trackers: where else the run is shown: names such as "wandb", or objects of your own.
        trainer: whose loop trains; the numbers are those of the other for the same seed up to rounding, which a
            training may amplify.

    Returns:
        The content of `results.json`.

    Raises:
        MissingExtraError: the trainer is not installed; found before anything is made.
        TrackerError: a tracker that is not known, or lacks its credentials; found before anything is made.
        RunError: the run directory cannot be written; its status then says failed.
        SurgeryError: an edit of the recipe cannot be made on its model; found before the training.
        NonFiniteError: training diverged; what was logged is kept.
    """
    progress = progress or SilentProgress()
    training_in(trainer)
    environment = {**describe_environment(), "seed": seed, "trainer": trainer}
    with (
        Tracking(make_trackers(trackers)) as tracking,
        Record(path, recipe.spec(), environment) as record,
    ):
        check_edits(recipe)
        if tracking:
            tracking.start(tracked(recipe, [seed], path, environment))
        observers: list[Observer] = [lambda snapshot: record.log(snapshot.row()), progress, tracking]
        (trained,) = train(
            recipe, [seed], observers, notify=progress.note, log_every=log_every, trainer=trainer
        )
        if trained.outcome.error is not None:
            raise trained.outcome.error
        record.save_model(trained.model)
        progress.stage("editing and evaluating")
        conditions = conditions_of(recipe, trained.model)
        results = measure(recipe, seed, conditions, validation_of(trained.outcome))
        record.save_results(results, picture_arrays(recipe, conditions))
        if then is not None:
            then(path)
        if tracking:
            hand_over_run(tracking, results, path)
    return results


def train(
    recipe: Recipe,
    seeds: Sequence[int],
    observers: Iterable[Observer] = (),
    *,
    notify: Callable[[str], object] = lambda _note: None,
    log_every: int = 10,
    trainer: TrainerName = "excise",
) -> list[Trained]:
    """The recipe's model for each seed, by our loop in lockstep; one that diverges says so in its outcome."""
    models = [recipe.model.build(generator(seed, "init")) for seed in seeds]
    anchoring = recipe.anchoring()
    for note in anchoring.notes:
        notify(f"note: {note}")
    outcomes = training_in(trainer)(
        models,
        recipe.data.build(),
        anchoring,
        seeds=seeds,
        observers=observers,
        log_every=log_every,
        validation=None if recipe.validation is None else recipe.validation.build(),
    )
    return [
        Trained(seed, model, outcome) for seed, model, outcome in zip(seeds, models, outcomes, strict=True)
    ]


def check_edits(recipe: Recipe) -> None:
    """Make every edit on an untrained model: one that cannot be made is refused before a training is spent on it.

    Raises:
        SurgeryError: an edit cannot be made.
    """
    conditions_of(recipe, recipe.model.build(generator(0, "init")))


def validation_of(outcome: Outcome) -> dict[str, float]:
    """The losses of the last validation; empty where there was none."""
    for snapshot in reversed(outcome.snapshots):
        if snapshot.validation:
            return dict(snapshot.validation)
    return {}
