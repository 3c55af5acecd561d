"""Experiments 2.6 to 2.8: cut an axis or a plane out of the weights, and see what goes with it."""

from excise.anchoring import Anchor, AngularAnchor, AntiAnchor, Planarity, Unitarity
from excise.color import GRAYS, HUES
from excise.experiments.catalogue.common import (
    FAITHFUL,
    KEPT,
    NEAR_RED,
    RED,
    SPREAD,
    UNLIKE_RED,
    VIBRANT,
    ablated,
    dopesheet,
    drawn_faithfully,
    first_axis,
    half_faithful,
    kept,
    lost,
    pruned,
    same_function,
    term,
)
from excise.experiments.recipe import Data, ErrorClaim, Model, Recipe

__all__ = ["delete_half_an_axis", "delete_vibrancy", "delete_warmth"]


def delete_warmth() -> Recipe:
    """Experiment 2.6: delete the axis on which red was anchored, and with it warm and cool."""
    return Recipe(
        name="2.6",
        title="Delete the warm/cool axis",
        question=(
            "If red is anchored on one axis of the latent while a colour autoencoder trains, does deleting "
            "that axis from the trained weights delete red, and its opposite, and nothing else?"
        ),
        method=(
            "An autoencoder of 263 parameters learns colours through a latent on the unit sphere of four "
            "dimensions. While it trains, a few noisy labels pull red to the first axis and vibrant colours "
            "into the plane of the first two; all latents repel each other. The pulls are switched off "
            "before training ends. Then the first axis is cut out of the weights, once by zeroing what "
            "writes and what reads it (ablated), once by removing it (pruned). Nothing is trained after the "
            "cut."
        ),
        model=Model(latent_dim=4),
        data=Data(labels={"red": RED, "vibrant": VIBRANT}),
        terms=(
            term("reg-unit", Unitarity(), layer="encoder"),
            term("reg-anchor", Anchor(first_axis(4)), on="red"),
            term("reg-separate", SPREAD),
            term("reg-planar", Planarity(), on="vibrant"),
        ),
        dopesheet=dopesheet("2.6"),
        latent_layer="bottleneck",
        edits=(ablated(0), pruned(0)),
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
                times=FAITHFUL,
            ),
            lost("ablated", ("red", "cyan"), "red and cyan lose their colour"),
            kept(
                "ablated",
                ("white", "black", "gray", "lime", "purple"),
                "white, black, gray, lime and purple keep theirs",
            ),
            ErrorClaim(
                claim="hot pink is not spared: the hues orthogonal to red lie at 90 and 270 degrees, not at 330",
                condition="ablated",
                colors=("pink",),
                holds="at least",
                times=KEPT,
            ),
            same_function(),
        ),
    )


def delete_vibrancy() -> Recipe:
    """Experiment 2.7: delete the plane into which vibrant colours were drawn, and with it all hues."""
    return Recipe(
        name="2.7",
        title="Delete the plane of hues",
        question=(
            "If vibrant colours are drawn into a plane of the latent while a colour autoencoder trains, does "
            "deleting that plane from the trained weights delete every hue, and leave the grays?"
        ),
        method=(
            "An autoencoder of 263 parameters learns the 3,600 colours of an HSV grid in 3,001 steps; its "
            "latent of four dimensions is scaled to length 1. Noisy labels pull red to the first axis and "
            "vibrant colours into the plane of the first two; all latents are pushed away from close "
            "neighbours, and before scaling they are drawn to length 1. The pulls are switched off before "
            "training ends. Then the first two axes are cut out of the weights, by zeroing what writes and "
            "what reads them (ablated). Nothing is trained after the cut."
        ),
        model=Model(latent_dim=4),
        data=Data(labels={"red": RED, "vibrant": VIBRANT}),
        terms=(
            term("reg-unit", Unitarity(), layer="encoder"),
            term("reg-anchor", Anchor(first_axis(4)), on="red"),
            term("reg-separate", SPREAD),
            term("reg-planar", Planarity(), on="vibrant"),
        ),
        dopesheet=dopesheet("2.7"),
        latent_layer="bottleneck",
        edits=(ablated(0, 1),),
        views={
            "baseline": ((1, 0, 2), (1, 2, 0), (2, 3, 0)),
            "ablated": ((1, 0, 2), (1, 2, 3), (2, 3, 0)),
        },
        claims=(
            drawn_faithfully(),
            lost("ablated", HUES, "ablated, each of the twelve pure hues is lost"),
            kept("ablated", GRAYS, "ablated, black, white and the grays are kept"),
            ErrorClaim(
                claim="ablated, at least half of all colours, pale and dark ones, are kept",
                condition="ablated",
                statistic="median",
                holds="at most",
                times=KEPT,
            ),
        ),
    )


def delete_half_an_axis() -> Recipe:
    """Experiment 2.8: keep the far end of red's axis empty, so that deleting the axis takes no opposite with it."""
    return Recipe(
        name="2.8",
        title="Delete red alone, in four dimensions",
        question=(
            "If every colour is kept out of the half of the latent opposite to red, does deleting the axis "
            "on which red is anchored delete red and its neighbours, and no longer their opposites?"
        ),
        method=(
            "An autoencoder of 263 parameters learns the 3,600 colours of an HSV grid in 3,001 steps; its "
            "latent of four dimensions is scaled to length 1. Noisy labels turn the scaled latents of red "
            "towards the first axis; all are kept out of the hemisphere opposite to red and pushed away from "
            "close neighbours; before scaling, latents are drawn to length 1. The pulls are switched off "
            "before training ends. Then the first axis is cut out of the weights, by zeroing what writes and "
            "what reads it (ablated). Nothing is trained after the cut."
        ),
        model=Model(latent_dim=4),
        data=Data(labels={"red": RED}),
        terms=(
            term("reg-unit", Unitarity(), layer="encoder"),
            term("reg-anchor", AngularAnchor(first_axis(4)), on="red"),
            term("reg-separate", SPREAD),
            term("reg-anti-anchor", AntiAnchor(first_axis(4, -1))),
        ),
        dopesheet=dopesheet("2.8"),
        latent_layer="bottleneck",
        edits=(ablated(0),),
        views={
            "baseline": ((1, 0, 2), (2, 0, 3), (1, 2, 0)),
            "ablated": ((1, 0, 2), (1, 2, 3), (1, 3, 2)),
        },
        claims=(
            drawn_faithfully(),
            lost("ablated", ("red",), "ablated, red is lost"),
            kept(
                "ablated",
                UNLIKE_RED,
                "ablated, the colours unlike red are kept, its opposite cyan among them",
            ),
            kept("ablated", NEAR_RED, "ablated, yellow and magenta, 60 degrees from red, are kept"),
            half_faithful("ablated"),
        ),
    )
