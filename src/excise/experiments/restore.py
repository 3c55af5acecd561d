"""Makes a trained model again from its run directory, and from it the arrays that the figures are drawn from."""

import xarray as xr
from safetensors import SafetensorError
from safetensors.torch import load_model
from torch import nn

from excise.errors import ExciseError, RunError
from excise.experiments.conditions import conditions_of
from excise.experiments.measure import picture_arrays
from excise.experiments.recipe import Recipe
from excise.record import Run, save_arrays
from excise.seeding import generator

__all__ = ["arrays_of", "recipe_of", "restore_model"]


def recipe_of(run: Run) -> Recipe:
    """The recipe that a run was of.

    Raises:
        RunError: its spec is no recipe of this version.
    """
    try:
        return Recipe.model_validate(run.spec)
    except (ValueError, ExciseError) as error:
        raise RunError(f"{run.path / 'spec.json'} is no recipe of this version of excise: {error}") from error


def restore_model(recipe: Recipe, run: Run) -> nn.Module:
    """The trained model of a run.

    Raises:
        RunError: the weights are missing, damaged, or of another model.
    """
    path = run.path / "model.safetensors"
    model = recipe.model.build(generator(0, "init"))
    try:
        load_model(model, path)
    except (OSError, RuntimeError, SafetensorError) as error:
        raise RunError(f"cannot read the weights in {path}: {str(error).splitlines()[0]}.") from error
    return model


def arrays_of(recipe: Recipe, run: Run) -> xr.Dataset:
    """The labelled arrays of a run; where it kept none, as the seeds of a sweep do, they are made and kept now.

    Raises:
        RunError: the arrays, or the weights that they are made from, cannot be read, or the arrays not be written.
    """
    if (run.path / "results.nc").exists():
        return run.arrays()
    arrays = picture_arrays(recipe, conditions_of(recipe, restore_model(recipe, run)))
    save_arrays(run.path, arrays)
    return arrays
