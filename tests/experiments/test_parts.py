"""The parts of a recipe build what they describe, and refuse what cannot be built."""

import json
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from excise import color
from excise.errors import UnknownNameError
from excise.experiments.parts import Data, Grids, HeldOut, Intervene, Model, Selection, Selectivity
from excise.interventions import BoundedFalloff, Suppression
from excise.training.validation import Validation


def test_what_is_held_out_is_a_coarse_cube_with_its_corners_labelled_exactly():
    built = HeldOut(every=50, labels={"red": "redness", "vibrant": "vibrancy"}).build()
    assert isinstance(built, Validation)
    assert built.every == 50
    colors = built.batch.inputs.double().numpy()
    assert colors.shape == (7**3 + 2**3, 3)
    assert len(np.unique(colors, axis=0)) == len(colors)
    assert colors[: 7**3].min() == pytest.approx(1 / 16)
    assert colors[: 7**3].max() == pytest.approx(15 / 16)
    assert torch.equal(built.batch.targets, built.batch.inputs)
    red, vibrant = (built.batch.labels[name].bool().numpy() for name in ("red", "vibrant"))
    np.testing.assert_array_equal(colors[red], [[1, 0, 0]])
    np.testing.assert_array_equal(vibrant, color.CONCEPTS["vibrancy"](colors) >= 1)
    assert 1 < vibrant.sum() < len(colors) / 2


def test_a_likeness_is_the_similarity_to_a_named_color_or_a_degree():
    cube = color.rgb_grid(3).to_numpy()
    to_red = Selectivity(condition="c", similar_to="red", power=2).likeness(cube)
    np.testing.assert_array_equal(to_red, color.rgb_similarity(cube, np.array([1.0, 0, 0])))
    assert to_red.shape == (3, 3, 3)
    degree = Selectivity(condition="c", concept="redness", power=2).likeness(cube)
    np.testing.assert_array_equal(degree, color.CONCEPTS["redness"](cube))


def test_data_is_an_hsv_grid_or_an_rgb_cube():
    labels = {"red": color.WeakLabel("redness", 2.0, 0.5)}
    hsv = Data(hues=6, saturations=3, values=2, batch_size=5, labels=labels).build()
    rgb = Data(space="rgb", edge=3, labels=labels).build()
    assert (len(hsv), hsv.batch_size, hsv.labels) == (36, 5, ("red",))
    assert (len(rgb), rgb.batch_size) == (27, 64)
    assert len(torch.unique(rgb.weights)) == 1 < len(torch.unique(hsv.weights))


def test_the_hues_of_the_loss_grid_go_around_or_from_one_to_another():
    around, between = (
        Grids(loss=(4, 2, 2)).loss_grid(),
        Grids(loss=(4, 2, 2), loss_hues=(0.1, 0.4)).loss_grid(),
    )
    np.testing.assert_allclose(around["h"], [0, 0.25, 0.5, 0.75], atol=1e-12)
    np.testing.assert_allclose(between["h"], [0.1, 0.2, 0.3, 0.4], atol=1e-12)


@pytest.mark.parametrize("kind", ["NormalizedMLP", "PlainMLP"])
def test_a_model_is_of_its_kind_and_its_weights_follow_from_the_generator(kind: Any):
    spec = Model(kind=kind, latent_dim=3, hidden=5)
    one, same, other = (spec.build(torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert type(one).__name__ == kind
    assert one(torch.rand(2, 3)).shape == (2, 3)
    x = torch.rand(4, 3)
    assert torch.equal(one(x), same(x))
    assert not torch.equal(one(x), other(x))


def test_an_intervention_survives_the_way_through_json():
    made = Intervene(
        condition="cut",
        layer="bottleneck",
        intervention=Suppression([1.0, 0, 0, 0], falloff=BoundedFalloff(0.2, 0.8)),
    )
    again = Intervene.model_validate(json.loads(made.model_dump_json()))
    assert again.model_dump() == made.model_dump()
    latents = torch.nn.functional.normalize(
        torch.randn(20, 4, generator=torch.Generator().manual_seed(0)), dim=-1
    )
    assert torch.equal(again.intervention(latents), made.intervention(latents))
    assert not torch.equal(again.intervention(latents), latents)


def misspelt(kind: str):
    return Intervene.model_validate({"condition": "c", "layer": "l", "intervention": {"kind": kind}})


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: HeldOut(labels={"red": "rednes"}), UnknownNameError, "'redness'"),
        (lambda: Selectivity(condition="c", power=1), ValidationError, "give one"),
        (lambda: Selectivity(condition="c", similar_to="red", concept="redness", power=1), ValidationError, "give one"),
        (lambda: Selectivity(condition="c", similar_to="rde", power=1), UnknownNameError, "'red'"),
        (lambda: Selectivity(condition="c", concept="rednes", power=1), UnknownNameError, "'redness'"),
        (lambda: Selectivity(condition="c", concept="redness", power=0), ValidationError, "greater than 0"),
        (lambda: Selection(low=("a.max_mse",), by="b.max_mse"), UnknownNameError, "'a.max_mse'"),
        (lambda: misspelt("Supression"), UnknownNameError, "'Suppression'"),
    ],
)  # fmt: skip
def test_what_cannot_be_built_is_refused_when_it_is_described(make: Any, error: type[Exception], says: str):
    with pytest.raises(error) as caught:
        make()
    assert says in str(caught.value)
