"""Runs a recipe: train, edit, evaluate, and write the run directory while it goes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import xarray as xr
from torch import nn

from excise.color import hsv_grid, named_colors, rgb_grid
from excise.evaluation import disagreement, evaluate, latents_of, summarise
from excise.experiments.recipe import BASELINE, Agreement, Recipe
from excise.experiments.verdict import judge
from excise.runs import Record
from excise.runs.environment import describe_environment
from excise.seeding import generator
from excise.surgery import ablate, prune
from excise.training import fit
from excise.training.progress import SilentProgress

__all__ = ["run_recipe", "train"]


def run_recipe(
    recipe: Recipe,
    seed: int,
    path: Path,
    *,
    progress: SilentProgress | None = None,
    then: Callable[[Path], object] | None = None,
    log_every: int = 10,
) -> dict[str, Any]:
    """Train, edit and evaluate once, into the run directory `path`.

    Args:
        recipe: what to run.
        seed: fixes every random draw; the same seed gives the same numbers on the same machine.
        path: the run directory, made here.
        progress: shows how it goes.
        then: what else belongs to the run, such as its report; called with `path` when the results are written.
        log_every: log each so many steps to `metrics.jsonl`.

    Returns:
        The content of `results.json`.

    Raises:
        RunError: the run directory cannot be written; its status then says failed.
        SurgeryError: an edit of the recipe cannot be made on its model; found before the training.
        NonFiniteError: training diverged; what was logged is kept.
    """
    progress = progress or SilentProgress()
    environment = {**describe_environment(), "seed": seed}
    with Record(path, recipe.spec(), environment) as record:
        # An edit that cannot be made is refused now, not when a training has been spent on it.
        _conditions(recipe, recipe.model.build(generator(seed, "init")))
        model = train(recipe, seed, progress, record, log_every)
        record.save_model(model)
        progress.stage("editing and evaluating")
        results, arrays = measure(recipe, seed, _conditions(recipe, model))
        record.save_results(results, arrays)
        if then is not None:
            then(path)
    return results


def train(
    recipe: Recipe, seed: int, progress: SilentProgress, record: Record, log_every: int = 10
) -> nn.Module:
    """The recipe's model, trained; logged steps go to the record and to the progress display."""
    model = recipe.model.build(generator(seed, "init"))
    anchoring = recipe.anchoring()
    for note in anchoring.notes:
        progress.stage(f"note: {note}")
    fit(
        model,
        recipe.data.build(),
        anchoring,
        seed=seed,
        observers=[lambda snapshot: record.log(snapshot.row()), progress],
        log_every=log_every,
    )
    return model


def measure(recipe: Recipe, seed: int, conditions: dict[str, nn.Module]) -> tuple[dict[str, Any], xr.Dataset]:
    """Every number of `results.json`, and the arrays that the figures are drawn from."""
    loss = evaluate(conditions, hsv_grid(*recipe.grids.loss))
    named = evaluate(conditions, named_colors())
    measured = {
        condition: {
            **summarise(loss["error"].sel(condition=condition)),
            "named_colors": {
                str(color): float(named["error"].sel(condition=condition, color=color))
                for color in named["color"].to_numpy()
            },
        }
        for condition in conditions
    }
    disagreements = {
        (first, second): disagreement(conditions[first], conditions[second], loss["input"])
        for first, second in (claim.conditions for claim in recipe.claims if isinstance(claim, Agreement))
    }
    results = {
        "recipe": recipe.name,
        "seed": seed,
        "conditions": measured,
        "claims": judge(recipe, measured, loss["output"], disagreements),
    }
    return results, _arrays(recipe, conditions, named)


def _conditions(recipe: Recipe, model: nn.Module) -> dict[str, nn.Module]:
    edits = {"ablate": ablate, "prune": prune}
    edited = {edit.condition: edits[edit.mode](model, edit.layer, list(edit.dims)) for edit in recipe.edits}
    return {BASELINE: model, **edited}


def _arrays(recipe: Recipe, conditions: dict[str, nn.Module], named: xr.Dataset) -> xr.Dataset:
    hues, saturations, values = recipe.grids.lines
    closed_circle = [index / (hues - 1) for index in range(hues)]
    lines = evaluate(conditions, hsv_grid(closed_circle, saturations, values))
    display = evaluate(conditions, hsv_grid(*recipe.grids.display))
    cube = rgb_grid(recipe.grids.latent).stack(sample=("r", "g", "b")).reset_index("sample", drop=True)
    cube = cube.transpose("sample", "channel")
    parts = [
        _prefixed("named", named),
        _prefixed("display", display),
        _prefixed("line", lines.drop_vars("output")),
        _prefixed("cube", evaluate(conditions, cube)),
    ]
    latents = {
        f"latents_{condition}": (
            ("cube_sample", f"latent_{condition}"),
            latents_of(model, recipe.latent_layer, cube.to_numpy()),
        )
        for condition, model in conditions.items()
    }
    return xr.merge([*parts, xr.Dataset(latents)], join="exact")


def _prefixed(prefix: str, part: xr.Dataset) -> xr.Dataset:
    shared = ("condition", "channel")
    dims = {dim: f"{prefix}_{dim}" for dim in part.dims if dim not in shared}
    return part.drop_vars(["r", "g", "b"], errors="ignore").rename(
        {**dims, **{name: f"{prefix}_{name}" for name in part.data_vars}}
    )
