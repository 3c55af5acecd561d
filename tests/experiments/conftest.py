"""Experiment 2.6 made tiny: twenty steps on small grids; and sweeps of it whose numbers are made up."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from torch import nn

from excise.errors import NonFiniteError
from excise.experiments import chunk
from excise.experiments.pipeline import run_recipe
from excise.experiments.recipe import Recipe
from excise.record import Record, Run, open_run
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


class Trained(NamedTuple):
    seed: int


class Trainer:
    """Stands in for the training: writes runs whose numbers follow from their seed, and counts them."""

    def __init__(self, genuine: dict[str, Any]):
        self.genuine = genuine
        self.ran: list[int] = []
        self.failing: set[int] = set()
        self.interrupt_at: int | None = None
        self.error: Exception | None = None

    def train(self, _recipe: Recipe, seeds: Sequence[int], *_args: Any, **_settings: Any):
        return [Trained(seed) for seed in seeds]

    def write(self, recipe: Recipe, trained: Trained, path: Path, environment: dict[str, Any]):
        seed = trained.seed
        self.ran.append(seed)
        with Record(path, recipe.spec(), environment) as record:
            record.log({"step": 0})
            if seed == self.interrupt_at:
                raise KeyboardInterrupt
            if seed in self.failing:
                raise self.error or NonFiniteError("reg-unit", 7, float("inf"))
            record.save_model(nn.Linear(1, 1))
            record.save_results(self.results_of(seed))

    def results_of(self, seed: int) -> dict[str, Any]:
        """Genuine results in which each number is the seed, and the first claim holds for even seeds only."""
        conditions = {
            name: {
                "max_mse": float(seed),
                "median_mse": float(seed),
                "named_colors": dict.fromkeys(measured["named_colors"], float(seed)),
            }
            for name, measured in self.genuine["conditions"].items()
        }
        claims = [
            claim | {"measured": 10.0 * seed, "passed": index > 0 or seed % 2 == 0}
            for index, claim in enumerate(self.genuine["claims"])
        ]
        return self.genuine | {"seed": seed, "conditions": conditions, "claims": claims}


@pytest.fixture
def trainer(finished: Any, monkeypatch: pytest.MonkeyPatch):
    made = Trainer(finished.returned)
    monkeypatch.setattr(chunk, "train", made.train)
    monkeypatch.setattr(chunk, "_write_run", made.write)
    return made
