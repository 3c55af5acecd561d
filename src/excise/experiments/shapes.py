"""Experiments on the shapes of interventions: unit latents in a plane are edited and looked at; nothing is trained.

The recipe is frozen and saved with its run, like any other, and its claims are judged on the very arrays that the
figures are drawn from. Nothing is drawn at random, so that there is one run and no seeds to repeat it with.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
import xarray as xr
from pydantic import Field, model_validator

from excise.errors import ExciseError, RunError
from excise.experiments.frozen import Frozen
from excise.experiments.shape_claims import KinkClaim, Shape, ShapeClaim
from excise.experiments.shape_verdict import judge_shapes, judged_kinds
from excise.interventions import Falloff, Mapper
from excise.record import Record, Run
from excise.record.environment import describe_environment

__all__ = ["ShapesRecipe", "draw", "run_shapes", "shapes_of"]

SHOWN = (0, 15, 30, 45, 60, 75, 90)
"""At which angles to the concept's direction, in degrees, the numbers of a shape are tabulated."""


class ShapesRecipe(Frozen):
    """An experiment that draws the shapes of interventions.

    `angles` unit latents go evenly around a ring; strengths and new alignments are taken at `alignments` places,
    evenly from -1 to 1.
    """

    kind: Literal["shapes"] = "shapes"
    name: str
    title: str
    question: str
    method: str
    shapes: tuple[Shape, ...] = Field(min_length=1)
    claims: tuple[Annotated[ShapeClaim | KinkClaim, Field(discriminator="kind")], ...]
    angles: int = Field(default=720, ge=8)
    alignments: int = Field(default=2001, ge=101)

    @model_validator(mode="after")
    def _claims_have_shapes(self) -> "ShapesRecipe":
        names = [shape.name for shape in self.shapes]
        if len(set(names)) != len(names):
            twice = sorted({name for name in names if names.count(name) > 1})
            raise ValueError(f"each shape has a name of its own; {twice} came twice")
        for claim in self.claims:
            for kinds in judged_kinds(claim):
                if not any(isinstance(shape.profile, kinds) for shape in self.shapes):
                    wanted = " or ".join(kind.__name__ for kind in kinds)
                    raise ValueError(f"the claim {claim.claim!r} is about a {wanted}, and no shape is one")
        return self

    def spec(self) -> Mapping[str, Any]:
        """The whole recipe as JSON-ready data."""
        return self.model_dump(mode="json")


def run_shapes(
    recipe: ShapesRecipe, path: Path, *, then: Callable[[Path], object] | None = None
) -> dict[str, Any]:
    """Draw every shape and judge the claims, into the run directory `path`.

    Args:
        recipe: what to draw.
        path: the run directory, made here.
        then: what else belongs to the run, such as its report; called with `path` when the results are written.

    Returns:
        The content of `results.json`: no conditions, the claims, and of each shape some numbers by angle.

    Raises:
        RunError: the run directory cannot be written; its status then says failed.
    """
    with Record(path, recipe.spec(), {**describe_environment(), "seed": 0}) as record:
        arrays = draw(recipe)
        results = {
            "recipe": recipe.name,
            "seed": 0,
            "conditions": {},
            "claims": judge_shapes(recipe.claims, recipe.shapes, arrays),
            "shapes": {shape.name: _numbers(shape) for shape in recipe.shapes},
        }
        record.save_results(results, arrays)
        if then is not None:
            then(path)
    return results


def shapes_of(run: Run) -> ShapesRecipe | None:
    """The recipe that a run was of; None where it is one that trains a model.

    Raises:
        RunError: its spec is no recipe of this version.
    """
    if run.spec.get("kind") != ShapesRecipe.model_fields["kind"].default:
        return None
    try:
        return ShapesRecipe.model_validate(run.spec)
    except (ValueError, ExciseError) as error:
        raise RunError(f"{run.path / 'spec.json'} is no recipe of this version of excise: {error}") from error


def draw(recipe: ShapesRecipe) -> xr.Dataset:
    """What each intervention makes of unit latents, in float64.

    Returns:
        `before` (angle, axis), a ring of latents by the angle to the concept's direction in radians, from -pi on;
        `after` (shape, angle, axis), where each shape moves them; and against `alignment`, `strength`
        (suppression, alignment), the share of the component that is taken away, in [0, 1], and `new_alignment`
        (repulsion, alignment). The axes are along the direction and across it.
    """
    angle = np.linspace(-np.pi, np.pi, recipe.angles, endpoint=False)
    before = np.column_stack([np.cos(angle), np.sin(angle)])
    alignment = np.linspace(-1, 1, recipe.alignments)
    suppressions, repulsions = (
        [shape for shape in recipe.shapes if isinstance(shape.profile, kind)] for kind in (Falloff, Mapper)
    )
    return xr.Dataset(
        {
            "before": (("angle", "axis"), before),
            "after": (
                ("shape", "angle", "axis"),
                np.stack([_edited(shape, before) for shape in recipe.shapes]),
            ),
            "strength": (("suppression", "alignment"), _curves(suppressions, alignment)),
            "new_alignment": (("repulsion", "alignment"), _curves(repulsions, alignment)),
        },
        coords={
            "shape": [shape.name for shape in recipe.shapes],
            "suppression": [shape.name for shape in suppressions],
            "repulsion": [shape.name for shape in repulsions],
            "angle": ("angle", angle, {"units": "rad"}),
            "axis": ["along", "across"],
            "alignment": alignment,
        },
    )


def _numbers(shape: Shape) -> dict[str, Any]:
    """What a shape does at some angles; rounding must not put a latent beyond the bound that it is at."""
    alignment = np.cos(np.deg2rad(SHOWN)).round(15)
    suppresses = isinstance(shape.profile, Falloff)
    return {
        "measures": "strength" if suppresses else "new alignment",
        "by_degrees": dict(zip(map(str, SHOWN), _curve(shape, alignment).tolist(), strict=True)),
    }


def _curves(shapes: list[Shape], alignment: np.ndarray) -> np.ndarray:
    return np.array([_curve(shape, alignment) for shape in shapes]).reshape(len(shapes), len(alignment))


def _curve(shape: Shape, alignment: np.ndarray) -> np.ndarray:
    """The strength of a suppression, or the new alignment of a repulsion, measured on unit latents `[n]`."""
    before = np.column_stack([alignment, np.sqrt(1 - alignment**2)])
    after = _edited(shape, before)
    if isinstance(shape.profile, Mapper):
        return after[:, 0] / np.linalg.norm(after, axis=-1)
    # What has no component has none to lose.
    return 1 - np.divide(after[:, 0], alignment, out=np.ones_like(alignment), where=alignment != 0)


def _edited(shape: Shape, latents: np.ndarray) -> np.ndarray:
    return shape.intervention(torch.tensor(latents)).numpy()
