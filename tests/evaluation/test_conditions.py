import contextlib

import numpy as np
import pytest
import torch
import xarray as xr
from numpy.testing import assert_allclose, assert_array_equal
from torch import Tensor, nn

from excise.color import NormalizedMLP, hsv_grid, named_colors
from excise.errors import CaptureError, SettingError, ShapeError, UnknownLayerError
from excise.evaluation import disagreement, evaluate, evaluating, latents_of, summarise
from excise.seeding import generator


class Constant(nn.Module):
    """Draws every colour as one colour; in training mode, as another."""

    def __init__(self, *color: float) -> None:
        super().__init__()
        self.color = nn.Parameter(torch.tensor(color))

    def forward(self, x: Tensor) -> Tensor:
        y = self.color.expand_as(x)
        return y + 100 if self.training else y.clamp(0, 1)


class Halve(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x / 2


def mlp(seed: int = 0):
    return NormalizedMLP(generator=generator(seed, "init"))


def test_errors_are_the_mean_over_channels_of_the_squared_difference():
    data = evaluate(
        {"baseline": nn.Identity(), "gray": Constant(0.5, 0.5, 0.5), "half": Halve()}, named_colors()
    )
    error = data["error"]
    assert_array_equal(error.sel(condition="baseline"), 0)
    gray = {"red": 0.25, "white": 0.25, "gray": 0.0, "orange": 0.5 / 3, "dark gray": 0.0625}
    half = {"red": 0.25 / 3, "white": 0.25, "gray": 0.0625, "orange": 0.3125 / 3, "black": 0.0}
    for condition, expected in [("gray", gray), ("half", half)]:
        for color, value in expected.items():
            assert float(error.sel(condition=condition, color=color)) == pytest.approx(value, abs=1e-7)


def test_the_output_that_counts_is_the_clamped_one_of_evaluation_mode():
    data = evaluate({"baseline": Constant(3.0, -2.0, 0.5)}, named_colors())
    assert_array_equal(data["output"].sel(condition="baseline", color="cyan"), [1, 0, 0.5])
    error = float(data["error"].sel(condition="baseline", color="cyan"))
    assert error == pytest.approx((1 + 1 + 0.25) / 3, abs=1e-7)
    model = mlp()
    with torch.no_grad():
        list(model.parameters())[-1].fill_(9.0)
    assert float(evaluate({"baseline": model}, named_colors())["output"].max()) == 1


def test_arrays_carry_the_dims_and_the_coordinates_of_conditions_and_inputs():
    grid = hsv_grid(5, 3, 4)
    data = evaluate({"baseline": mlp(), "ablated": mlp(1)}, grid)
    assert data["input"].dims == ("h", "s", "v", "channel")
    assert data["output"].dims == ("condition", "h", "s", "v", "channel")
    assert data["error"].dims == ("condition", "h", "s", "v")
    assert data["condition"].to_numpy().tolist() == ["baseline", "ablated"]
    for dim in grid.dims:
        assert_array_equal(data[dim], grid[dim])
    assert {str(array.dtype) for array in data.values()} == {"float32"}
    assert_allclose(data["input"], grid, atol=1e-7)
    first = data.sel(condition="ablated").isel(h=2, s=1, v=3)
    with torch.no_grad():
        expected = mlp(1).eval()(torch.tensor(grid.isel(h=2, s=1, v=3).to_numpy(), dtype=torch.float32))
    assert_allclose(first["output"], expected, atol=1e-6)
    assert float(first["error"]) == pytest.approx(
        float(((first["output"] - first["input"]) ** 2).mean()), abs=1e-8
    )


def test_the_order_of_dims_and_the_name_of_the_feature_do_not_matter():
    grid = hsv_grid(5, 3, 4)
    turned = grid.rename(channel="feature").transpose("feature", "v", "h", "s")
    expected = evaluate({"baseline": mlp()}, grid)["error"]
    error = evaluate({"baseline": mlp()}, turned, feature="feature")["error"]
    assert error.dims == ("condition", "v", "h", "s")
    assert_allclose(error.transpose(*expected.dims), expected, atol=1e-8)
    assert turned.dims == ("feature", "v", "h", "s"), "what is handed in stays as it is"


def test_a_colours_numbers_do_not_depend_on_what_is_evaluated_beside_it():
    # float32 sums of 16 products in another blocking differ by a few units in the last place of values near 1.
    grid, models = hsv_grid(30, 12, 12), {"baseline": mlp()}
    whole = evaluate(models, grid)
    for part in (grid.isel(h=slice(0, 1)), grid.isel(h=slice(7, 20)), grid.isel(h=[3], s=[2], v=[1])):
        places = {dim: part[dim] for dim in ("h", "s", "v")}
        alone = evaluate(models, part)
        assert_allclose(alone["output"], whole["output"].sel(places), atol=1e-6)
        assert_allclose(alone["error"], whole["error"].sel(places), atol=2e-6)


def test_modes_are_restored_module_by_module_also_after_an_error():
    model = mlp()
    model.decoder.eval()
    modes = [module.training for module in model.modules()]
    assert len(set(modes)) == 2
    with contextlib.suppress(KeyError), evaluating(model, model):
        assert not any(module.training for module in model.modules())
        assert not torch.is_grad_enabled()
        raise KeyError
    assert [module.training for module in model.modules()] == modes
    assert torch.is_grad_enabled()
    evaluate({"baseline": model}, named_colors())
    latents_of(model, "bottleneck", np.zeros((2, 3)))
    assert [module.training for module in model.modules()] == modes


def test_latents_are_the_activations_of_the_layer_in_evaluation():
    model = mlp()
    colors = named_colors().to_numpy()
    with torch.no_grad():
        encoded = model.encoder(torch.tensor(colors, dtype=torch.float32)).numpy()
    assert_allclose(latents_of(model, "encoder", colors), encoded, atol=1e-6)
    latents = latents_of(model, "bottleneck", colors)
    assert latents.shape == (17, 4)
    assert latents.dtype == np.float32
    assert_allclose(np.linalg.norm(latents, axis=1), 1, atol=1e-6)
    assert_allclose(latents, encoded / np.linalg.norm(encoded, axis=1, keepdims=True), atol=1e-6)
    assert not any(module._forward_hooks for module in model.modules())


def test_latents_of_a_layer_that_is_not_there_or_does_not_run_are_refused():
    model = mlp()
    with pytest.raises(UnknownLayerError, match="Did you mean 'bottleneck'"):
        latents_of(model, "botleneck", np.zeros((2, 3)))
    model.register_module("spare", nn.Linear(3, 4))
    with pytest.raises(CaptureError, match="layer 'spare' has not run"):
        latents_of(model, "spare", np.zeros((2, 3)))
    assert model.training


def test_summarise_gives_the_largest_and_the_median_error():
    assert summarise(xr.DataArray([[0.25, 0.5], [2.0, 0.0]])) == {"max_mse": 2.0, "median_mse": 0.375}
    assert summarise(xr.DataArray([3.0, 1.0, 2.0])) == {"max_mse": 3.0, "median_mse": 2.0}
    gray = evaluate({"gray": Constant(0.5, 0.5, 0.5)}, named_colors())["error"].sel(condition="gray")
    # Six corners of the cube at 0.25, six edges' middles at 0.5 / 3, black and white 0.25, three grays below.
    assert summarise(gray) == pytest.approx({"max_mse": 0.25, "median_mse": 0.5 / 3}, abs=1e-7)


def test_a_summary_of_errors_that_are_not_numbers_is_not_a_number():
    summary = summarise(xr.DataArray([0.1, float("nan"), 0.3]))
    assert np.isnan(summary["max_mse"])
    assert np.isnan(summary["median_mse"])


def test_a_single_sample_and_a_model_without_parameters_are_evaluated():
    one = xr.DataArray([0.2, 0.4, 0.6], dims="channel")
    data = evaluate({"half": Halve()}, one)
    assert data["error"].dims == ("condition",)
    assert float(data["error"][0]) == pytest.approx((0.01 + 0.04 + 0.09) / 3, abs=1e-7)


def test_no_condition_no_feature_and_outputs_of_another_width_are_refused():
    with pytest.raises(SettingError, match="at least one condition"):
        evaluate({}, named_colors())
    with pytest.raises(SettingError, match=r"no dim 'feature'; theirs are \('color', 'channel'\)"):
        evaluate({"baseline": mlp()}, named_colors(), feature="feature")
    for width in (1, 2):
        with pytest.raises(ShapeError, match=rf"condition 'narrow' gives back shape \[17, {width}\]"):
            evaluate({"baseline": mlp(), "narrow": nn.Linear(3, width)}, named_colors())


class Ulp(nn.Module):
    """The identity, but for a share too small for float32."""

    def forward(self, x: Tensor) -> Tensor:
        return x * (1 + 1e-10)


def test_disagreement_sees_in_float64_what_float32_rounds_away():
    colors = named_colors()
    assert disagreement(nn.Identity(), nn.Identity(), colors) == 0
    assert disagreement(nn.Identity(), Ulp(), colors) == pytest.approx(1e-10, rel=1e-4)
    outputs = evaluate({"baseline": nn.Identity(), "other": Ulp()}, colors)["output"]
    assert_array_equal(outputs.sel(condition="baseline"), outputs.sel(condition="other"))


def test_disagreement_leaves_the_models_as_they_were():
    first, second = mlp(), mlp(1)
    kept = {name: value.clone() for name, value in first.state_dict().items()}
    assert disagreement(first, second, hsv_grid(4, 3, 3)) > 0.01
    assert first.training
    for name, value in first.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(value, kept[name])


def test_disagreement_of_outputs_of_other_shapes_is_refused():
    with pytest.raises(ShapeError, match="different shapes"):
        disagreement(nn.Identity(), nn.Linear(3, 2), named_colors())


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_a_model_runs_in_its_own_dtype(dtype: torch.dtype):
    model = mlp()
    as_is = evaluate({"baseline": model}, named_colors())
    other = evaluate({"baseline": mlp().to(dtype)}, named_colors())
    double = dtype == torch.float64
    assert str(other["output"].dtype) == str(other["error"].dtype) == ("float64" if double else "float32")
    assert_allclose(other["output"], as_is["output"], atol=1e-6 if double else 0.02)
    assert latents_of(mlp().to(dtype), "bottleneck", named_colors().to_numpy()).shape == (17, 4)


class Pair(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, x


def test_outputs_that_are_no_tensor_are_refused():
    with pytest.raises(ShapeError, match="'baseline' gives back tuple"):
        evaluate({"baseline": Pair()}, named_colors())
