"""Experiments 2.4.1 to 2.10.1: each a design of the series made short, to be run over sixty seeds."""

import math

from excise.anchoring import AngularAnchor, AntiAnchor, AxisAlignedSubspace, Separate
from excise.color import WeakLabel
from excise.experiments.catalogue.common import KEPT, LOST, SAME, dopesheet
from excise.experiments.recipe import (
    Agreement,
    Data,
    Edit,
    ErrorClaim,
    Grids,
    HeldOut,
    Intervene,
    Model,
    Recipe,
    Selection,
    Selectivity,
    SelectivityClaim,
    TermSpec,
)
from excise.interventions import BoundedFalloff, LinearMapper, Repulsion, Suppression

__all__ = ["anchored", "isolated"]

_GRIDS = Grids(loss=(150, 24, 24), loss_hues=(-1 / 12, 13 / 12), display=(12, 4, 5))
_RED = WeakLabel("redness", power=8, scale=0.08)
_COS_89 = math.cos(math.radians(89))
_METHOD = (
    "The autoencoder learns 512 colours of an RGB cube in 1,501 steps. While it trains, about 83 noisy labels in 96,064 "
    "visits say where the concept is. "
)


def anchored() -> Recipe:
    """Experiment 2.4.1: red anchored on one axis, vibrant colours drawn into a plane."""
    return Recipe(
        name="2.4.1",
        title="Suppress red, sixty times",
        question=(
            "If a handful of noisy labels anchor red on one axis of the latent, how selectively does suppressing that "
            "direction take red away, and how much does that depend on the seed?"
        ),
        method=_METHOD
        + (
            "Red is drawn to the first axis, vibrant colours into the plane of the first two, and all latents repel each "
            "other. Then what points along the first axis is suppressed at full strength, or repelled to 89 degrees, "
            "or the axis is cut out of the weights. Selectivity is the squared correlation of each colour's error with "
            "its similarity to red."
        ),
        model=Model(latent_dim=4),
        data=Data(
            space="rgb",
            labels={"red": _RED, "vibrant": WeakLabel("vibrancy", power=10, scale=0.01)},
        ),
        validation=HeldOut(labels={"red": "redness", "vibrant": "vibrancy"}),
        terms=(
            TermSpec(name="separate", regularizer=Separate(power=100, shift=True), layer="bottleneck"),
            TermSpec(
                name="anchor",
                regularizer=AngularAnchor([1, 0, 0, 0]),
                layer="bottleneck",
                affinities={"red": 1.0},
            ),
            TermSpec(
                name="subspace",
                regularizer=AxisAlignedSubspace((0, 1)),
                layer="bottleneck",
                affinities={"vibrant": 1.0},
            ),
        ),
        dopesheet=dopesheet("2.4.1"),
        latent_layer="bottleneck",
        edits=(
            Intervene(
                condition="suppressed",
                layer="bottleneck",
                intervention=Suppression([1, 0, 0, 0], BoundedFalloff(0, 1, 0)),
            ),
            Intervene(
                condition="repelled",
                layer="bottleneck",
                intervention=Repulsion([1, 0, 0, 0], LinearMapper(0, _COS_89)),
            ),
            Edit(condition="ablated", mode="ablate", layer="bottleneck", dims=(0,)),
        ),
        views={
            condition: ((1, 0, 2), (1, 2, 0))
            for condition in ("baseline", "suppressed", "repelled", "ablated")
        },
        claims=(
            ErrorClaim(
                claim="before any edit every colour is drawn faithfully",
                condition="baseline",
                holds="at most",
                times=0.06,
            ),
            ErrorClaim(
                claim="suppressed, red is lost",
                condition="suppressed",
                colors=("red",),
                holds="at least",
                times=LOST,
            ),
            ErrorClaim(
                claim="suppressed, the colours that are unlike red are kept",
                condition="suppressed",
                colors=("lime", "green", "teal", "cyan", "azure", "blue", "purple", "black", "gray", "white"),
                holds="at most",
                times=KEPT,
            ),
            SelectivityClaim(
                claim="suppressed, errors follow the similarity to red",
                condition="suppressed",
                threshold=0.9,
            ),
        ),
        grids=_GRIDS,
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


def isolated() -> Recipe:
    """Experiment 2.9.1: red alone on one axis, so that the axis can be deleted."""
    return Recipe(
        name="2.9.1",
        title="Delete red alone, sixty times",
        question=(
            "If the axis on which red is anchored is also kept free of everything else, does deleting it from the "
            "weights delete red and nothing else, and in how many seeds?"
        ),
        method=_METHOD
        + (
            "Red is drawn to the first axis, everything is pushed out of that axis and away from its far end, and all "
            "latents repel each other. Then the axis is cut out of the weights. Selectivity is the squared correlation "
            "of each colour's error with the third power of its similarity to red."
        ),
        model=Model(latent_dim=5, depth=2),
        data=Data(space="rgb", labels={"red": _RED}),
        validation=HeldOut(labels={"red": "redness"}),
        terms=(
            TermSpec(name="separate", regularizer=Separate(power=100, shift=True), layer="bottleneck"),
            TermSpec(
                name="anchor",
                regularizer=AngularAnchor([1, 0, 0, 0, 0]),
                layer="bottleneck",
                affinities={"red": 1.0},
            ),
            TermSpec(name="anti-anchor", regularizer=AntiAnchor([-1, 0, 0, 0, 0]), layer="bottleneck"),
            TermSpec(
                name="anti-subspace",
                regularizer=AxisAlignedSubspace((0,), inverted=True),
                layer="bottleneck",
            ),
        ),
        dopesheet=dopesheet("2.9.1"),
        latent_layer="bottleneck",
        edits=(
            Edit(condition="ablated", mode="ablate", layer="bottleneck", dims=(0,)),
            Edit(condition="pruned", mode="prune", layer="bottleneck", dims=(0,)),
            Intervene(
                condition="suppressed",
                layer="bottleneck",
                intervention=Suppression([1, 0, 0, 0, 0], BoundedFalloff(0, 1, 0)),
            ),
        ),
        views={
            "baseline": ((1, 0, 2), (1, 2, 3)),
            "ablated": ((1, 0, 2), (1, 2, 3)),
            "pruned": ((0, 1, 2), (0, 2, 3)),
            "suppressed": ((1, 0, 2), (1, 2, 3)),
        },
        claims=(
            ErrorClaim(
                claim="before any edit every colour is drawn faithfully",
                condition="baseline",
                holds="at most",
                times=0.06,
            ),
            ErrorClaim(
                claim="ablated, red is lost",
                condition="ablated",
                colors=("red",),
                holds="at least",
                times=LOST,
            ),
            ErrorClaim(
                claim="ablated, the colours that are unlike red are kept",
                condition="ablated",
                colors=("lime", "green", "teal", "cyan", "azure", "blue", "purple", "black", "gray", "white"),
                holds="at most",
                times=KEPT,
            ),
            SelectivityClaim(
                claim="ablated, errors follow the similarity to red", condition="ablated", threshold=0.8
            ),
            Agreement(
                claim="pruned and ablated compute the same function",
                conditions=("ablated", "pruned"),
                tolerance=SAME,
            ),
        ),
        grids=_GRIDS,
        selectivity=(
            Selectivity(condition="ablated", similar_to="red", power=3),
            Selectivity(condition="suppressed", similar_to="red", power=2),
        ),
        selection=Selection(
            low=("validation.objective", "validation.anchor", "validation.anti-anchor"),
            high=("ablated.selectivity",),
            by="ablated.selectivity",
        ),
    )
