"""Measures a trained model under each edit of its recipe: the numbers of `results.json`, and the arrays of figures."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from torch import nn

from excise.color import hsv_grid, named_colors, rgb_grid
from excise.evaluation import disagreement, evaluate, latents_of, selectivity, summarise
from excise.experiments.claims import Agreement
from excise.experiments.recipe import Recipe
from excise.experiments.verdict import judge
from excise.interventions import intervene
from excise.interventions.intervened import Intervened

__all__ = ["measure", "picture_arrays"]


def measure(
    recipe: Recipe,
    seed: int,
    conditions: Mapping[str, nn.Module],
    validation: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """Every number of `results.json`.

    Args:
        recipe: what was run.
        seed: with which seed.
        conditions: the model under each edit.
        validation: the losses of the last validation.
    """
    loss = evaluate(conditions, recipe.grids.loss_grid())
    named = evaluate(conditions, named_colors())
    measured: dict[str, dict[str, Any]] = {
        condition: {
            **summarise(loss["error"].sel(condition=condition)),
            "named_colors": {
                str(color): float(named["error"].sel(condition=condition, color=color))
                for color in named["color"].to_numpy()
            },
        }
        for condition in conditions
    }
    for asked in recipe.selectivity:
        cube = evaluate({asked.condition: conditions[asked.condition]}, rgb_grid(asked.edge))
        likeness = asked.likeness(cube["input"].to_numpy())
        measured[asked.condition]["selectivity"] = selectivity(
            cube["error"].isel(condition=0).to_numpy(), likeness, asked.power
        )
    disagreements = {
        (first, second): disagreement(conditions[first], conditions[second], loss["input"])
        for first, second in (claim.conditions for claim in recipe.claims if isinstance(claim, Agreement))
    }
    results: dict[str, Any] = {
        "recipe": recipe.name,
        "seed": seed,
        "conditions": measured,
        "claims": judge(recipe, measured, loss["output"], disagreements),
    }
    if validation:
        results["validation"] = dict(validation)
    return results


def picture_arrays(recipe: Recipe, conditions: Mapping[str, nn.Module]) -> xr.Dataset:
    """The labelled arrays that the figures are drawn from."""
    hues, saturations, values = recipe.grids.lines
    closed_circle = [index / (hues - 1) for index in range(hues)]
    lines = evaluate(conditions, hsv_grid(closed_circle, saturations, values))
    display = evaluate(conditions, hsv_grid(*recipe.grids.display))
    cube = rgb_grid(recipe.grids.latent).stack(sample=("r", "g", "b")).reset_index("sample", drop=True)
    cube = cube.transpose("sample", "channel")
    parts = [
        _prefixed("named", evaluate(conditions, named_colors())),
        _prefixed("display", display),
        _prefixed("line", lines.drop_vars("output")),
        _prefixed("cube", evaluate(conditions, cube)),
    ]
    latents = {
        f"latents_{condition}": (
            ("cube_sample", f"latent_{condition}"),
            _latents(recipe, model, cube.to_numpy()),
        )
        for condition, model in conditions.items()
    }
    scatter = {}
    if recipe.selectivity:
        loss = recipe.grids.loss_grid().stack(sample=("h", "s", "v")).reset_index("sample", drop=True)
        loss = loss.transpose("sample", "channel").drop_vars(["h", "s", "v"], errors="ignore")
        for asked in recipe.selectivity:
            here = evaluate({asked.condition: conditions[asked.condition]}, loss)
            scatter[f"scatter_error_{asked.condition}"] = (
                "scatter_sample",
                here["error"].isel(condition=0).to_numpy(),
            )
            scatter[f"scatter_likeness_{asked.condition}"] = (
                "scatter_sample",
                asked.likeness(loss.to_numpy()).astype(np.float32),
            )
        scatter["scatter_input"] = (("scatter_sample", "channel"), loss.to_numpy().astype(np.float32))
    return xr.merge([*parts, xr.Dataset(latents), xr.Dataset(scatter)], join="exact")


def _latents(recipe: Recipe, model: nn.Module, colors: np.ndarray) -> np.ndarray:
    """The latents of colours `[sample, 3]` as the decoder is given them, `[sample, latent]`."""
    if isinstance(model, Intervened):
        # A capture hook that is put on inside the block sees what was edited.
        with intervene(model.model, model.layer, *model.interventions):
            return latents_of(model.model, recipe.latent_layer, colors)
    return latents_of(model, recipe.latent_layer, colors)


def _prefixed(prefix: str, part: xr.Dataset) -> xr.Dataset:
    shared = ("condition", "channel")
    dims = {dim: f"{prefix}_{dim}" for dim in part.dims if dim not in shared}
    return part.drop_vars(["r", "g", "b"], errors="ignore").rename(
        {**dims, **{name: f"{prefix}_{name}" for name in part.data_vars}}
    )
