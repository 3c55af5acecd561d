"""Which pictures a run has, made from what its directory holds and nothing else."""

from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from excise.anchoring.anchoring import LEARNING_RATE
from excise.color import named_colors
from excise.evaluation import selectivity as measure_selectivity
from excise.experiments.recipe import BASELINE, REFERENCE_LEVEL, Recipe, Selectivity
from excise.experiments.restore import arrays_of
from excise.figures import (
    Picture,
    color_slices,
    condition_summary,
    error_curves,
    error_scatter,
    front,
    latent_views,
    metric_boxes,
    schedule_curves,
    seed_strip,
    training_curves,
)
from excise.numerals import number
from excise.record import Run, open_run

__all__ = ["pictures_of_run", "pictures_of_sweep"]

LEVELS = {"red as gray: 1/4": 0.25, "red as a random colour: 1/3": REFERENCE_LEVEL}


def pictures_of_run(recipe: Recipe, run: Run) -> list[Picture]:
    """True colours; for each condition its colours, errors and latents; the training and its schedule."""
    arrays, metrics = arrays_of(recipe, run), run.metrics()
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
    for selectivity in recipe.selectivity:
        measured = run.results()["conditions"][selectivity.condition]["selectivity"]
        pictures.append(_scatter(selectivity, measured, arrays))
    return [*pictures, training_curves(metrics, name="training", title="Training"), _schedule(recipe)]


def pictures_of_sweep(recipe: Recipe, sweep: dict[str, Any], run: Run) -> list[Picture]:
    """Every metric over the seeds, the Pareto front, each named colour, and the best and the worst seed."""
    finished = [row for row in sweep["rows"] if "failed" not in row]
    if not finished:
        return []
    seeds = np.array([row["seed"] for row in finished])
    chosen = [row["seed"] for row in finished].index(sweep["chosen"])
    pictures = [_boxes(recipe, finished, seeds, chosen)]
    if recipe.selection is not None and sweep.get("front"):
        across = next(
            name for name in (*recipe.selection.low, *recipe.selection.high) if name != recipe.selection.by
        )
        pictures.append(
            front(
                _column(finished, across),
                _column(finished, recipe.selection.by),
                np.isin(seeds, sweep["front"]),
                seeds=seeds,
                chosen=chosen,
                xlabel=_in_words(across),
                ylabel=_in_words(recipe.selection.by),
                name="front",
                title="The Pareto front",
            )
        )
    pictures += _strips(recipe, sweep)
    for which in dict.fromkeys((sweep.get("best"), sweep.get("worst"))):
        directory = run.path / next((row["run"] for row in finished if row["seed"] == which), "gone")
        if directory.exists():
            side = "best" if which == sweep["best"] else "worst"
            pictures += _summaries(recipe, open_run(directory), side)
    return pictures


def _schedule(recipe: Recipe) -> Picture:
    """The weights as the terms had them: at 1 where the schedule gives none; a column without a term is not drawn."""
    timeline = recipe.schedule().timeline()
    names = [term.name for term in recipe.terms]
    weights = {name: timeline.table.get(name, np.ones(timeline.num_steps)) for name in names}
    rate = {name: values for name, values in timeline.table.items() if name == LEARNING_RATE}
    picture = schedule_curves(rate | weights, phases=timeline.phases, name="schedule", title="Schedule")
    unnamed = [name for name in names if name not in timeline.table]
    idle = [name for name in timeline.table if name not in (*names, LEARNING_RATE)]
    notes = [
        *(f" The schedule gives no weight for {name}, which is 1 at every step." for name in unnamed),
        *(f" The schedule's column {name} drives no term and is not drawn." for name in idle),
    ]
    return replace(picture, caption=picture.caption + "".join(notes))


def _scatter(selectivity: Selectivity, measured: float | None, arrays: xr.Dataset) -> Picture:
    what = f"similarity to {selectivity.similar_to}" if selectivity.similar_to else selectivity.concept
    picture = error_scatter(
        arrays[f"scatter_likeness_{selectivity.condition}"].to_numpy() ** selectivity.power,
        (error := arrays[f"scatter_error_{selectivity.condition}"].to_numpy()),
        (rgb := arrays["scatter_input"].transpose("scatter_sample", "channel").to_numpy()),
        r_squared=_squared_correlation(error, selectivity, rgb),
        name=f"selectivity-{selectivity.condition}",
        title=f"Error against {what}, {selectivity.condition}",
        xlabel=f"{what} to the power of {selectivity.power:g}",
    )
    note = f" Over the RGB cube on which selectivity is measured, R² is {number(measured)}."
    return replace(picture, caption=picture.caption + note)


def _squared_correlation(error: np.ndarray, selectivity: Selectivity, rgb: np.ndarray) -> float:
    """The R² of the colours that are drawn."""
    return measure_selectivity(error, selectivity.likeness(rgb), selectivity.power)


def _summaries(recipe: Recipe, run: Run, side: str) -> list[Picture]:
    """One summary of each edited condition of a seed that stands for a side of the sweep."""
    arrays = arrays_of(recipe, run)
    seed = run.environment.get("seed")
    pictures = []
    for condition in recipe.conditions[1:] or recipe.conditions:
        views = recipe.views.get(condition, ())[:2]
        if len(views) < 2 or condition == "pruned":
            continue
        here = arrays.sel(condition=condition)
        brightest = {"s": -1}
        pictures.append(
            condition_summary(
                here[f"latents_{condition}"].to_numpy(),
                arrays["cube_input"].transpose("cube_sample", "channel").to_numpy(),
                here["cube_output"].transpose("cube_sample", "channel").to_numpy(),
                true=_grid(arrays["display_input"], "display").isel(brightest),
                predicted=_grid(here["display_output"], "display").isel(brightest),
                error=_grid(here["line_error"], "line"),
                error_rgb=_grid(arrays["line_input"], "line"),
                views=views,
                name=f"{side}-{condition}",
                title=f"The {side} seed, {seed}: {condition}",
                levels=LEVELS,
                slice_label="saturation 1",
            )
        )
    return pictures


def _boxes(recipe: Recipe, rows: list[dict[str, Any]], seeds: np.ndarray, chosen: int) -> Picture:
    first = recipe.conditions[1 if recipe.edits else 0]
    names = [
        *(f"{selectivity.condition}.selectivity" for selectivity in recipe.selectivity),
        *dict.fromkeys([f"{BASELINE}.max_mse", f"{first}.max_mse", f"{first}.median_mse"]),
        *(f"{condition}.named_colors.red" for condition in recipe.conditions[1:] if condition != "pruned"),
        *(name for name in rows[0] if name.startswith("validation.")),
    ]
    return metric_boxes(
        {_in_words(name): _column(rows, name) for name in names},
        name="metrics",
        title="Every metric over the seeds",
        seeds=seeds,
        chosen=chosen,
    )


def _column(rows: list[dict[str, Any]], name: str) -> np.ndarray:
    return np.array([np.nan if row.get(name) is None else row[name] for row in rows], dtype=float)


def _in_words(name: str) -> str:
    """The key of a sweep's number as a label: "ablated.named_colors.red" is "ablated, red"."""
    losses = {"max_mse": "largest error", "median_mse": "median error"}
    first, *rest = name.split(".")
    return ", ".join([first, *(losses.get(part, part) for part in rest if part != "named_colors")])


def _strips(recipe: Recipe, sweep: dict[str, Any]) -> list[Picture]:
    """For each condition the error of every named colour, a dot a seed."""
    # What did not finish has no numbers, and one that is not finite (null in the file) has no place on the scale.
    finished = [
        row
        for row in sweep["rows"]
        if "failed" not in row
        and all(value is not None for name, value in row.items() if ".named_colors." in name)
    ]
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
