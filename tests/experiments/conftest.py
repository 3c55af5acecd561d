"""Experiment 2.6 made tiny: twenty steps on small grids."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from excise.experiments.pipeline import run_recipe
from excise.experiments.recipe import Recipe
from excise.runs import Run, open_run
from tiny_recipe import make_tiny


class Finished(NamedTuple):
    recipe: Recipe
    returned: dict[str, Any]
    run: Run


@pytest.fixture(scope="session")
def tiny() -> Callable[..., Recipe]:
    """Makes the tiny recipe, with some fields replaced."""
    return make_tiny


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """One finished run of the tiny recipe with seed 3."""
    path: Path = tmp_path_factory.mktemp("runs") / "run"
    recipe = make_tiny()
    return Finished(recipe, run_recipe(recipe, 3, path, log_every=5), open_run(path))
