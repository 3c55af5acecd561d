"""A saved run gives back all that it was, and reading changes nothing."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import excise
from excise.color import named_colors
from excise.errors import RunError
from excise.record import Record, open_run
from many_runs import change_json
from tiny_recipe import make_tiny


def contents(path: Path) -> dict[str, tuple[int, int]]:
    return {
        str(file): (file.stat().st_mtime_ns, file.stat().st_size)
        for file in sorted(path.rglob("*"))
        if file.is_file()
    }


def test_a_run_gives_its_recipe_its_claims_and_its_numbers(saved: Path):
    run = excise.runs.open(saved / "2.6" / "run")
    results = open_run(run.path).results()
    assert (run.kind, run.recipe, run.status, run.error) == ("run", "2.6", "finished", None)
    assert run.spec == make_tiny()
    assert run.environment["seed"] == 3
    assert run.ended is not None
    assert run.ended >= run.started
    assert list(run.claims["passed"]) == [claim["passed"] for claim in results["claims"]]
    table = run.table()
    assert table.loc["max_mse", "ablated"] == results["conditions"]["ablated"]["max_mse"]
    assert table.loc["red", "pruned"] == results["conditions"]["pruned"]["named_colors"]["red"]
    assert run.sweep is None
    assert dict(run.seeds) == {}


def test_metrics_are_a_frame_by_step(saved: Path):
    run = excise.runs.open(saved / "2.6" / "run")
    assert run.metrics.index.name == "step"
    assert list(run.metrics.index) == [0, 5, 10, 15, 19]
    assert run.metrics["loss"].to_list() == open_run(run.path).metrics()["loss"].tolist()
    assert run.metrics is run.metrics


def test_a_last_line_half_written_is_left_out_and_another_is_an_error(saved: Path, tmp_path: Path):
    path = shutil.copytree(saved / "2.6" / "run", tmp_path / "run")
    log = path / "metrics.jsonl"
    whole = log.read_text(encoding="utf-8")
    log.write_text(whole + whole.splitlines()[0][:20], encoding="utf-8")
    assert len(excise.runs.open(path).metrics) == 5
    log.write_text(whole.splitlines()[0][:20] + "\n" + whole, encoding="utf-8")
    with pytest.raises(RunError, match="line 1"):
        _ = excise.runs.open(path).metrics


def test_the_restored_model_and_its_conditions_draw_the_saved_colours(saved: Path):
    run = excise.runs.open(saved / "2.6" / "run")
    drawn = run.results["named_output"].transpose("condition", "named_color", "channel")
    conditions = run.conditions()
    assert conditions["baseline"] is run.model
    assert list(conditions) == list(drawn["condition"].to_numpy())
    x = torch.tensor(named_colors().transpose("color", "channel").to_numpy(), dtype=torch.float32)
    for name, model in conditions.items():
        with torch.no_grad():
            np.testing.assert_allclose(model(x).numpy(), drawn.sel(condition=name).to_numpy(), atol=1e-6)
    assert np.abs(drawn.sel(condition="baseline") - drawn.sel(condition="ablated")).max() > 0.01


def test_a_sweep_is_labelled_arrays_over_its_seeds_with_every_number_of_its_rows(saved: Path):
    run = excise.runs.open(saved / "2.6" / "sweep")
    assert run.kind == "sweep"
    assert run.sweep is not None
    rows = {row["seed"]: row for row in run.sweep["rows"]}
    results = run.results
    assert list(results["seed"]) == [3, 4, 5]
    found = 0
    for seed, condition in ((seed, str(name)) for seed in (3, 4) for name in results["condition"].to_numpy()):
        here = results.sel(seed=seed, condition=condition)
        assert float(here["max_mse"]) == rows[seed][f"{condition}.max_mse"]
        assert float(here["median_mse"]) == rows[seed][f"{condition}.median_mse"]
        for color in results["named_color"].to_numpy():
            value = float(here["named_error"].sel(named_color=color))
            assert value == rows[seed][f"{condition}.named_colors.{color}"]
        found += 2 + results.sizes["named_color"]
    assert found == 2 * sum("." in key for key in rows[3])
    assert np.isnan(results["max_mse"].sel(seed=5)).all()
    assert not results["claim_holds"].sel(seed=5).any()
    failed = rows[3]["failed_claims"]
    assert [str(name) for name in results["claim"][~results["claim_holds"].sel(seed=3)].to_numpy()] == failed
    assert list(run.claims["seeds"]) == [3] * len(run.claims)
    assert list(run.table().index) == [3, 4, 5]


def test_the_seeds_of_a_sweep_are_runs_and_the_same_as_alone(saved: Path):
    sweep, alone = (excise.runs.open(saved / "2.6" / name) for name in ("sweep", "run"))
    assert list(sweep.seeds) == [3, 4, 5]
    assert sweep.seeds[3].numbers == alone.numbers
    assert sweep.seeds[3] is sweep.seeds[3]
    assert "NonFiniteError" in (sweep.seeds[5].error or "")
    assert set(sweep.metrics.index.get_level_values("seed")) >= {3, 4}
    assert 4 in sweep.seeds
    assert 9 not in sweep.seeds
    with pytest.raises(RunError, match="no run of seed 9; its seeds are 3 to 5"):
        _ = sweep.seeds[9]


def test_of_a_seed_that_was_run_again_the_last_counts(saved: Path, tmp_path: Path):
    path = shutil.copytree(saved / "2.6" / "sweep", tmp_path / "sweep")
    for name in ("seed-3-again-2", "seed-3-again-10", "seed-3-again-x", "seed-x"):
        shutil.copytree(path / "seed-3", path / name)
    run = excise.runs.open(path)
    assert list(run.seeds) == [3, 4, 5]
    assert run.seeds[3].path.name == "seed-3-again-10"


def test_reading_everything_writes_nothing_not_even_the_arrays_that_a_seed_lacks(saved: Path):
    before = contents(saved)
    alone, seed = (excise.runs.open(saved / "2.6" / name) for name in ("run", "sweep/seed-3"))
    for variable in alone.results:
        np.testing.assert_allclose(seed.results[variable], alone.results[variable], atol=1e-6)
    for run in (alone, seed, excise.runs.open(saved / "2.6" / "sweep")):
        _ = run.spec, run.claims, run.table(), run.metrics, run.results, run.figures, run.report
    assert contents(saved) == before


def test_a_run_under_way_is_read_as_it_is(saved: Path, tmp_path: Path):
    path = tmp_path / "run"
    with Record(path, make_tiny().spec(), {"seed": 0}) as record:
        record.log({"step": 0, "loss": 0.5})
        with (path / "metrics.jsonl").open("a", encoding="utf-8") as log:
            log.write('{"step": 10, "lo')
        run = excise.runs.open(path)
        assert (run.status, run.ended) == ("started", None)
        assert run.metrics["loss"].to_list() == [0.5]
        for ask in (lambda: run.results, lambda: run.claims, lambda: run.model, run.conditions):
            with pytest.raises(RunError):
                ask()
    assert excise.runs.open(path).status == "finished"


def test_a_sweep_under_way_sums_up_what_is_finished(saved: Path, tmp_path: Path):
    path = shutil.copytree(saved / "2.6" / "sweep", tmp_path / "sweep")
    whole = excise.runs.open(path).sweep
    (path / "sweep.json").unlink()
    shutil.rmtree(path / "seed-4")
    run = excise.runs.open(path)
    assert whole is not None
    assert run.sweep is not None
    assert [row["seed"] for row in run.sweep["rows"]] == [3, 5]
    assert run.sweep["rows"][0] == whole["rows"][0]
    assert not (path / "sweep.json").exists()


def test_shapes_and_reproductions_are_recognised(saved: Path):
    shapes = excise.runs.open(saved / "2.1" / "shapes")
    assert shapes.kind == "shapes"
    assert shapes.results["after"].sizes["angle"] == 8
    assert shapes.table().shape == (8, 7)
    made = excise.runs.open(saved / "reproduction" / "whole")
    assert (made.kind, made.recipe) == ("reproduction", "reproduction")
    assert list(made.table()["verdict"]) == ["agrees", "agrees", "differs", "not published"]


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("2.6/sweep", "a model for each seed"),
        ("2.1/shapes", "trains nothing"),
        ("reproduction/whole", "trains nothing"),
    ],
)
def test_what_has_no_model_says_so(place: str, message: str, saved: Path):
    with pytest.raises(RunError, match=message):
        _ = excise.runs.open(saved / place).model


def test_what_is_no_run_is_refused(saved: Path, tmp_path: Path):
    with pytest.raises(RunError, match="not a run directory"):
        excise.runs.open(tmp_path)
    path = shutil.copytree(saved / "2.6" / "run", tmp_path / "run")
    change_json(path / "spec.json", lambda spec: spec.pop("name"))
    with pytest.raises(RunError, match="has no name"):
        excise.runs.open(path)
    change_json(path / "spec.json", lambda spec: spec.update(name="2.6", unheard=1))
    run = excise.runs.open(path)
    with pytest.raises(RunError, match="no recipe of this version"):
        _ = run.spec


def test_figures_come_with_the_texts_beside_them_or_else_with_those_of_the_report(
    saved: Path, tmp_path: Path
):
    path = shutil.copytree(saved / "2.6" / "run", tmp_path / "run")
    assert excise.runs.open(path).figures == {}
    assert excise.runs.open(path).report is None
    (path / "figures").mkdir()
    for name in ("error.png", "error.dark.png", "front.png"):
        (path / "figures" / name).write_bytes(b"")
    figures = excise.runs.open(path).figures
    assert {name: figure.alt for name, figure in figures.items()} == {"error": None, "front": None}
    assert figures["error"].dark == path / "figures" / "error.dark.png"
    assert figures["front"].dark is None
    drawn = {"error": '<p></p><img src="data:," alt="a &lt; b">', "front": '<img alt="c">'}
    page = "".join(f'<figure id="{name}">{image}</figure>' for name, image in drawn.items())
    (path / "report.html").write_text(page, encoding="utf-8")
    assert [figure.alt for figure in excise.runs.open(path).figures.values()] == ["a < b", "c"]
    told = {"error": {"title": "Errors", "alt": "told"}}
    (path / "figures" / "figures.json").write_text(json.dumps(told), encoding="utf-8")
    assert [figure.alt for figure in excise.runs.open(path).figures.values()] == ["told", None]


def test_looking_through_a_folder_loads_neither_torch_nor_what_draws(saved: Path):
    script = (
        "import sys, excise; excise.runs.digests_in(sys.argv[1]); print('numpy' in sys.modules, *sorted("
        "{'torch', 'pandas', 'xarray', 'matplotlib', 'scipy'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", script, saved], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["True"]
