import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from excise.anchoring import (
    Anchor,
    AngularAnchor,
    AntiAnchor,
    AxisAlignedSubspace,
    Planarity,
    Separate,
    Unitarity,
)
from excise.errors import ExciseError, UnknownConceptError, UnknownNameError
from excise.experiments.catalogue import delete_warmth
from excise.experiments.recipe import Agreement, Edit, ErrorClaim, Recipe, TermSpec


def changed(**changes: Any) -> dict[str, Any]:
    return {**delete_warmth().spec(), **changes}


def claim(**changes: Any) -> dict[str, Any]:
    made = ErrorClaim(claim="c", condition="ablated", colors=("red",), holds="at least", times=1)
    return made.model_dump() | changes


def agreement(*conditions: str) -> dict[str, Any]:
    return {"kind": "agreement", "claim": "c", "conditions": conditions, "tolerance": 1}


def edit(condition: str, mode: str) -> dict[str, Any]:
    return {"condition": condition, "mode": mode, "layer": "bottleneck", "dims": [0]}


def test_a_recipe_saved_as_json_is_read_back_equal():
    recipe = delete_warmth()
    again = Recipe.model_validate(json.loads(json.dumps(recipe.spec())))
    assert again.spec() == recipe.spec()
    assert again == recipe
    assert again != recipe.model_copy(update={"title": "another"})


@pytest.mark.parametrize(
    "regularizer",
    [
        Anchor([1, 0, 0, 0]),
        AngularAnchor([0, 1, 0, 0]),
        AntiAnchor([-1, 0, 0, 0]),
        AxisAlignedSubspace((2, 3)),
        AxisAlignedSubspace((0,), inverted=True),
        Planarity(),
        Separate(power=10, shift=False),
        Unitarity(),
    ],
    ids=lambda regularizer: type(regularizer).__name__,
)
def test_every_regularizer_survives_the_way_through_json(regularizer: Any):
    term = TermSpec(name="t", regularizer=regularizer, layer="encoder")
    again = TermSpec.model_validate(json.loads(term.model_dump_json()))
    assert type(again.regularizer) is type(regularizer)
    assert repr(again.regularizer) == repr(regularizer)
    assert again.model_dump() == term.model_dump()


def test_a_recipe_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        delete_warmth().name = "3"


@pytest.mark.parametrize(
    ("change", "nearest"),
    [
        ({"dopesheets": ""}, "'dopesheet'"),
        ({"claims": [claim(colors=["rde"])]}, "'red'"),
        ({"claims": [claim(colors=["red", "hot pink"])]}, "'pink'"),
        ({"claims": [claim(condition="ablate")]}, "'ablated'"),
        ({"claims": [claim(colours=["red"])]}, "'colors'"),
        (
            {
                "claims": [
                    {"kind": "agreement", "claim": "c", "conditions": ["prune", "ablated"], "tolerance": 1}
                ]
            },
            "'pruned'",
        ),
        ({"views": {"base": [[0, 1, 2]]}}, "'baseline'"),
        ({"model": {"latent": 4}}, "'latent_dim'"),
        ({"terms": [{"name": "t", "layer": "encoder", "regularizer": {"kind": "Ancor"}}]}, "'Anchor'"),
        ({"data": {"labels": {"red": {"concept": "rednes", "power": 1, "scale": 1}}}}, "'redness'"),
    ],
    ids=[
        "key",
        "color",
        "pink",
        "condition",
        "claim-key",
        "agreement",
        "view",
        "model-key",
        "regularizer",
        "concept",
    ],
)
def test_a_name_that_matches_nothing_is_refused_when_the_recipe_is_built_with_the_nearest(
    change: dict[str, Any], nearest: str
):
    with pytest.raises(UnknownNameError, match="Did you mean") as caught:
        Recipe.model_validate(changed(**change))
    assert nearest in str(caught.value).partition("Did you mean")[2].partition("?")[0]
    assert isinstance(caught.value, ExciseError)
    if nearest == "'redness'":
        assert isinstance(caught.value, UnknownConceptError)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            {"edits": [{"condition": "ablated", "mode": "ablate", "layer": "bottleneck", "dims": [0]}] * 2},
            "ablated",
        ),
        (
            {"edits": [edit("baseline", "prune")]},
            "the unedited model is 'baseline'",
        ),
        (
            {"claims": [agreement("ablated", "ablated")]},
            "with itself",
        ),
        (
            {"edits": [edit("cut", "remove")]},
            "'ablate', 'prune', 'intervene'",
        ),
        ({"data": {"labels": {"red": {"concept": "redness", "power": -1, "scale": 1}}}}, "power above 0"),
        (
            {"terms": [{"name": "t", "layer": "encoder", "regularizer": {"kind": "Separate", "power": -1}}]},
            "power",
        ),
        (
            {"terms": [{"name": "t", "layer": "encoder", "regularizer": {"kind": "Anchor", "pont": [1]}}]},
            "pont",
        ),
        ({"terms": [{"name": "t", "layer": "encoder", "regularizer": "Anchor"}]}, "a table with a `kind`"),
        ({"title": 3}, "title"),
    ],
    ids=["twice", "baseline", "itself", "mode", "label", "power", "setting", "no-kind", "type"],
)
def test_what_does_not_fit_is_refused_when_the_recipe_is_built(change: dict[str, Any], says: str):
    if "edits" in change:
        change = {"claims": [], "views": {}, **change}
    with pytest.raises(ValueError, match="validation error") as caught:
        Recipe.model_validate(changed(**change))
    assert says in str(caught.value)


def test_the_conditions_are_the_baseline_and_each_edit(tiny: Callable[..., Recipe]):
    assert delete_warmth().conditions == ("baseline", "ablated", "pruned")
    edit = Edit(condition="cut", mode="prune", layer="bottleneck", dims=(1, 2))
    assert tiny(edits=(edit,)).conditions == ("baseline", "cut")


def test_the_parts_are_built_as_described():
    recipe = delete_warmth()
    model = recipe.model.build(torch.Generator().manual_seed(0))
    assert sum(parameter.numel() for parameter in model.parameters()) == 263
    anchoring = recipe.anchoring()
    assert [term.name for term in anchoring.terms] == ["reg-unit", "reg-anchor", "reg-separate", "reg-planar"]
    assert anchoring.notes == ()
    stream = recipe.data.build()
    assert (len(stream), stream.labels, stream.batch_size) == (3600, ("red", "vibrant"), 64)
    assert isinstance(recipe.claims[-1], Agreement)
