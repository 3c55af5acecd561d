"""Experiments 2.4.1, 2.5.1 and 2.7.1: designs of the series made short, to be run over sixty seeds."""

import math

from excise.anchoring import AngularAnchor, AxisAlignedSubspace
from excise.color import GRAYS, HUES, WeakLabel
from excise.experiments.catalogue.common import (
    SCARCE_RED,
    SHORT_GRIDS,
    SPREAD,
    UNLIKE_RED,
    ablated,
    dopesheet,
    drawn_faithfully,
    first_axis,
    kept,
    lost,
    projected,
    pruned,
    same_function,
    seen,
    term,
)
from excise.experiments.recipe import (
    Data,
    HeldOut,
    Intervene,
    Model,
    Recipe,
    Selection,
    Selectivity,
    SelectivityClaim,
)
from excise.interventions import AxisAlignedSuppression, LinearMapper, Repulsion

__all__ = ["anchored", "anchored_alone", "planar"]

_COS_89 = math.cos(math.radians(89))
_MODEL_AND_DATA = (
    "An autoencoder of 263 parameters learns the 512 colours of an RGB cube in 1,501 steps; its latent of "
    "four dimensions is scaled to length 1. "
)


def anchored() -> Recipe:
    """Experiment 2.4.1: red anchored on one axis, vibrant colours drawn into a plane."""
    return Recipe(
        name="2.4.1",
        title="Suppress red, over sixty seeds",
        question=(
            "If a handful of noisy labels anchor red on one axis of the latent, how selectively does "
            "suppressing that direction take red away, and how much does that depend on the seed?"
        ),
        method=_MODEL_AND_DATA
        + (
            "Noisy labels turn red towards the first axis (about 86 in 96,064 visits) and draw vibrant "
            "colours into the plane of the first two (about 114), and all latents are pushed away from close "
            "neighbours; the pulls are switched off before training ends. Then what points along the first "
            "axis is taken away whole (suppressed), or is turned to at least 89 degrees from it (repelled), "
            "or the axis is cut out of the weights (ablated). Selectivity is the squared correlation of each "
            "colour's error with a power of its similarity to red: the second for the first two edits, the "
            "third for the cut."
        ),
        model=Model(latent_dim=4),
        data=Data(
            space="rgb",
            labels={"red": SCARCE_RED, "vibrant": WeakLabel("vibrancy", power=10, scale=0.01)},
        ),
        validation=HeldOut(labels={"red": "redness", "vibrant": "vibrancy"}),
        terms=(
            term("separate", SPREAD),
            term("anchor", AngularAnchor(first_axis(4)), on="red"),
            term("subspace", AxisAlignedSubspace((0, 1)), on="vibrant"),
        ),
        dopesheet=dopesheet("2.4.1"),
        latent_layer="bottleneck",
        edits=(
            projected(4),
            Intervene(
                condition="repelled",
                layer="bottleneck",
                intervention=Repulsion(first_axis(4), LinearMapper(0, _COS_89)),
            ),
            ablated(0),
        ),
        views=seen(("baseline", "suppressed", "repelled", "ablated"), (1, 0, 2), (1, 2, 0)),
        claims=(
            drawn_faithfully(),
            lost("suppressed", ("red",), "suppressed, red is lost"),
            kept("suppressed", UNLIKE_RED, "suppressed, the colours that are unlike red are kept"),
            SelectivityClaim(
                claim="suppressed, errors follow the similarity to red",
                condition="suppressed",
                threshold=0.9,
            ),
        ),
        grids=SHORT_GRIDS,
        selectivity=(
            Selectivity(condition="suppressed", similar_to="red", power=2),
            Selectivity(condition="repelled", similar_to="red", power=2),
            Selectivity(condition="ablated", similar_to="red", power=3),
        ),
        selection=Selection(
            low=("validation.objective", "validation.anchor"),
            high=("suppressed.selectivity",),
            by="suppressed.selectivity",
        ),
    )


def anchored_alone() -> Recipe:
    """Experiment 2.5.1: red anchored on one axis, and nothing said of any other colour."""
    return Recipe(
        name="2.5.1",
        title="Suppress red, anchored alone, over sixty seeds",
        question=(
            "If only red has a place in the latent, and every other colour lies where training puts it, how "
            "selectively does suppressing red's direction take red away, and how much does that depend on "
            "the seed?"
        ),
        method=_MODEL_AND_DATA
        + (
            "Noisy labels (about 86 in 96,064 visits) turn red towards the first axis, and all latents are "
            "pushed away from close neighbours; the pulls are switched off before training ends. Then what "
            "points along the first axis is taken away whole (suppressed), or the axis is cut out of the "
            "weights (ablated). Selectivity is the squared correlation of each colour's error with a power "
            "of its similarity to red: the second for the suppression, the third for the cut."
        ),
        model=Model(latent_dim=4),
        data=Data(space="rgb", labels={"red": SCARCE_RED}),
        validation=HeldOut(labels={"red": "redness"}),
        terms=(
            term("separate", SPREAD),
            term("anchor", AngularAnchor(first_axis(4)), on="red"),
        ),
        dopesheet=dopesheet("2.5.1"),
        latent_layer="bottleneck",
        edits=(projected(4), ablated(0)),
        views=seen(("baseline", "suppressed", "ablated"), (1, 0, 2), (1, 2, 0), (2, 0, 3)),
        claims=(
            drawn_faithfully(),
            lost("suppressed", ("red",), "suppressed, red is lost"),
            kept("suppressed", UNLIKE_RED, "suppressed, the colours that are unlike red are kept"),
            SelectivityClaim(
                claim="suppressed, errors follow the similarity to red",
                condition="suppressed",
                threshold=0.9,
            ),
            lost("ablated", ("red",), "ablated, red is lost"),
        ),
        grids=SHORT_GRIDS,
        selectivity=(
            Selectivity(condition="suppressed", similar_to="red", power=2),
            Selectivity(condition="ablated", similar_to="red", power=3),
        ),
        selection=Selection(
            low=("validation.objective", "validation.anchor"),
            high=("suppressed.selectivity",),
            by="suppressed.selectivity",
        ),
    )


def planar() -> Recipe:
    """Experiment 2.7.1: vibrant colours drawn into a plane that is deleted; no colour is anchored."""
    return Recipe(
        name="2.7.1",
        title="Delete the plane of hues, over sixty seeds",
        question=(
            "If a handful of noisy labels draw vibrant colours into a plane of the latent, does deleting "
            "that plane delete hues and leave grays, the more so the more vibrant a colour is, and in how "
            "many seeds?"
        ),
        method=_MODEL_AND_DATA
        + (
            "Noisy labels (about 105 in 96,064 visits) draw vibrant colours into the plane of the first two "
            "axes, and all latents are pushed away from close neighbours; no colour is anchored. The pulls "
            "are switched off before training ends. Then the first two coordinates of the scaled latent are "
            "set to zero (suppressed), or the two axes are cut out of the weights, by zeroing what writes "
            "and what reads them (ablated) or by removing them (pruned). Selectivity is the squared "
            "correlation of each colour's error with its vibrancy to the power of 2.3."
        ),
        model=Model(latent_dim=4),
        data=Data(space="rgb", labels={"vibrant": WeakLabel("vibrancy", power=8, scale=0.008)}),
        validation=HeldOut(labels={"vibrant": "vibrancy"}),
        terms=(
            term("separate", SPREAD),
            term("subspace", AxisAlignedSubspace((0, 1)), on="vibrant"),
        ),
        dopesheet=dopesheet("2.7.1"),
        latent_layer="bottleneck",
        edits=(
            Intervene(
                condition="suppressed", layer="bottleneck", intervention=AxisAlignedSuppression((0, 1))
            ),
            ablated(0, 1),
            pruned(0, 1),
        ),
        views={
            "baseline": ((1, 0, 2), (1, 2, 0), (2, 3, 0)),
            "suppressed": ((1, 0, 2), (1, 2, 0), (2, 3, 0)),
            "ablated": ((1, 0, 2), (1, 2, 0), (2, 3, 0)),
            "pruned": ((0, 1, 0),),
        },
        claims=(
            drawn_faithfully(),
            lost("suppressed", HUES, "suppressed, each of the twelve pure hues is lost"),
            lost("ablated", HUES, "ablated, each of the twelve pure hues is lost"),
            kept("ablated", GRAYS, "ablated, black, white and the grays are kept"),
            SelectivityClaim(claim="ablated, errors follow the vibrancy", condition="ablated", threshold=0.8),
            same_function(),
        ),
        grids=SHORT_GRIDS,
        selectivity=(
            Selectivity(condition="suppressed", concept="vibrancy", power=2.3),
            Selectivity(condition="ablated", concept="vibrancy", power=2.3),
        ),
        selection=Selection(
            low=("validation.objective", "validation.subspace"),
            high=("ablated.selectivity",),
            by="ablated.selectivity",
        ),
    )
