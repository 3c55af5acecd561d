import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from excise.errors import RunError
from excise.experiments.recipe import Recipe
from excise.experiments.reproduction import (
    Part,
    Reproduction,
    Verdict,
    at_once,
    open_reproduction_path,
    read_reproduction,
    reproduce,
)
from excise.experiments.reproduction import parts as parts_module
from excise.experiments.sweep import run_sweep
from excise.record import open_run


class Sweeper:
    """Runs sweeps, and notes of which recipes; ends as Ctrl-C does at the recipe of that name."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.interrupt_at: str | None = None

    def __call__(self, recipe: Recipe, seeds: Any, path: Path, **settings: Any) -> dict[str, Any]:
        self.ran.append(recipe.name)
        if recipe.name == self.interrupt_at:
            raise KeyboardInterrupt
        return run_sweep(recipe, seeds, path, **settings)


@pytest.fixture
def sweeper(monkeypatch: pytest.MonkeyPatch) -> Sweeper:
    made = Sweeper()
    monkeypatch.setattr(at_once, "run_sweep", made)
    # The tests may run while someone edits the source.
    monkeypatch.setattr(parts_module, "_same_code", lambda _run, _environment: True)
    return made


@pytest.fixture
def parts(tiny: Callable[..., Recipe]) -> tuple[Part, ...]:
    """Two recipes made tiny: 2.6, and what bears the name of 2.7."""
    return (
        Part(tiny(steps=10), (0, 1), is_sweep=False),
        Part(tiny(steps=10, name="2.7"), (0, 1), is_sweep=False),
    )


def carry_out(parts: tuple[Part, ...], out: Path, **settings: Any) -> tuple[Reproduction, Path]:
    path = open_reproduction_path(parts, out)
    return reproduce(parts, out, path, workers=1, **settings), path


def test_every_part_is_run_and_compared_and_the_directory_holds_all_of_it(
    sweeper: Sweeper, parts: tuple[Part, ...], tmp_path: Path
):
    seen = []
    made, path = carry_out(parts, tmp_path, then=seen.append)
    assert sweeper.ran == ["2.6", "2.7"]
    assert seen == [path]
    assert read_reproduction(path) == made
    run = open_run(path)
    assert run.status["status"] == "finished"
    assert list(run.spec["parts"]) == ["2.6", "2.7"]
    assert run.spec["parts"]["2.7"]["recipe"]["name"] == "2.7"
    assert [(each.recipe, each.seeds, each.finished, each.reused) for each in made.carried] == [
        ("2.6", 2, 2, False),
        ("2.7", 2, 2, False),
    ]
    assert [section.title for section in made.sections] == ["Single runs", "Single runs over many seeds"]
    row = made.sections[0].rows[0]
    measured = open_run(tmp_path / made.carried[0].directory).sweep()
    assert measured is not None
    assert row.ours == (measured["rows"][0]["baseline.max_mse"],)
    assert row.published == ("0.0011",)
    assert "below our smallest" in row.finding  # ten steps teach nothing
    assert len(made.differing) == made.count(Verdict.DIFFERS) > 0
    assert sum(made.count(verdict) for verdict in Verdict) == len(made.rows)


def test_what_is_finished_is_not_run_again(sweeper: Sweeper, parts: tuple[Part, ...], tmp_path: Path):
    first, path = carry_out(parts, tmp_path)
    second, other = carry_out(parts, tmp_path)
    assert other != path
    assert sweeper.ran == ["2.6", "2.7"]
    assert [each.reused for each in second.carried] == [True, True]
    assert second.sections == first.sections


def test_an_interrupted_reproduction_goes_on_where_it_stopped(
    sweeper: Sweeper, parts: tuple[Part, ...], tmp_path: Path
):
    sweeper.interrupt_at = "2.7"
    path = open_reproduction_path(parts, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        reproduce(parts, tmp_path, path, workers=1)
    assert open_run(path).status["status"] == "cancelled"
    assert open_reproduction_path(parts, tmp_path) == path
    assert open_reproduction_path(parts[:1], tmp_path) != path
    assert open_reproduction_path(parts, tmp_path, quick=True) != path
    sweeper.interrupt_at = None
    made, again = carry_out(parts, tmp_path)
    assert again == path
    assert sweeper.ran == ["2.6", "2.7", "2.7"]
    assert [each.reused for each in made.carried] == [True, False]
    assert open_run(path).status["status"] == "finished"


def test_a_damaged_seed_is_run_again(sweeper: Sweeper, parts: tuple[Part, ...], tmp_path: Path):
    made, _ = carry_out(parts, tmp_path)
    (tmp_path / made.carried[1].directory / "seed-1" / "results.json").write_text("{", encoding="utf-8")
    again, _ = carry_out(parts, tmp_path)
    assert sweeper.ran == ["2.6", "2.7", "2.7"]
    assert again.sections == made.sections
    assert again.carried[1].seconds is None  # it ran in two goes


def test_a_folder_that_cannot_be_written_is_said_before_anything_is_run(
    sweeper: Sweeper, parts: tuple[Part, ...], tmp_path: Path
):
    (tmp_path / "file").touch()
    out = tmp_path / "file" / "runs"
    with pytest.raises(RunError, match="cannot"):
        reproduce(parts, out, open_reproduction_path(parts, out), workers=1)
    assert sweeper.ran == []


def test_a_reproduction_that_was_damaged_or_did_not_finish_cannot_be_read(tmp_path: Path):
    with pytest.raises(RunError, match=r"cannot read .*reproduction\.json"):
        read_reproduction(tmp_path)
    file = tmp_path / "reproduction.json"
    file.write_text("{", encoding="utf-8")
    with pytest.raises(RunError, match="not JSON"):
        read_reproduction(tmp_path)
    file.write_text(json.dumps({"quick": True, "carried": [{}], "sections": []}), encoding="utf-8")
    with pytest.raises(RunError, match=r"damaged: carried\.0\.recipe"):
        read_reproduction(tmp_path)
