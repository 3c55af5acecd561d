import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from excise.errors import TrackerError, TrackerWarning
from excise.experiments.pipeline import run_recipe
from excise.experiments.recipe import Recipe
from excise.experiments.sweep import run_sweep
from excise.record import open_run
from excise.trackers import Tracked
from odd_trackers import Broken, Told

Tiny = Callable[..., Recipe]


def draw(path: Path) -> None:
    """Stands in for the report: one picture in two themes, another that nobody has described."""
    folder = path / "figures"
    folder.mkdir()
    for name in ("training.png", "training.dark.png", "extra.png"):
        (folder / name).touch()
    (folder / "figures.json").write_text(json.dumps({"training": {"title": "Training", "alt": "It falls."}}))


@pytest.fixture(scope="module")
def told(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> tuple[Told, Path, dict[str, Any]]:
    """What a tracker was told of a run with seed 3."""
    path = tmp_path_factory.mktemp("runs") / "2.6" / "first"
    tracker = Told()
    return tracker, path, run_recipe(tiny(), 3, path, then=draw, log_every=5, trackers=[tracker])


def test_a_run_begins_with_its_recipe_its_schedule_and_where_it_is(
    told: tuple[Told, Path, dict[str, Any]], tiny: Tiny
):
    tracker, path, _ = told
    begun = tracker.calls[0][1]
    assert isinstance(begun, Tracked)
    run, recipe = open_run(path), tiny()
    assert begun.config == run.spec
    assert begun.environment == run.environment
    assert (begun.path, begun.shared) == (path.resolve(), path.parent.parent.resolve())
    assert (begun.name, begun.recipe, begun.seeds) == ("2.6 first", "2.6", (3,))
    assert begun.dopesheet == recipe.dopesheet
    timeline = recipe.schedule().timeline()
    assert begun.schedule is not None
    assert begun.schedule.columns == ("step", *timeline.properties)
    for column, values in zip(begun.schedule.columns, np.array(begun.schedule.rows).T, strict=True):
        assert values.tolist() == (list(range(20)) if column == "step" else timeline.table[column].tolist())


def test_a_tracker_is_told_the_very_rows_that_the_run_directory_has(
    told: tuple[Told, Path, dict[str, Any]],
):
    tracker, path, _ = told
    lines = (path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [row for kind, row in tracker.calls if kind == "log"]
    assert rows == [json.loads(line) for line in lines]
    assert {"loss", "term/reg-anchor", "weight/reg-anchor"} <= set(rows[0])


def test_results_tables_and_figures_with_their_texts_are_handed_over_at_the_end(
    told: tuple[Told, Path, dict[str, Any]],
):
    tracker, path, results = told
    end = tracker.end
    assert end.status == "finished"
    assert end.numbers["ablated.max_mse"] == results["conditions"]["ablated"]["max_mse"]
    assert end.numbers["pruned.named_colors.red"] == results["conditions"]["pruned"]["named_colors"]["red"]
    assert end.numbers["claims.all"] == len(results["claims"])
    errors, claims = end.tables
    assert errors.columns == ("error", *results["conditions"])
    red = dict(zip(errors.columns, next(row for row in errors.rows if row[0] == "red"), strict=True))
    assert red["ablated"] == results["conditions"]["ablated"]["named_colors"]["red"]
    assert [row[0] for row in claims.rows] == [claim["claim"] for claim in results["claims"]]
    assert [(figure.name, figure.alt) for figure in end.figures] == [
        ("extra", "extra"),
        ("training", "It falls."),
    ]
    folder = path.resolve() / "figures"
    assert end.figures[0].dark is None
    assert (end.figures[1].light, end.figures[1].dark) == (
        folder / "training.png",
        folder / "training.dark.png",
    )


@pytest.mark.parametrize("call", ["start", "log", "finish"])
def test_a_tracker_that_fails_leaves_the_run_and_its_status_as_they_are(
    call: str, tiny: Tiny, tmp_path: Path
):
    with pytest.warns(TrackerWarning, match="the tracker mine was dropped"):
        run_recipe(tiny(), 3, tmp_path / "run", trackers=[Broken(call, SystemExit("away"))])
    run = open_run(tmp_path / "run")
    assert run.status["status"] == "finished"
    assert run.metrics()["step"].tolist() == [0, 10, 19]


def test_a_tracker_that_cannot_begin_is_refused_before_anything_is_made(tiny: Tiny, tmp_path: Path):
    for carry_out in (
        lambda: run_recipe(tiny(), 3, tmp_path / "run", trackers=["wandbb"]),
        lambda: run_sweep(tiny(), [3, 4], tmp_path / "run", trackers=["wandbb"]),
    ):
        with pytest.raises(TrackerError, match="there is no tracker 'wandbb'"):
            carry_out()
    assert list(tmp_path.iterdir()) == []


def test_a_sweep_is_one_run_with_the_means_of_its_seeds_and_a_row_for_each(tiny: Tiny, tmp_path: Path):
    tracker = Told()
    path = tmp_path / "sweep"
    sweep = run_sweep(tiny(), [3, 4, 5], path, then=draw, workers=1, trackers=[tracker])
    assert [kind for kind, _ in tracker.calls].count("start") == 1
    assert tracker.calls[0][1].seeds == (3, 4, 5)
    assert tracker.calls[0][1].shared == path.resolve()
    metrics = [open_run(path / row["run"]).metrics() for row in sweep["rows"]]
    rows = [row for kind, row in tracker.calls if kind == "log"]
    assert [row["step"] for row in rows] == metrics[0]["step"].tolist()
    for key in ("loss", "objective", "weight/reg-unit"):
        means = np.mean([seed[key] for seed in metrics], axis=0)
        assert [row[key] for row in rows] == pytest.approx(means.tolist())
    assert rows[0]["term/reg-unit"] == pytest.approx(np.mean([seed["term/reg-unit"][0] for seed in metrics]))
    assert "term/reg-unit" not in rows[-1]  # Its weight is 0 there, and it is skipped.
    seeds, summary, claims = tracker.end.tables
    assert [row[seeds.columns.index("seed")] for row in seeds.rows] == [3, 4, 5]
    largest = dict(
        zip(summary.columns, next(row for row in summary.rows if row[0] == "ablated.max_mse"), strict=True)
    )
    assert {kind: largest[kind] for kind in ("median", "max")} == {
        kind: sweep["summary"]["ablated.max_mse"][kind] for kind in ("median", "max")
    }
    assert tracker.end.numbers["ablated.max_mse.median"] == largest["median"]
    assert len(claims.rows) == len(sweep["claims"])
    assert [figure.name for figure in tracker.end.figures] == ["extra", "training"]


def test_a_mean_is_over_the_seeds_that_have_the_number(trainer: Any, tiny: Tiny, tmp_path: Path):
    trainer.failing = {4}
    tracker = Told()
    run_sweep(tiny(), [3, 4], tmp_path / "sweep", workers=1, trackers=[tracker])
    assert tracker.steps == [0]
    seeds = tracker.end.tables[0]
    assert [row[seeds.columns.index("failed")] is None for row in seeds.rows] == [True, False]
