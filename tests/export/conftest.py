"""Runs to export: one of the tiny 2.6, a sweep of it, and runs of other recipes whose models were never trained."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from excise.experiments.catalogue import TRAININGS
from excise.experiments.conditions import conditions_of
from excise.experiments.measure import measure
from excise.experiments.recipe import Grids, Recipe
from excise.experiments.summary import summarise_sweep
from excise.record import Record
from excise.record.environment import describe_environment
from excise.record.files import write_json
from excise.seeding import generator
from tiny_recipe import make_tiny

GRIDS = Grids(loss=(12, 3, 3), display=(6, 4, 2), lines=(7, 3, 3), latent=3)


def write_run(path: Path, recipe: Recipe, seed: int = 0) -> Path:
    """A finished run of a recipe whose training had no step."""
    with Record(path, recipe.spec(), {**describe_environment(), "seed": seed}) as record:
        model = recipe.model.build(generator(seed, "init"))
        record.save_model(model)
        record.save_results(measure(recipe, seed, conditions_of(recipe, model)))
    return path


def untrained(name: str) -> Recipe:
    """A recipe of the catalogue on small grids, without what only a training measures."""
    return TRAININGS[name]().model_copy(update={"grids": GRIDS, "validation": None, "selection": None})


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the tiny 2.6; not to be changed."""
    return write_run(tmp_path_factory.mktemp("runs") / "run", make_tiny(), seed=3)


@pytest.fixture(scope="session")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished sweep of the tiny 2.6 over three seeds; not to be changed."""
    path, recipe, seeds = tmp_path_factory.mktemp("runs") / "sweep", make_tiny(), [3, 4, 5]
    with Record(path, recipe.spec(), {**describe_environment(), "seeds": seeds}):
        for seed in seeds:
            write_run(path / f"seed-{seed}", recipe, seed)
        write_json(path / "sweep.json", summarise_sweep(recipe, seeds, path))
    return path


@pytest.fixture(scope="session")
def run_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Makes a run of a recipe, by its name in the catalogue or itself."""

    def make(recipe: str | Recipe, **changes: object) -> Path:
        made = untrained(recipe) if isinstance(recipe, str) else recipe
        return write_run(tmp_path_factory.mktemp("runs") / "run", made.model_copy(update=changes))

    return make
