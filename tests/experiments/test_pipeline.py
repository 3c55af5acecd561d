import errno
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from safetensors.torch import load_model

from excise.color import NAMES, named_colors
from excise.errors import DimsError, NonFiniteError, RunError, UnknownLayerError
from excise.evaluation import evaluate
from excise.experiments.pipeline import run_recipe
from excise.experiments.recipe import Edit, Recipe
from excise.record import open_run
from excise.surgery import ablate
from excise.training import Snapshot
from excise.training.progress import SilentProgress

DIVERGING = "STEP,lr,reg-separate,reg-anchor,reg-unit,reg-planar\n0,1e37,0,0,0,0\n19,1e37,0,0,0,0\n"


def test_a_finished_run_holds_these_files_and_no_others(finished: Any):
    assert {path.name for path in finished.run.path.iterdir()} == {
        "spec.json", "env.json", "status.json", "metrics.jsonl", "model.safetensors", "results.json", "results.nc",
    }  # fmt: skip
    assert finished.run.status["status"] == "finished"


def test_the_spec_on_disk_is_the_recipe(finished: Any):
    spec = json.loads((finished.run.path / "spec.json").read_text(encoding="utf-8"))
    assert Recipe.model_validate(spec) == finished.recipe


def test_the_environment_on_disk_has_the_seed_and_the_versions(finished: Any):
    environment = finished.run.environment
    assert environment["seed"] == 3
    assert {"python", "packages", "platform", "git_commit", "seed"} <= set(environment)
    assert environment["packages"]["torch"] == torch.__version__


def test_the_metrics_have_one_line_a_logged_step(finished: Any):
    lines = (finished.run.path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["step"] for row in rows] == [0, 5, 10, 15, 19]
    assert {"loss", "objective", "lr", "term/reg-unit", "weight/reg-unit"} <= set(rows[0])
    assert rows[0]["weight/reg-unit"] == 0.01
    assert rows[-1]["weight/reg-unit"] == 0


def test_the_results_have_every_condition_named_color_and_claim(finished: Any):
    results = json.loads((finished.run.path / "results.json").read_text(encoding="utf-8"))
    assert results == finished.returned
    assert (results["recipe"], results["seed"]) == ("2.6", 3)
    assert list(results["conditions"]) == ["baseline", "ablated", "pruned"]
    for condition in results["conditions"].values():
        assert set(condition) == {"max_mse", "median_mse", "named_colors"}
        assert list(condition["named_colors"]) == list(NAMES)
        assert len(condition["named_colors"]) == 17
        assert 0 <= condition["median_mse"] <= condition["max_mse"]
    assert [row["claim"] for row in results["claims"]] == [claim.claim for claim in finished.recipe.claims]
    assert all(isinstance(row["passed"], bool) for row in results["claims"])
    assert finished.run.results() == results


def test_the_saved_weights_give_the_numbers_of_the_results(finished: Any):
    model = finished.recipe.model.build(torch.Generator().manual_seed(99))
    untrained = named_errors(model)
    load_model(model, finished.run.path / "model.safetensors")
    for condition, edited in {"baseline": model, "ablated": ablate(model, "bottleneck", [0])}.items():
        expected = list(finished.returned["conditions"][condition]["named_colors"].values())
        np.testing.assert_array_equal(named_errors(edited), expected)
        assert not np.allclose(untrained, expected)


def named_errors(model: torch.nn.Module):
    return evaluate({"m": model}, named_colors())["error"].sel(condition="m").to_numpy()


def test_the_arrays_are_labelled_and_agree_with_the_numbers(finished: Any):
    arrays = finished.run.arrays()
    assert list(arrays["condition"].to_numpy()) == ["baseline", "ablated", "pruned"]
    assert list(arrays["channel"].to_numpy()) == ["r", "g", "b"]
    assert dict(arrays["display_output"].sizes) == {
        "condition": 3, "display_h": 6, "display_s": 4, "display_v": 2, "channel": 3
    }  # fmt: skip
    assert dict(arrays["line_error"].sizes) == {"condition": 3, "line_h": 7, "line_s": 3, "line_v": 3}
    np.testing.assert_allclose(arrays["line_h"][[0, -1]], [0, 1])
    assert arrays["latents_ablated"].shape == (27, 4)
    assert arrays["latents_pruned"].shape == (27, 3)
    assert not arrays["latents_ablated"].isel(latent_ablated=0).any()
    assert arrays["latents_baseline"].isel(latent_baseline=0).any()
    for condition, measured in finished.returned["conditions"].items():
        errors = arrays["named_error"].sel(condition=condition)
        assert (
            dict(zip(errors["named_color"].to_numpy(), errors.to_numpy(), strict=True))
            == measured["named_colors"]
        )


def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not(finished: Any, tmp_path: Path):
    torch.manual_seed(123)  # the global generator plays no part
    again = run_recipe(finished.recipe, 3, tmp_path / "again", log_every=5)
    other = run_recipe(finished.recipe, 4, tmp_path / "other", log_every=5)
    assert again == finished.returned
    for name in ("results.json", "model.safetensors", "metrics.jsonl", "spec.json"):
        expected = (finished.run.path / name).read_bytes()
        assert (tmp_path / "again" / name).read_bytes() == expected, name
        assert (name == "spec.json") == ((tmp_path / "other" / name).read_bytes() == expected), name
    xr.testing.assert_identical(open_run(tmp_path / "again").arrays(), finished.run.arrays())
    assert other["conditions"] != again["conditions"]


class InterruptAt(SilentProgress):
    def __init__(self, step: int):
        self.step = step

    def __call__(self, snapshot: Snapshot):
        if snapshot.step == self.step:
            raise KeyboardInterrupt


def test_an_interrupt_in_training_cancels_the_run_and_keeps_its_metrics(
    tiny: Callable[..., Recipe], tmp_path: Path
):
    with pytest.raises(KeyboardInterrupt):
        run_recipe(tiny(), 0, tmp_path / "run", progress=InterruptAt(10), log_every=5)
    run = open_run(tmp_path / "run")
    assert run.status["status"] == "cancelled"
    np.testing.assert_array_equal(run.metrics()["step"], [0, 5, 10])
    with pytest.raises(RunError, match="status is 'cancelled'"):
        run.results()


def test_a_training_that_diverges_fails_with_the_step_and_keeps_its_metrics(
    tiny: Callable[..., Recipe], tmp_path: Path
):
    with pytest.raises(NonFiniteError) as caught:
        run_recipe(tiny(dopesheet=DIVERGING), 0, tmp_path / "run", log_every=1)
    run = open_run(tmp_path / "run")
    assert run.status["status"] == "failed"
    assert f"at step {caught.value.step}." in run.status["error"]
    assert caught.value.step >= 1
    np.testing.assert_array_equal(run.metrics()["step"], np.arange(caught.value.step))


def test_a_disk_that_fills_as_results_are_written_fails_the_run_without_half_a_file(
    tiny: Callable[..., Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def fill(_self: xr.Dataset, path: Path, **_settings: Any):
        path.write_bytes(b"CDF")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(xr.Dataset, "to_netcdf", fill)
    with pytest.raises(RunError, match=r"results\.nc: No space left on device"):
        run_recipe(tiny(), 0, tmp_path / "run")
    assert open_run(tmp_path / "run").status["status"] == "failed"
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        "spec.json", "env.json", "status.json", "metrics.jsonl", "model.safetensors"
    }  # fmt: skip


def test_what_else_belongs_to_the_run_is_made_from_results_that_are_there(
    tiny: Callable[..., Recipe], tmp_path: Path
):
    seen = []

    def then(path: Path):
        seen.append((path, open_run(path).results()["seed"], open_run(path).status["status"]))
        raise RunError("no report")

    with pytest.raises(RunError, match="no report"):
        run_recipe(tiny(), 5, tmp_path / "run", then=then)
    assert seen == [(tmp_path / "run", 5, "started")]
    assert open_run(tmp_path / "run").status["status"] == "failed"
    assert open_run(tmp_path / "run").results()["seed"] == 5


@pytest.mark.parametrize(
    ("edit", "error"),
    [
        (Edit(condition="ablated", mode="ablate", layer="bottleneck", dims=(4,)), DimsError),
        (Edit(condition="pruned", mode="prune", layer="bottlneck", dims=(0,)), UnknownLayerError),
    ],
    ids=["dims", "layer"],
)
def test_an_edit_that_cannot_be_made_is_refused_before_the_training(
    tiny: Callable[..., Recipe], tmp_path: Path, edit: Edit, error: type[Exception]
):
    with pytest.raises(error):
        run_recipe(tiny(edits=(edit,)), 0, tmp_path / "run")
    assert open_run(tmp_path / "run").status["status"] == "failed"
    assert not (tmp_path / "run" / "metrics.jsonl").exists()
