"""Experiments 2.6 to 2.8: cut an axis or a plane out of the weights, and see what goes with it."""

from excise.anchoring import Anchor, Planarity, Separate, Unitarity
from excise.color import WeakLabel
from excise.experiments.catalogue.common import KEPT, LOST, SAME, dopesheet
from excise.experiments.recipe import Agreement, Data, Edit, ErrorClaim, Model, Recipe, TermSpec

__all__ = ["delete_warmth"]


def delete_warmth() -> Recipe:
    """Experiment 2.6: delete the axis on which red was anchored, and with it warm and cool."""
    return Recipe(
        name="2.6",
        title="Delete the warm/cool axis",
        question=(
            "If red is anchored on one axis of the latent while a colour autoencoder trains, does deleting that "
            "axis from the trained weights delete red, and its opposite, and nothing else?"
        ),
        method=(
            "An autoencoder of 263 parameters learns colours through a latent on the unit sphere of four "
            "dimensions. While it trains, a few noisy labels pull red to the first axis and vibrant colours into "
            "the plane of the first two; all latents repel each other. The pulls are switched off before training "
            "ends. Then the first axis is cut out of the weights, once by zeroing what writes and what reads it "
            "(ablated), once by removing it (pruned). Nothing is trained after the cut."
        ),
        model=Model(latent_dim=4),
        data=Data(
            labels={
                "red": WeakLabel("redness", power=10, scale=0.5),
                "vibrant": WeakLabel("vibrancy", power=100, scale=0.5),
            }
        ),
        terms=(
            TermSpec(name="reg-unit", regularizer=Unitarity(), layer="encoder"),
            TermSpec(
                name="reg-anchor",
                regularizer=Anchor([1, 0, 0, 0]),
                layer="bottleneck",
                affinities={"red": 1.0},
            ),
            TermSpec(name="reg-separate", regularizer=Separate(power=100, shift=True), layer="bottleneck"),
            TermSpec(
                name="reg-planar", regularizer=Planarity(), layer="bottleneck", affinities={"vibrant": 1.0}
            ),
        ),
        dopesheet=dopesheet("2.6"),
        latent_layer="bottleneck",
        edits=(
            Edit(condition="ablated", mode="ablate", layer="bottleneck", dims=(0,)),
            Edit(condition="pruned", mode="prune", layer="bottleneck", dims=(0,)),
        ),
        views={
            "baseline": ((1, 0, 2), (1, 2, 0), (1, 3, 0)),
            "ablated": ((1, 0, 2), (1, 2, 3), (1, 3, 2)),
            "pruned": ((0, 1, 2), (0, 2, 1)),
        },
        claims=(
            ErrorClaim(
                claim="before the cut every colour is drawn faithfully",
                condition="baseline",
                holds="at most",
                times=0.01,
            ),
            ErrorClaim(
                claim="red and cyan lose their colour",
                condition="ablated",
                colors=("red", "cyan"),
                holds="at least",
                times=LOST,
            ),
            ErrorClaim(
                claim="white, black, gray, lime and purple keep theirs",
                condition="ablated",
                colors=("white", "black", "gray", "lime", "purple"),
                holds="at most",
                times=KEPT,
            ),
            ErrorClaim(
                claim="hot pink is not spared: the hues orthogonal to red lie at 90 and 270 degrees, not at 330",
                condition="ablated",
                colors=("pink",),
                holds="at least",
                times=KEPT,
            ),
            Agreement(
                claim="pruned and ablated compute the same function",
                conditions=("ablated", "pruned"),
                tolerance=SAME,
            ),
        ),
    )
