"""What of a run is exported: which seed, under which conditions, and what its edits took away."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from excise.errors import ExportError, RunError
from excise.experiments.conditions import conditions_of
from excise.experiments.frozen import require_name
from excise.experiments.recipe import BASELINE, Edit, Intervene, Recipe
from excise.experiments.restore import recipe_of, restore_model
from excise.experiments.shapes import shapes_of
from excise.record import Run, open_run

__all__ = ["ALL", "Source", "open_source"]

ALL = "all"
"""Instead of a condition: every one that is in weights."""


@dataclass(frozen=True)
class Source:
    """A finished run of one seed, ready to be exported.

    Attributes:
        recipe: what was run.
        run: the run directory of the seed.
        results: its `results.json`.
        sweep: the sweep that it was chosen from; None where it was run alone.
        models: by condition, the one of `model.safetensors` first; all in evaluation mode.
    """

    recipe: Recipe
    run: Run
    results: dict[str, Any]
    sweep: dict[str, Any] | None
    models: dict[str, nn.Module]

    @property
    def condition(self) -> str:
        """The condition whose weights are in `model.safetensors`."""
        return next(iter(self.models))

    @property
    def seed(self) -> int:
        """The run's seed."""
        return self.results["seed"]

    @property
    def edits(self) -> dict[str, Edit]:
        """The edits of weights that are exported, by condition."""
        return {
            edit.condition: edit
            for edit in self.recipe.edits
            if isinstance(edit, Edit) and edit.condition in self.models
        }

    @property
    def interventions(self) -> list[Intervene]:
        """What acts on the running model only, and so is in no weights."""
        return [edit for edit in self.recipe.edits if isinstance(edit, Intervene)]

    def choice(self) -> str:
        """Which seed this is, as a sentence."""
        if self.sweep is None:
            return f"This is the run of seed {self.seed}."
        rows = self.sweep["rows"]
        why = self.sweep.get("chosen_is", "")
        return (
            f"This is seed {self.seed} of {len(rows)} that were run, the one that the sweep chose"
            f"{f' ({why})' if why else ''}. In {self.sweep['passed']} of the {len(rows)} seeds every claim holds."
        )


def open_source(path: Path, condition: str | None = None) -> Source:
    """The finished run at `path`; of a sweep, the seed that it chose.

    Args:
        path: a run directory.
        condition: what `model.safetensors` shall hold, "all" for every condition beside it; None is the recipe's last
            edit of weights, or the baseline where it has none.

    Raises:
        RunError: there is no run, it is damaged, or it is of another version.
        ExportError: it did not finish, it trained no model, or the condition is not in weights.
        UnknownNameError: the recipe has no such condition.
    """
    asked = open_run(path)
    if shapes_of(asked) is not None:
        raise ExportError(
            f"{path} is a run of shapes, which trains no model: there is nothing to export. `excise list` shows "
            f"the recipes that train one."
        )
    sweep = asked.sweep()
    _require_finished(asked, of_sweep="seeds" in asked.environment)
    run = asked if sweep is None else open_run(path / _chosen(sweep, path))
    _require_finished(run, of_sweep=False)
    recipe = recipe_of(run)
    names = _exported(recipe, condition)
    conditions = conditions_of(recipe, restore_model(recipe, run))
    results = run.results()
    for name in names:
        if name not in results["conditions"]:
            raise RunError(f"{run.path / 'results.json'} is damaged: it has no condition {name!r}.")
    return Source(recipe, run, results, sweep, {name: conditions[name].eval() for name in names})


def _require_finished(run: Run, *, of_sweep: bool) -> None:
    if run.status["status"] == "finished":
        return
    raise ExportError(
        f"{run.path} did not finish: its status is {run.status['status']!r}. "
        + (
            "Go on with the command that started it, or export one of its seeds' directories."
            if of_sweep
            else "Run the recipe again and export that run."
        )
    )


def _chosen(sweep: dict[str, Any], path: Path) -> str:
    """The directory of the seed that a sweep chose."""
    for row in sweep["rows"]:
        if row["seed"] == sweep["chosen"] and "run" in row:
            return row["run"]
    raise ExportError(f"{path} is a sweep in which no seed finished: there is no model to export.")


def _exported(recipe: Recipe, condition: str | None) -> list[str]:
    """The conditions to export, the one of `model.safetensors` first, the baseline second."""
    in_weights = [edit.condition for edit in recipe.edits if isinstance(edit, Edit)]
    if condition is None or condition == ALL:
        main = in_weights[-1] if in_weights else BASELINE
    else:
        require_name(condition, (*recipe.conditions, ALL), f"in recipe {recipe.name}")
        main = condition
    if main not in (BASELINE, *in_weights):
        raise ExportError(
            f"{main!r} is an intervention: it edits activations while the model runs, and is not in the weights. "
            f"Export {' or '.join(map(repr, (BASELINE, *in_weights)))}; to intervene, apply `excise.intervene` to the "
            f"baseline with the intervention that the run's spec.json holds."
        )
    return list(dict.fromkeys((main, BASELINE, *(in_weights if condition == ALL else ()))))
