import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from excise.experiments import published
from excise.experiments.recipe import Recipe
from excise.experiments.reproduction import parts as module
from excise.experiments.reproduction.parts import (
    SWEEPS,
    Part,
    find_sweep,
    finished_sweep,
    parts_of,
    seconds_of,
)
from excise.record import Record
from excise.record.files import read_json, write_json

CLEAN = {"packages": {"excise": "1", "torch": "2"}, "git_commit": "abc", "python": "3.11"}
SEEDS = (0, 1)


@pytest.fixture
def part(tiny: Callable[..., Recipe]) -> Part:
    return Part(tiny(), SEEDS, is_sweep=False)


def lay(
    part: Part, path: Path, *, finished: bool = True, environment: dict[str, Any] | None = None, **spec: Any
) -> Path:
    """A sweep's directory that looks like one of the part."""
    try:
        with Record(
            path, dict(part.recipe.spec()) | spec, {"seeds": list(part.seeds)} | (environment or CLEAN)
        ) as record:
            if not finished:
                raise KeyboardInterrupt
            write_json(record.path / "sweep.json", {"rows": []})
    except KeyboardInterrupt:
        pass
    return path


def test_everything_that_is_published_is_a_part_and_quick_is_less_of_it():
    whole, quick = parts_of(), parts_of(quick=True)
    assert {part.recipe.name for part in whole if not part.is_sweep} == {
        recipe for recipe, _, _ in published.single_runs()
    }
    assert tuple(part.recipe.name for part in whole if part.is_sweep) == SWEEPS
    assert all(part.seeds == tuple(range(60)) for part in whole if part.is_sweep)
    assert set(published.sweeps()) <= set(SWEEPS)
    names = [part.recipe.name for part in quick]
    assert names == ["2.6", "2.8", "2.9", "2.10", *SWEEPS]
    by_name = {part.recipe.name: part for part in whole}
    assert all(len(part.seeds) < len(by_name[part.recipe.name].seeds) for part in quick)


def test_the_steps_of_a_part_are_those_of_all_its_seeds(part: Part):
    assert part.steps == 2 * 20


def test_a_finished_sweep_is_taken_before_a_newer_unfinished_one_and_that_before_a_new_place(
    part: Part, tmp_path: Path
):
    folder = tmp_path / part.recipe.name
    new = find_sweep(part, tmp_path, CLEAN)
    assert new.parent == folder
    assert not new.exists()
    unfinished = lay(part, folder / "2-seeds0-1", finished=False)
    assert find_sweep(part, tmp_path, CLEAN) == unfinished
    finished = lay(part, folder / "1-seeds0-1")
    assert find_sweep(part, tmp_path, CLEAN) == finished


@pytest.mark.parametrize(
    "changed",
    [
        {"title": "another recipe"},
        {"environment": CLEAN | {"packages": {"excise": "1", "torch": "3"}}},
        {"environment": CLEAN | {"git_commit": "def"}},
        {"environment": CLEAN | {"seeds": [0, 1, 2]}},
    ],
    ids=["recipe", "torch", "commit", "seeds"],
)
def test_a_sweep_of_another_recipe_version_or_seeds_is_not_taken(
    part: Part, tmp_path: Path, changed: dict[str, Any]
):
    lay(part, tmp_path / part.recipe.name / "1-seeds0-1", **changed)
    assert not find_sweep(part, tmp_path, CLEAN).exists()


def test_a_directory_that_is_no_run_is_passed_over(part: Part, tmp_path: Path):
    (tmp_path / part.recipe.name / "1-seeds0-1").mkdir(parents=True)
    damaged = lay(part, tmp_path / part.recipe.name / "2-seeds0-1")
    (damaged / "status.json").write_text("{", encoding="utf-8")
    assert not find_sweep(part, tmp_path, CLEAN).exists()


@pytest.mark.parametrize("commit", ["abc-dirty", None])
def test_where_no_commit_names_the_source_a_sweep_older_than_the_source_is_not_taken(
    part: Part, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, commit: str | None
):
    environment = CLEAN | {"git_commit": commit}
    laid = lay(part, tmp_path / part.recipe.name / "1-seeds0-1", environment=environment)
    now = datetime.now(UTC)
    monkeypatch.setattr(module, "_last_change", lambda _source: now - timedelta(hours=1))
    assert find_sweep(part, tmp_path, environment) == laid
    monkeypatch.setattr(module, "_last_change", lambda _source: now + timedelta(hours=1))
    assert find_sweep(part, tmp_path, environment) != laid
    lay(part, tmp_path / part.recipe.name / "2-seeds0-1")
    assert find_sweep(part, tmp_path, CLEAN).exists()  # a clean commit names it


def test_the_source_last_changed_when_a_file_that_bears_on_the_numbers_did(tmp_path: Path):
    for name, time in (("training/loop.py", 100), ("dopesheets/2.6.csv", 200), ("report/page.py", 300)):
        file = tmp_path / name
        file.parent.mkdir()
        file.touch()
        os.utime(file, (time, time))
    assert module._last_change(tmp_path).timestamp() == 200


def test_a_sweep_with_a_damaged_or_missing_part_is_not_finished(
    part: Part, tmp_path: Path, tiny: Callable[..., Recipe]
):
    from excise.experiments.sweep import run_sweep

    path = tmp_path / "sweep"
    assert finished_sweep(part, path) is None
    made = run_sweep(tiny(), SEEDS, path, workers=1)
    assert finished_sweep(part, path) == made == read_json(path / "sweep.json")
    assert finished_sweep(Part(tiny(), (0, 1, 2), is_sweep=False), path) is None
    for name in ("seed-1/results.json", "sweep.json", "status.json"):
        kept = (path / name).read_text(encoding="utf-8")
        (path / name).write_text("{", encoding="utf-8")
        assert finished_sweep(part, path) is None, name
        (path / name).write_text(kept, encoding="utf-8")
    assert finished_sweep(part, path) == made


def test_the_seconds_of_a_sweep_are_known_unless_it_was_interrupted(part: Part, tmp_path: Path):
    path = lay(part, tmp_path / "run")
    status = read_json(path / "status.json")
    status |= {"started": "2026-01-01T00:00:00.000+00:00", "ended": "2026-01-01T00:01:30.500+00:00"}
    write_json(path / "status.json", status)
    assert seconds_of(path) == 90.5
    write_json(path / "status.json", status | {"continued": "2026-01-01T00:01:00.000+00:00"})
    assert seconds_of(path) is None
