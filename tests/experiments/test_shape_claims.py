import json
from typing import Any

import pytest
from pydantic import ValidationError

from excise.errors import UnknownNameError
from excise.experiments.catalogue import draw_shapes
from excise.experiments.shape_claims import KinkClaim, Shape, ShapeClaim
from excise.experiments.shapes import ShapesRecipe
from excise.interventions import BoundedFalloff, Suppression

RECIPE = draw_shapes()


def spec(**changes: Any) -> dict[str, Any]:
    return json.loads(json.dumps({**RECIPE.spec(), **changes}))


FALLOFF = {"kind": "BoundedFalloff", "start": 0, "strength": 0.5, "power": 1}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"shapes": []}, "at least 1 item"),
        ({"shapes": [{"name": "a", "profile": FALLOFF}] * 2}, r"each shape has a name of its own; \['a'\] came twice"),
        ({"shapes": [{"name": "a", "profile": FALLOFF}]}, "is about a Mapper, and no shape is one"),
        ({"shapes": [{"name": "a", "profile": 3}]}, "is a table with a `kind`; 3 came"),
        ({"shapes": [{"name": "a", "profile": {**FALLOFF, "strength": 2}}]}, r"a strength in \[0, 1\]"),
        ({"shapes": [{"name": "a", "profile": {"kind": "AxisAlignedSuppression", "dims": [0]}}]}, "or a mapper;"),
        ({"claims": [{"kind": "shape", "claim": "c", "measure": "length"}]}, "'length gained'"),
        ({"claims": [{"kind": "kink", "claim": "c", "times": 2}]}, "less than 1"),
        ({"alignments": 3}, "greater than or equal to 101"),
    ],
)  # fmt: skip
def test_a_spec_that_makes_no_sense_is_refused(changes: dict[str, Any], says: str):
    with pytest.raises(ValidationError, match=says):
        ShapesRecipe.model_validate(spec(**changes))


def test_unknown_names_are_refused_with_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean 'angles'"):
        ShapesRecipe.model_validate(spec(angle=7))
    with pytest.raises(UnknownNameError, match="Did you mean 'LinearMapper'"):
        Shape.model_validate({"name": "a", "profile": {"kind": "LinearMaper", "start": 0, "end": 1}})


def test_a_claim_about_bezier_mappers_needs_a_linear_one_beside_them():
    with pytest.raises(ValidationError, match="is about a LinearMapper"):
        ShapesRecipe.model_validate(spec(
            shapes=[shape for shape in RECIPE.spec()["shapes"] if shape["profile"]["kind"] == "BezierMapper"],
            claims=[KinkClaim(claim="no kink", times=0.1).model_dump()],
        ))  # fmt: skip


def test_a_shape_is_the_intervention_along_the_first_axis():
    shape = Shape(name="half", profile=BoundedFalloff(0, 0.5))
    assert shape.intervention == Suppression([1, 0], BoundedFalloff(0, 0.5))
    claim = ShapeClaim(claim="c", measure="touched away")
    assert claim.threshold == 0
