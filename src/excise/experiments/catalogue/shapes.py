"""Experiment 2.1: the shapes of the interventions, before any model meets them."""

import math

from excise.experiments.shape_claims import KinkClaim, Shape, ShapeClaim
from excise.experiments.shapes import ShapesRecipe
from excise.interventions import BezierMapper, BoundedFalloff, LinearMapper

__all__ = ["draw_shapes"]

COS_60, COS_30 = 0.5, math.sqrt(3) / 2

ROUNDING = 1e-12
"""Numbers near 1 that went through some ten operations in float64 agree to this; one operation rounds by 1e-16."""

DIFFERENCE = 1e-3
"""A slope that is taken as a difference between alignments a thousandth apart is right to this."""


def draw_shapes() -> ShapesRecipe:
    """Experiment 2.1: what suppression and repulsion do to unit latents, by angle."""
    return ShapesRecipe(
        name="2.1",
        title="The shapes of suppression and repulsion",
        question=(
            "What does each intervention do to a latent, by its angle to the concept's direction: what does it take, "
            "where does it turn it, and does it leave alone all that it should?"
        ),
        method=(
            "Nothing is trained. Unit latents all around a plane are edited by the interventions that other "
            "experiments put into a running model. A suppression takes away a share of the component along the "
            "concept's direction; a falloff says which share, by alignment, the cosine of the angle to that direction. "
            "A repulsion turns a latent away from the direction and keeps its length; a mapper says which alignment it "
            "is given instead of its own. A suppression is named after the share that it takes at angle 0, and the "
            "angle at which it sets in; a repulsion after the angle at which it sets in, and the one to which it turns "
            "a latent that is at angle 0."
        ),
        shapes=(
            Shape(name="half from 90°", profile=BoundedFalloff(0, 0.5)),
            Shape(name="half from 90° (squared)", profile=BoundedFalloff(0, 0.5, 2)),
            Shape(name="whole from 60°", profile=BoundedFalloff(COS_60, 1)),
            Shape(name="whole from 60° (squared)", profile=BoundedFalloff(COS_60, 1, 2)),
            Shape(name="linear 90°→60°", profile=LinearMapper(0, COS_60)),
            Shape(name="Bezier 90°→60°", profile=BezierMapper(0, COS_60, 0.2)),
            Shape(name="linear 60°→30°", profile=LinearMapper(COS_60, COS_30)),
            Shape(name="Bezier 60°→30°", profile=BezierMapper(COS_60, COS_30, 0.2)),
        ),
        claims=(
            ShapeClaim(claim="what points away is untouched, to the bit", measure="touched away"),
            ShapeClaim(claim="up to where a shape sets in, nothing changes", measure="touched below start"),
            ShapeClaim(
                claim="a suppression never makes a latent longer", measure="length gained", threshold=ROUNDING
            ),
            ShapeClaim(
                claim="a suppression's strength rises with alignment and never falls",
                measure="strength lost on the way",
                threshold=ROUNDING,
            ),
            ShapeClaim(
                claim="at full alignment a suppression has the stated strength",
                measure="strength missed at the end",
                threshold=ROUNDING,
            ),
            ShapeClaim(
                claim="at a strength of 0 a suppression is the identity, to the bit",
                measure="touched at no strength",
            ),
            ShapeClaim(
                claim="a repulsion keeps every latent's length", measure="length changed", threshold=ROUNDING
            ),
            ShapeClaim(
                claim="a repulsion leaves no latent closer to the direction than the stated end",
                measure="alignment above end",
                threshold=ROUNDING,
            ),
            KinkClaim(claim="a Bezier mapper sets in without a kink, where a linear one has one", times=0.1),
            ShapeClaim(
                claim="a Bezier mapper arrives with the stated slope",
                measure="end slope missed",
                threshold=DIFFERENCE,
            ),
        ),
    )
