"""The numbers of a run, of models whose errors are known."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from excise import color
from excise.experiments.conditions import conditions_of
from excise.experiments.measure import measure, picture_arrays
from excise.experiments.recipe import Intervene, Recipe, Selectivity
from excise.interventions import Suppression
from excise.interventions.intervened import Intervened
from tiny_recipe import make_tiny

CUT = Intervene(condition="cut", layer="bottleneck", intervention=Suppression([-1.0, 0, 0, 0]))
RECIPE = make_tiny(
    edits=(CUT,), claims=(), selectivity=(Selectivity(condition="cut", similar_to="red", power=3.0, edge=4),)
)


class Reddened(nn.Module):
    """Draws each colour darker by a number that follows its likeness to red."""

    def forward(self, x: Tensor):
        likeness = torch.from_numpy(color.rgb_similarity(x.double().numpy(), np.array([1.0, 0, 0])))
        return (x.double() - (0.04 + 0.25 * likeness[:, None] ** 3).sqrt()).to(x.dtype)


def measured(recipe: Recipe, **conditions: Any):
    return measure(recipe, 7, conditions, {"objective": 0.5})


def test_a_selectivity_is_the_squared_correlation_of_error_and_likeness():
    found = measured(RECIPE, baseline=nn.Identity(), cut=Reddened())
    # The error is 0.04 + 0.25 likeness^3, which the third power of the likeness explains wholly.
    assert found["conditions"]["cut"]["selectivity"] == pytest.approx(1, abs=1e-6)
    assert "selectivity" not in found["conditions"]["baseline"]
    other = RECIPE.model_copy(
        update={"selectivity": (Selectivity(condition="cut", similar_to="red", power=1.0, edge=4),)}
    )
    less = measured(other, baseline=nn.Identity(), cut=Reddened())["conditions"]["cut"]["selectivity"]
    cube = color.rgb_grid(4).to_numpy().reshape(-1, 3)
    likeness = color.rgb_similarity(cube, np.array([1.0, 0, 0]))
    assert less == pytest.approx(np.corrcoef(likeness, likeness**3)[0, 1] ** 2, abs=1e-6)
    assert less < 0.99


def test_errors_are_taken_over_the_loss_grid_and_of_each_named_color():
    found = measured(RECIPE, baseline=nn.Identity(), cut=Reddened())
    assert (found["recipe"], found["seed"], found["validation"]) == ("2.6", 7, {"objective": 0.5})
    cut, baseline = found["conditions"]["cut"], found["conditions"]["baseline"]
    assert (baseline["max_mse"], baseline["median_mse"]) == (0, 0)
    assert set(baseline["named_colors"].values()) == {0}
    assert cut["max_mse"] == pytest.approx(0.29, rel=1e-5)
    assert cut["named_colors"]["red"] == pytest.approx(0.29, rel=1e-5)
    assert cut["median_mse"] < 0.1
    assert "validation" not in measure(RECIPE, 0, {"baseline": nn.Identity(), "cut": nn.Identity()})


def test_the_arrays_hold_the_latents_as_the_decoder_is_given_them_and_the_likeness_beside_the_error():
    model = RECIPE.model.build(torch.Generator().manual_seed(0))
    conditions = conditions_of(RECIPE, model)
    assert isinstance(conditions["cut"], Intervened)
    arrays = picture_arrays(RECIPE, conditions)
    whole, cut = arrays["latents_baseline"].to_numpy(), arrays["latents_cut"].to_numpy()
    expected = CUT.intervention(torch.from_numpy(whole)).numpy()
    np.testing.assert_allclose(cut, expected, atol=1e-6)
    assert np.abs(whole - cut).max() > 0.1
    colors = arrays["scatter_input"].to_numpy()
    np.testing.assert_allclose(
        arrays["scatter_likeness_cut"], color.rgb_similarity(colors, np.array([1.0, 0, 0])), atol=1e-6
    )
    with torch.no_grad():
        drawn = conditions["cut"](torch.from_numpy(colors)).clamp(0, 1).numpy()
    np.testing.assert_allclose(arrays["scatter_error_cut"], ((drawn - colors) ** 2).mean(axis=1), atol=1e-6)
    assert "scatter_error_baseline" not in arrays
