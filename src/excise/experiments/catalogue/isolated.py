"""Experiments 2.9 and 2.10: five dimensions, one of them for red alone, so that deleting it takes red alone."""

from excise.anchoring import AngularAnchor, AntiAnchor, AxisAlignedSubspace, Unitarity
from excise.color import WeakLabel
from excise.experiments.catalogue.common import (
    NEAR_RED,
    RED,
    SPREAD,
    UNLIKE_RED,
    ablated,
    dopesheet,
    drawn_faithfully,
    first_axis,
    half_faithful,
    kept,
    lost,
    seen,
    term,
)
from excise.experiments.recipe import Data, Model, Recipe

__all__ = ["delete_red_from_a_kept_axis", "delete_red_from_an_emptied_axis"]

_VIEWS = seen(("baseline", "ablated"), (1, 0, 2), (3, 0, 4), (2, 3, 4))
_CLAIMS = (
    drawn_faithfully(),
    lost("ablated", ("red",), "ablated, red is lost"),
    kept("ablated", UNLIKE_RED, "ablated, the colours unlike red are kept"),
    kept("ablated", NEAR_RED, "ablated, yellow and magenta, 60 degrees from red, are kept"),
    half_faithful("ablated"),
)


def delete_red_from_a_kept_axis() -> Recipe:
    """Experiment 2.9: the far end of red's axis is kept empty, and grays lie in the three dimensions without hue."""
    return Recipe(
        name="2.9",
        title="Delete red alone, in five dimensions",
        question=(
            "If the latent has a fifth dimension, and pale and dark colours are kept out of the first two, "
            "does deleting the axis on which red is anchored delete red and nothing else?"
        ),
        method=(
            "An autoencoder of 840 parameters, with two hidden layers on either side, learns the 3,600 "
            "colours of an HSV grid in 3,001 steps; its latent of five dimensions is scaled to length 1. "
            "Noisy labels turn the scaled latents of red towards the first axis and draw pale and dark "
            "colours into the space of the last three; all are kept out of the hemisphere opposite to red "
            "and pushed away from close neighbours; before scaling, latents are drawn to length 1. The "
            "schedule also has a column for vibrant colours, which drives nothing. The pulls are switched "
            "off before training ends. Then the first axis is cut out of the weights, by zeroing what writes "
            "and what reads it (ablated). Nothing is trained after the cut."
        ),
        model=Model(latent_dim=5, depth=2),
        data=Data(labels={"red": RED, "desaturated": WeakLabel("vibrancy", power=10, scale=0.5, lack=True)}),
        terms=(
            term("reg-unit", Unitarity(), layer="encoder"),
            term("reg-anchor", AngularAnchor(first_axis(5)), on="red"),
            term("reg-separate", SPREAD),
            term("reg-anti-anchor", AntiAnchor(first_axis(5, -1))),
            term("reg-planar-d", AxisAlignedSubspace((2, 3, 4)), on="desaturated"),
        ),
        dopesheet=dopesheet("2.9"),
        latent_layer="bottleneck",
        edits=(ablated(0),),
        views=_VIEWS,
        claims=_CLAIMS,
    )


def delete_red_from_an_emptied_axis() -> Recipe:
    """Experiment 2.10: everything is pushed out of red's axis; nothing is said of its far end."""
    return Recipe(
        name="2.10",
        title="Delete red alone, from an axis emptied of all else",
        question=(
            "Is it enough to anchor red on one axis and to push every colour out of that axis, for deleting "
            "it to delete red and nothing else?"
        ),
        method=(
            "An autoencoder of 840 parameters, with two hidden layers on either side, learns the 1,000 "
            "colours of an RGB cube in 1,501 steps; its latent of five dimensions is scaled to length 1. "
            "Noisy labels (about 73 in 96,064 visits) turn the scaled latents of red towards the first axis, "
            "while all latents, red among them, are drawn out of that axis and pushed away from close "
            "neighbours. The pulls are switched off before training ends. Then the first axis is cut out of "
            "the weights, by zeroing what writes and what reads it (ablated). Nothing is trained after the "
            "cut."
        ),
        model=Model(latent_dim=5, depth=2),
        data=Data(space="rgb", edge=10, labels={"red": WeakLabel("redness", power=8, scale=0.08)}),
        terms=(
            term("reg-separate", SPREAD),
            term("reg-anchor", AngularAnchor(first_axis(5)), on="red"),
            term("reg-anti-subspace", AxisAlignedSubspace((0,), inverted=True)),
        ),
        dopesheet=dopesheet("2.10"),
        latent_layer="bottleneck",
        edits=(ablated(0),),
        views=_VIEWS,
        claims=_CLAIMS,
    )
