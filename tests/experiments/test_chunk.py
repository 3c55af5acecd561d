"""Seeds trained together, and written one by one."""

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from excise.errors import NonFiniteError, UnfollowableError
from excise.experiments import chunk
from excise.experiments.chunk import failure_of, finished_run, plan_chunks, run_chunk, sweep_leftovers
from excise.experiments.pipeline import run_recipe
from excise.experiments.recipe import HeldOut, Recipe
from excise.record import open_run
from tiny_recipe import make_tiny

FAST = settings(derandomize=True, deadline=None, max_examples=300, database=None)
RECIPE = make_tiny()
SEED = chunk._bytes_a_seed(RECIPE)


@FAST
@given(
    count=st.integers(0, 150),
    workers=st.integers(1, 12),
    memory=st.sampled_from([0, 4, 12, 18, 30, 50, 100, 700, 10**9]),
)
def test_chunks_hold_every_seed_once_in_order_evenly_and_within_the_memory(
    count: int, workers: int, memory: int
):
    seeds = [7 * index % 151 for index in range(count)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunk, "_free_memory", lambda: memory * SEED)
        chunks = plan_chunks(RECIPE, seeds, workers)
    assert [seed for seeds in chunks for seed in seeds] == seeds
    sizes = [len(seeds) for seeds in chunks]
    if not seeds:
        return
    assert max(sizes) - min(sizes) <= 1
    assert 1 <= max(sizes) <= 32
    at_once = min(workers, len(chunks)) * max(sizes)
    assert max(sizes) == 1 or at_once <= memory / 4


@pytest.mark.parametrize(
    ("seeds", "workers", "sizes"),
    [
        (1, 8, [1]),
        (7, 8, [7]),
        (8, 8, [4, 4]),
        (60, 1, [30, 30]),
        (60, 2, [30, 30]),
        (60, 4, [15] * 4),
        (100, 3, [17] * 4 + [16] * 2),
        (32, 1, [32]),
    ],
)
def test_few_seeds_keep_together_and_many_use_every_worker_equally(
    seeds: int, workers: int, sizes: list[int], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(chunk, "_free_memory", lambda: 2**40)
    assert [len(seeds) for seeds in plan_chunks(RECIPE, range(seeds), workers)] == sizes


def test_the_run_of_a_seed_in_a_chunk_is_the_run_of_that_seed_alone(tmp_path: Path):
    recipe = make_tiny(validation=HeldOut(edge=3, every=7, labels={"red": "redness"}))
    alone = run_recipe(recipe, 1, tmp_path / "alone", log_every=5)
    steps: list[int] = []
    seeds: list[int] = []
    run_chunk(
        recipe,
        [2, 1, 0],
        tmp_path,
        {"packages": {}},
        log_every=5,
        on_step=lambda snapshot: steps.append(snapshot.step),
        on_seed=seeds.append,
    )
    assert steps == [0, 5, 6, 10, 13, 15, 19]
    assert seeds == [2, 1, 0]
    for name in ("results.json", "metrics.jsonl", "model.safetensors", "spec.json"):
        assert (tmp_path / "seed-1" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes(), name
    run = finished_run(tmp_path, 1)
    assert run is not None
    assert run.results() == alone
    assert set(alone["validation"]) > {"objective", "reg-unit"}
    assert run.environment == {"packages": {}, "seed": 1}
    assert {path.name for path in tmp_path.iterdir()} == {"alone", "seed-0", "seed-1", "seed-2"}


def spoiled(seed: int, error: NonFiniteError):
    """The training, in which one seed is said to have diverged."""

    def train(*args: Any, **settings: Any):
        return [
            dataclasses.replace(one, outcome=dataclasses.replace(one.outcome, error=error))
            if one.seed == seed
            else one
            for one in genuine(*args, **settings)
        ]

    genuine = chunk.train
    return train


def test_a_seed_that_diverged_is_written_down_as_failed_and_the_next_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(chunk, "train", spoiled(1, NonFiniteError("reg-unit", 12, float("inf"))))
    told: list[int] = []
    run_chunk(RECIPE, [0, 1, 2], tmp_path, {}, on_seed=told.append)
    assert told == [0, 1, 2]
    failed = open_run(tmp_path / "seed-1")
    assert failed.status["status"] == "failed"
    assert failed.status["error"] == failure_of(tmp_path, 1)
    assert str(failure_of(tmp_path, 1)).startswith("NonFiniteError: 'reg-unit' became inf at step 12")
    assert failed.metrics()["step"].tolist() == [0, 10, 19]
    assert not (tmp_path / "seed-1" / "results.json").exists()
    assert [finished_run(tmp_path, seed) is not None for seed in (0, 1, 2)] == [True, False, True]
    assert failure_of(tmp_path, 0) is None


def test_a_seed_whose_edits_cannot_be_made_is_failed_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    genuine = chunk.conditions_of
    calls: list[Any] = []

    def conditions_of(recipe: Recipe, model: Any):
        calls.append(model)
        if len(calls) == 1:
            raise UnfollowableError("decoder.1", "it is no Linear.")
        return genuine(recipe, model)

    monkeypatch.setattr(chunk, "conditions_of", conditions_of)
    run_chunk(RECIPE, [0, 1], tmp_path, {})
    assert str(failure_of(tmp_path, 0)).startswith("UnfollowableError: 'decoder.1'")
    assert finished_run(tmp_path, 1) is not None


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError], ids=["interrupt", "full-disk"])
def test_a_seed_appears_when_it_is_whole_or_not_at_all(
    error: type[BaseException], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def stop(*_args: Any, **_settings: Any):
        assert list(tmp_path.glob(".seed-0-*"))
        raise error

    monkeypatch.setattr(chunk, "measure", stop)
    with pytest.raises(error):
        run_chunk(RECIPE, [0, 1], tmp_path, {})
    sweep_leftovers(tmp_path)
    assert not list(tmp_path.iterdir())


DAMAGES: dict[str, Callable[[Path], object]] = {
    "no-results": lambda run: (run / "results.json").unlink(),
    "half-results": lambda run: (run / "results.json").write_text('{"recipe": "2.6"', encoding="utf-8"),
    "no-weights": lambda run: (run / "model.safetensors").unlink(),
    "half-weights": lambda run: (run / "model.safetensors").write_bytes(b"\x00" * 20),
    "no-spec": lambda run: (run / "spec.json").unlink(),
    "no-status": lambda run: (run / "status.json").unlink(),
    "no-json": lambda run: (run / "status.json").write_bytes(b"\xff\xfe\x00"),
    "another-layout": lambda run: (run / "status.json").write_text(
        (run / "status.json").read_text(encoding="utf-8").replace('"format": 1', '"format": 7'),
        encoding="utf-8",
    ),
    "another-seed": lambda run: (run / "results.json").write_text(
        (run / "results.json").read_text(encoding="utf-8").replace('"seed": 0', '"seed": 5'), encoding="utf-8"
    ),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory):
    """The directory of a sweep in which seed 0 is finished."""
    path: Path = tmp_path_factory.mktemp("sweep")
    run_chunk(RECIPE, [0], path, {})
    return path


@pytest.mark.parametrize("name", DAMAGES)
def test_a_run_that_is_damaged_does_not_count_as_finished_or_failed(name: str, whole: Path, tmp_path: Path):
    path = tmp_path / "sweep"
    shutil.copytree(whole, path)
    assert finished_run(path, 0) is not None
    DAMAGES[name](path / "seed-0")
    assert finished_run(path, 0) is None
    assert failure_of(path, 0) is None


def test_a_run_is_written_beside_a_damaged_one_of_the_same_seed(whole: Path, tmp_path: Path):
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    DAMAGES["half-results"](tmp_path / "seed-0")
    run_chunk(RECIPE, [0], tmp_path, {})
    again = finished_run(tmp_path, 0)
    assert again is not None
    assert again.path.name == "seed-0-again-2"
    assert again.results() == open_run(whole / "seed-0").results()
