"""The catalogue against the published description of each experiment, written down here a second time."""

import json
import math
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from excise.errors import UnknownRecipeError, UnusedColumnWarning
from excise.experiments.catalogue import RECIPES, TRAININGS, find_recipe
from excise.experiments.pictures import pictures_of_run
from excise.experiments.pipeline import run_recipe
from excise.experiments.recipe import Agreement, Edit, ErrorClaim, Grids, Recipe
from excise.record import open_run

ALL = pytest.mark.parametrize("name", TRAININGS)

PLAIN, NARROW, WIDE = ("PlainMLP", 4, 16, 1), ("NormalizedMLP", 4, 16, 1), ("NormalizedMLP", 5, 16, 2)
# Normalising learns nothing, so that the plain model has the numbers of the narrow one.
PARAMETERS = {PLAIN: 263, NARROW: 263, WIDE: 840}

RED, VIBRANT = {"red": ("redness", 10, 0.5, False)}, {"vibrant": ("vibrancy", 100, 0.5, False)}
PALE, SCARCE_RED = {"desaturated": ("vibrancy", 10, 0.5, True)}, {"red": ("redness", 8, 0.08, False)}

UNIT = {"reg-unit": "Unitarity encoder"}
EARLY = UNIT | {
    "reg-anchor": "Anchor [1, 0, 0, 0] encoder red",
    "reg-separate": "Separate 100 True encoder",
    "reg-planar": "Planarity encoder vibrant",
}
ODD = {"reg-separate": "Separate 10 False encoder", "reg-unit-v": "Unitarity encoder vibrant"}
LATE = UNIT | {name: EARLY[name].replace("encoder", "bottleneck") for name in EARLY.keys() - UNIT.keys()}
ALONE = {name: term for name, term in LATE.items() if name != "reg-planar"}
TURNED = {"separate": "Separate 100 True bottleneck", "anchor": "AngularAnchor [1, 0, 0, 0] bottleneck red"}
AWAY = {"anti-anchor": "AntiAnchor [-1, 0, 0, 0] False bottleneck"}
PLANE = {"subspace": "AxisAlignedSubspace [0, 1] False bottleneck vibrant"}
OUT = {"anti-subspace": "AxisAlignedSubspace [0] True bottleneck"}
TURNED_LONG = {f"reg-{name}": term for name, term in (TURNED | AWAY).items()}
NO_HUE = {"reg-planar-d": "AxisAlignedSubspace [2, 3, 4] False bottleneck desaturated"}


def wide(terms: dict[str, str], prefix: str = "") -> dict[str, str]:
    return {prefix + name: term.replace("0, 0, 0]", "0, 0, 0, 0]") for name, term in terms.items()}


def suppressed(power: float, width: int = 4) -> dict[str, Any]:
    falloff = {"kind": "BoundedFalloff", "start": 0, "strength": 1, "power": power}
    return {"suppressed": {"kind": "Suppression", "basis": [[1, *[0] * (width - 1)]], "falloff": falloff}}


def repelled(**mapper: Any) -> dict[str, Any]:
    return {"repelled": {"kind": "Repulsion", "direction": [1, 0, 0, 0], "mapper": mapper, "seed": 0}}


SOFT = suppressed(2) | repelled(kind="BezierMapper", start=0, end=0.5, end_slope=0)
LINEAR = repelled(kind="LinearMapper", start=0, end=math.cos(math.radians(89)))
CUT, PRUNED = {"ablated": [0]}, {"pruned": [0]}
CUT_PLANE, PRUNED_PLANE = {"ablated": [0, 1]}, {"pruned": [0, 1]}
ZEROED = {"suppressed": {"kind": "AxisAlignedSuppression", "dims": [0, 1]}}
HUES_10, HUES_8 = {"vibrant": ("vibrancy", 10, 0.01, False)}, {"vibrant": ("vibrancy", 8, 0.008, False)}
RED_PLANE, ONLY_PLANE = TURNED | PLANE, {"separate": TURNED["separate"]} | PLANE

# Model, colours, steps, labels, terms, edits.
PUBLISHED: dict[str, tuple[Any, int, int, dict[str, Any], dict[str, str], dict[str, Any]]] = {
    "2.2": (PLAIN, 3600, 20_001, RED | VIBRANT, EARLY | ODD, SOFT),
    "2.3": (NARROW, 3600, 3001, RED | VIBRANT, EARLY, SOFT),
    "2.3-sigmoid": (NARROW, 3600, 3001, RED | VIBRANT, EARLY, SOFT),
    "2.4": (NARROW, 3600, 3001, RED | VIBRANT, LATE, SOFT),
    "2.5": (NARROW, 3600, 3001, RED, ALONE, SOFT),
    "2.6": (NARROW, 3600, 3001, RED | VIBRANT, LATE, CUT | PRUNED),
    "2.7": (NARROW, 3600, 3001, RED | VIBRANT, LATE, CUT_PLANE),
    "2.8": (NARROW, 3600, 3001, RED, UNIT | TURNED_LONG, CUT),
    "2.9": (WIDE, 3600, 3001, RED | PALE, UNIT | NO_HUE | wide(TURNED_LONG), CUT),
    "2.10": (WIDE, 1000, 1501, SCARCE_RED, wide(TURNED | OUT, "reg-"), CUT),
    "2.4.1": (NARROW, 512, 1501, SCARCE_RED | HUES_10, RED_PLANE, suppressed(0) | LINEAR | CUT),
    "2.5.1": (NARROW, 512, 1501, SCARCE_RED, TURNED, suppressed(0) | CUT),
    "2.7.1": (NARROW, 512, 1501, HUES_8, ONLY_PLANE, ZEROED | CUT_PLANE | PRUNED_PLANE),
    "2.9.1": (WIDE, 512, 1501, SCARCE_RED, wide(TURNED | AWAY | OUT), CUT | PRUNED | suppressed(0, 5)),
    "2.10.1": (WIDE, 512, 1501, SCARCE_RED, wide(TURNED | OUT), CUT | PRUNED | suppressed(0, 5)),
}

# Columns that drove nothing in the originals either, and the term that ran without one.
UNUSED = {"2.2": ["reg-polar"], "2.9": ["reg-planar-v"]}
UNSCHEDULED = {"2.2": ["reg-planar"]}
# The validation losses, beside the reconstruction's, that a sweep is chosen by.
PULLS = {"2.4.1": "anchor", "2.5.1": "anchor", "2.7.1": "subspace", "2.10.1": "anchor"}
PULLS["2.9.1"] = "anchor anti-anchor"


def term_in_words(term: dict[str, Any]) -> str:
    assert set(term["affinities"].values()) <= {1.0}
    settings = " ".join(map(str, term["regularizer"].values()))
    return " ".join([settings.replace(".0", ""), term["layer"], *term["affinities"]])


@ALL
def test_a_recipe_goes_by_its_own_name_and_survives_json(name: str):
    recipe = TRAININGS[name]()
    assert (recipe.name, recipe.question[-1]) == (name, "?")
    again = Recipe.model_validate(json.loads(json.dumps(recipe.spec())))
    assert again == recipe
    assert again.spec() == recipe.spec()


@ALL
def test_it_is_the_published_experiment(name: str):
    recipe = TRAININGS[name]()
    model, colors, steps, labels, terms, edits = PUBLISHED[name]
    assert (recipe.model.kind, recipe.model.latent_dim, recipe.model.hidden, recipe.model.depth) == model
    assert recipe.model.sigmoid == (name == "2.3-sigmoid")
    built = recipe.model.build(torch.Generator())
    assert sum(weights.numel() for weights in built.parameters()) == PARAMETERS[model]
    layers = {layer for layer, _ in built.named_modules()}
    assert {term.layer for term in recipe.terms} <= layers
    assert {edit.layer for edit in recipe.edits} == {recipe.latent_layer} <= layers
    assert recipe.latent_layer == ("encoder" if name == "2.2" else "bottleneck")
    assert (len(recipe.data.build()), recipe.data.batch_size) == (colors, 64)
    assert recipe.schedule().timeline().num_steps == steps
    weak = recipe.data.labels.items()
    assert {name: (label.concept, label.power, label.scale, label.lack) for name, label in weak} == labels
    assert {label for term in recipe.terms for label in term.affinities} == set(labels)
    spec = json.loads(json.dumps(recipe.spec()))
    assert {term["name"]: term_in_words(term) for term in spec["terms"]} == terms
    assert {edit["condition"]: edit.get("dims", edit.get("intervention")) for edit in spec["edits"]} == edits
    modes = {edit.condition: edit.mode for edit in recipe.edits if isinstance(edit, Edit)}
    assert modes.items() <= {"ablated": "ablate", "pruned": "prune"}.items()
    if name.count(".") == 1:
        assert recipe.grids == Grids(loss=(240, 48, 48), loss_hues=None, display=(24, 4, 8), latent=20)


@ALL
def test_the_method_states_the_numbers_that_the_recipe_has(name: str):
    recipe = TRAININGS[name]()
    model, colors, steps, *_ = PUBLISHED[name]
    probabilities = recipe.data.build().label_probabilities.values()
    for pattern, true in {
        r"of ([\d,]+) parameters": {PARAMETERS[model]},
        r"the ([\d,]+) colours": {colors},
        r"in ([\d,]+) steps": {steps},
        r"in ([\d,]+) visits": {steps * 64},
        r"about ([\d,]+)": {round(steps * 64 * float(of_each.mean())) for of_each in probabilities},
    }.items():
        assert {int(said.replace(",", "")) for said in re.findall(pattern, recipe.method)} <= true
    assert f"{PARAMETERS[model]} parameters" in recipe.method


@ALL
def test_each_column_drives_a_term_but_for_those_that_never_did(name: str):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        anchoring = TRAININGS[name]().anchoring()
    assert all(issubclass(warning.category, UnusedColumnWarning) for warning in caught)
    columns = [re.findall("column '(.+)' drives nothing", str(warning.message)) for warning in caught]
    assert columns == [[column] for column in UNUSED.get(name, [])]
    notes = [re.findall("term '(.+)' has no column", note) for note in anchoring.notes]
    assert notes == [[term] for term in UNSCHEDULED.get(name, [])]


@ALL
def test_its_claims_differ_and_each_can_fail(name: str):
    recipe = TRAININGS[name]()
    assert 3 <= len(recipe.claims) <= 6
    assert len({claim.claim for claim in recipe.claims}) == len(recipe.claims)
    judged = {claim.condition for claim in recipe.claims if not isinstance(claim, Agreement)}
    assert {"baseline", recipe.edits[0].condition} <= judged <= set(recipe.conditions)
    errors = [claim for claim in recipe.claims if isinstance(claim, ErrorClaim)]
    assert all(0 < claim.times < 1 for claim in errors)
    kept = {color for claim in errors if claim.holds == "at most" for color in claim.colors}
    lost = {color for claim in errors if claim.holds == "at least" for color in claim.colors}
    assert (bool(kept), bool(lost), kept & lost) == (True, True, set())


def test_the_recipes_stand_in_the_order_of_the_series():
    assert list(RECIPES) == ["2.1", *PUBLISHED]


def test_the_failed_idea_of_2_8_is_asked_what_2_9_and_2_10_are_asked():
    recipes = [TRAININGS[name]() for name in ("2.8", "2.9", "2.10")]
    asked = [[claim.model_dump(exclude={"claim"}) for claim in recipe.claims] for recipe in recipes]
    assert asked[0] == asked[1] == asked[2]


@pytest.mark.parametrize("name", PULLS)
def test_a_sweep_measures_and_selects_as_published(name: str):
    recipe = TRAININGS[name]()
    assert {asked.condition for asked in recipe.selectivity} == set(recipe.conditions) - {
        "baseline",
        "pruned",
    }
    for asked in recipe.selectivity:
        like = (
            (None, "vibrancy", 2.3) if name == "2.7.1" else ("red", None, 2 + (asked.condition == "ablated"))
        )
        assert (asked.similar_to, asked.concept, asked.power, asked.edge) == (*like, 8)
    selection, validation = recipe.selection, recipe.validation
    assert selection is not None
    assert list(selection.low) == [f"validation.{term}" for term in ("objective", *PULLS[name].split())]
    by = "suppressed" if name in ("2.4.1", "2.5.1") else "ablated"
    assert selection.high == (selection.by,) == (f"{by}.selectivity",)
    assert recipe.grids == Grids(loss=(150, 24, 24), loss_hues=(-1 / 12, 13 / 12), display=(12, 4, 5))
    assert validation is not None
    assert validation.labels == {label: concept for label, (concept, *_) in PUBLISHED[name][3].items()}
    assert (len(validation.build().batch.inputs), validation.every) == (351, 150)


@ALL
def test_it_runs_from_end_to_end_with_all_its_edits(name: str, tmp_path: Path):
    whole = TRAININGS[name]()
    columns = [term.name for term in whole.terms if term.name not in UNSCHEDULED.get(name, [])]
    weights = ",0.01" * (len(columns) + 1)
    small: dict[str, Any] = {
        "dopesheet": f"STEP,lr,{','.join(columns)}\n0{weights}\n1{weights}\n",
        "data": whole.data.model_copy(update={"hues": 6, "saturations": 3, "values": 3, "edge": 3}),
        "grids": Grids(loss=(6, 3, 3), display=(6, 4, 2), lines=(7, 3, 3), latent=3),
        "validation": whole.validation and whole.validation.model_copy(update={"every": 1}),
    }
    recipe = whole.model_copy(update=small)
    results = run_recipe(recipe, 0, tmp_path / "run")
    assert list(results["conditions"]) == list(recipe.conditions)
    assert all(np.isfinite(measured["max_mse"]) for measured in results["conditions"].values())
    assert [row["claim"] for row in results["claims"]] == [claim.claim for claim in recipe.claims]
    # A view that names a coordinate which the edited latent lacks is refused here.
    pictures = {picture.name for picture in pictures_of_run(recipe, open_run(tmp_path / "run"))}
    assert {f"latents-{condition}" for condition in recipe.conditions} <= pictures


@pytest.mark.parametrize(
    ("asked", "near"), [("2.3-sigmoit", ("2.3-sigmoid",)), ("26", ("2.6",)), ("cube", ())]
)
def test_an_unknown_recipe_is_refused_with_the_nearest(asked: str, near: tuple[str, ...]):
    with pytest.raises(UnknownRecipeError) as caught:
        find_recipe(asked)
    assert caught.value.nearest == near
    assert all(f"'{name}'" in str(caught.value) for name in RECIPES)


def test_the_claims_of_2_6_cover_what_went_what_stayed_and_the_guess_that_is_wrong():
    claims = TRAININGS["2.6"]().claims
    gone, stays, guess = (claim for claim in claims if isinstance(claim, ErrorClaim) and claim.colors)
    assert (gone.colors, guess.colors) == (("red", "cyan"), ("pink",))
    assert stays.colors == ("white", "black", "gray", "lime", "purple")
    assert (gone.holds, stays.holds, guess.holds) == ("at least", "at most", "at least")
    assert 0 < stays.times == guess.times < gone.times < 1
    (agreement,) = (claim for claim in claims if isinstance(claim, Agreement))
    assert (set(agreement.conditions), agreement.tolerance) == ({"ablated", "pruned"}, 1e-6)
