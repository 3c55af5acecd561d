"""Which pictures a run has, made from what its directory holds and nothing else."""

from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from excise.color import named_colors
from excise.experiments.recipe import BASELINE, REFERENCE_LEVEL, Recipe
from excise.figures import (
    Picture,
    color_slices,
    error_curves,
    latent_views,
    schedule_curves,
    seed_strip,
    training_curves,
)
from excise.runs import Run

__all__ = ["pictures_of_run", "pictures_of_sweep"]

LEVELS = {"red as gray: 1/4": 0.25, "red as a random colour: 1/3": REFERENCE_LEVEL}


def pictures_of_run(recipe: Recipe, run: Run) -> list[Picture]:
    """True colours; for each condition its colours, errors and latents; the training and its schedule."""
    arrays, metrics = run.arrays(), run.metrics()
    true = _grid(arrays["display_input"], "display")
    pictures = [color_slices(true, None, name="colors-true", title="True colours")]
    for condition in arrays["condition"].to_numpy():
        here = arrays.sel(condition=condition)
        pictures += [
            color_slices(
                true,
                _grid(here["display_output"], "display"),
                name=f"colors-{condition}",
                title=f"Colours, {condition}",
            ),
            error_curves(
                _grid(here["line_error"], "line"),
                _grid(arrays["line_input"], "line"),
                name=f"error-{condition}",
                title=f"Reconstruction error, {condition}",
                levels=LEVELS,
            ),
        ]
        if views := recipe.views.get(str(condition)):
            kept, whole = (arrays[f"latents_{name}"].shape[-1] for name in (condition, BASELINE))
            picture = latent_views(
                here[f"latents_{condition}"].to_numpy(),
                arrays["cube_input"].transpose("cube_sample", "channel").to_numpy(),
                here["cube_output"].transpose("cube_sample", "channel").to_numpy(),
                views=views,
                name=f"latents-{condition}",
                title=f"Latents, {condition}",
            )
            renumbered = " What is left is numbered anew, from 0." if kept < whole else ""
            pictures.append(replace(picture, caption=picture.caption + renumbered))
    timeline = recipe.schedule().timeline()
    return [
        *pictures,
        training_curves(metrics, name="training", title="Training"),
        schedule_curves(timeline.table, phases=timeline.phases, name="schedule", title="Schedule"),
    ]


def pictures_of_sweep(recipe: Recipe, sweep: dict[str, Any]) -> list[Picture]:
    """For each condition the error of every named colour, a dot a seed."""
    # What did not finish has no numbers, and one that is not finite (null in the file) has no place on the scale.
    finished = [row for row in sweep["rows"] if "failed" not in row and None not in row.values()]
    if not finished:
        return []
    missing = len(sweep["rows"]) - len(finished)
    note = (
        f" {missing} of {len(sweep['rows'])} seeds gave no finite numbers and are not drawn."
        if missing
        else ""
    )
    colors = named_colors()
    names = [str(color) for color in colors["color"].to_numpy()]
    failed = np.array([not row["passed"] for row in finished])
    pictures = []
    for condition in recipe.conditions:
        values = xr.DataArray(
            np.array([[row[f"{condition}.named_colors.{color}"] for color in names] for row in finished]),
            dims=("seed", "color"),
            coords={"seed": [row["seed"] for row in finished], "color": names},
        )
        strip = seed_strip(
            values,
            colors.to_numpy(),
            failed,
            name=f"seeds-{condition}",
            title=f"Named colours over seeds, {condition}",
            levels={} if condition == BASELINE else {"reference 1/3": REFERENCE_LEVEL},
        )
        pictures.append(replace(strip, caption=strip.caption + note))
    return pictures


def _grid(values: xr.DataArray, prefix: str) -> xr.DataArray:
    """Dims (display_h, ...) as (h, ...)."""
    return values.rename({str(dim): str(dim).removeprefix(f"{prefix}_") for dim in values.dims}).drop_vars(
        "condition", errors="ignore"
    )
