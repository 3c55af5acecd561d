import pytest

from excise.errors import UnknownRecipeError
from excise.experiments.catalogue import RECIPES, find_recipe
from excise.experiments.recipe import REFERENCE_LEVEL, Agreement, ErrorClaim, Recipe

ALL = pytest.mark.parametrize("name", RECIPES)


@ALL
def test_a_recipe_goes_by_its_own_name_and_survives_json(name: str):
    recipe = find_recipe(name)
    assert recipe.name == name
    assert recipe.question.endswith("?")
    assert Recipe.model_validate(recipe.spec()) == recipe


@ALL
def test_a_recipe_is_whole_without_training(name: str):
    recipe = find_recipe(name)
    anchoring = recipe.anchoring()
    used = {label for term in anchoring.terms for label in term.affinities}
    assert used <= set(recipe.data.build().labels)
    assert set(recipe.views) == set(recipe.conditions)
    assert recipe.claims


@pytest.mark.parametrize(("asked", "nearest"), [("2.7", ("2.6",)), ("26", ("2.6",)), ("cube", ())])
def test_an_unknown_recipe_is_refused_with_the_nearest(asked: str, nearest: tuple[str, ...]):
    with pytest.raises(UnknownRecipeError) as caught:
        find_recipe(asked)
    assert caught.value.nearest == nearest
    assert "Known: '2.6'" in str(caught.value)


def test_recipe_2_6_is_the_published_experiment():
    """The numbers are those of the experiment's description: model, labels, terms, edits and views."""
    recipe = find_recipe("2.6")
    assert (recipe.model.kind, recipe.model.latent_dim, recipe.model.hidden, recipe.model.depth) == (
        "NormalizedMLP", 4, 16, 1
    )  # fmt: skip
    labels = {name: (label.concept, label.scale, label.power) for name, label in recipe.data.labels.items()}
    assert labels == {"red": ("redness", 0.5, 10), "vibrant": ("vibrancy", 0.5, 100)}
    terms = {term.name: (repr(term.regularizer), term.layer, term.affinities) for term in recipe.terms}
    assert {name: (layer, affinities) for name, (_, layer, affinities) in terms.items()} == {
        "reg-unit": ("encoder", {}),
        "reg-anchor": ("bottleneck", {"red": 1.0}),
        "reg-separate": ("bottleneck", {}),
        "reg-planar": ("bottleneck", {"vibrant": 1.0}),
    }
    spec = {term["name"]: term["regularizer"] for term in recipe.spec()["terms"]}
    assert spec["reg-separate"] == {"kind": "Separate", "power": 100, "shift": True}
    assert spec["reg-anchor"]["kind"] == "Anchor"
    assert list(spec["reg-anchor"]["point"]) == [1, 0, 0, 0]
    edits = [(edit.condition, edit.mode, edit.layer, edit.dims) for edit in recipe.edits]
    assert edits == [("ablated", "ablate", "bottleneck", (0,)), ("pruned", "prune", "bottleneck", (0,))]
    assert recipe.grids.loss == (240, 48, 48)
    assert recipe.grids.display == (24, 4, 8)
    assert recipe.grids.latent == 20
    assert recipe.views == {
        "baseline": ((1, 0, 2), (1, 2, 0), (1, 3, 0)),
        "ablated": ((1, 0, 2), (1, 2, 3), (1, 3, 2)),
        "pruned": ((0, 1, 2), (0, 2, 1)),
    }


def test_the_claims_of_2_6_cover_what_went_what_stayed_and_the_guess_that_is_wrong():
    claims = find_recipe("2.6").claims
    by_colors = {claim.colors: claim for claim in claims if isinstance(claim, ErrorClaim) and claim.colors}
    assert by_colors["red", "cyan"].holds == "at least"
    assert by_colors["white", "black", "gray", "lime", "purple"].holds == "at most"
    assert by_colors["pink",].holds == "at least"
    # The claims can be told apart: what counts as lost lies above what counts as kept, both below the reference.
    lost, kept = by_colors["red", "cyan"].times, by_colors["pink",].times
    assert 0 < kept < lost < 1
    assert by_colors["white", "black", "gray", "lime", "purple"].times == kept
    assert pytest.approx(1 / 3) == REFERENCE_LEVEL
    (agreement,) = (claim for claim in claims if isinstance(claim, Agreement))
    assert (set(agreement.conditions), agreement.tolerance) == ({"ablated", "pruned"}, 1e-6)
