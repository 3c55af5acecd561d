"""Experiments 2.4 and 2.5: anchor red on the sphere itself, with the plane of hues and without it."""

from excise.anchoring import Anchor, Planarity, Unitarity
from excise.experiments.catalogue.common import (
    RED,
    SPREAD,
    UNLIKE_RED,
    VIBRANT,
    dopesheet,
    drawn_faithfully,
    first_axis,
    half_faithful,
    kept,
    lost,
    seen,
    softened,
    term,
)
from excise.experiments.recipe import Data, Model, Recipe

__all__ = ["anchor_red_alone", "anchor_red_and_hues"]

_VIEWS = seen(("baseline", "suppressed", "repelled"), (1, 0, 2), (1, 2, 0), (1, 3, 0))
_CLAIMS = (
    drawn_faithfully(),
    lost("suppressed", ("red",), "suppressed, red is lost"),
    kept(
        "suppressed", UNLIKE_RED, "suppressed, the colours unlike red are kept, its opposite cyan among them"
    ),
    half_faithful("suppressed"),
    lost("repelled", ("red",), "repelled, red is lost"),
    kept("repelled", UNLIKE_RED, "repelled, the colours unlike red are kept, its opposite cyan among them"),
)
_EDITS = (
    "Then the latent is edited in the running model, and the weights stay as they are. Suppressed, it loses "
    "what points along the first axis, by a share that grows as the square of the alignment up to all of it. "
    "Repelled, it is turned away from that axis along a smooth curve, so that what pointed there lies 60 "
    "degrees off; what points away is untouched by both."
)


def anchor_red_and_hues() -> Recipe:
    """Experiment 2.4: the pulls act on the normalised latent; red on an axis, vibrant colours in a plane."""
    return Recipe(
        name="2.4",
        title="Anchor red on the sphere, and the hues around it",
        question=(
            "If the pulls act on the latent as the decoder sees it, after it is put on the unit sphere, is "
            "red where it was anchored, so that it can be switched off in the running model and little else "
            "with it?"
        ),
        method=(
            "An autoencoder of 263 parameters learns the 3,600 colours of an HSV grid in 3,001 steps; its "
            "latent of four dimensions is scaled to length 1. Noisy labels pull the scaled latents of red to "
            "the first axis and of vibrant colours into the plane of the first two, and all are pushed away "
            "from close neighbours; before scaling, latents are drawn to length 1. The pulls are switched "
            "off before training ends. "
        )
        + _EDITS,
        model=Model(latent_dim=4),
        data=Data(labels={"red": RED, "vibrant": VIBRANT}),
        terms=(
            term("reg-unit", Unitarity(), layer="encoder"),
            term("reg-anchor", Anchor(first_axis(4)), on="red"),
            term("reg-separate", SPREAD),
            term("reg-planar", Planarity(), on="vibrant"),
        ),
        dopesheet=dopesheet("2.4"),
        latent_layer="bottleneck",
        edits=softened("bottleneck"),
        views=_VIEWS,
        claims=_CLAIMS,
    )


def anchor_red_alone() -> Recipe:
    """Experiment 2.5: as 2.4, but nothing says where the other hues should lie."""
    return Recipe(
        name="2.5",
        title="Anchor red alone",
        question=(
            "Is it enough to anchor red, and to leave the place of every other colour to the training: can "
            "red still be switched off in the running model without harm to colours that are unlike it?"
        ),
        method=(
            "An autoencoder of 263 parameters learns the 3,600 colours of an HSV grid in 3,001 steps; its "
            "latent of four dimensions is scaled to length 1. Noisy labels pull the scaled latents of red to "
            "the first axis, and all are pushed away from close neighbours; before scaling, latents are "
            "drawn to length 1. No other colour is given a place, and the pulls are switched off before "
            "training ends. "
        )
        + _EDITS,
        model=Model(latent_dim=4),
        data=Data(labels={"red": RED}),
        terms=(
            term("reg-unit", Unitarity(), layer="encoder"),
            term("reg-anchor", Anchor(first_axis(4)), on="red"),
            term("reg-separate", SPREAD),
        ),
        dopesheet=dopesheet("2.5"),
        latent_layer="bottleneck",
        edits=softened("bottleneck"),
        views=_VIEWS,
        claims=_CLAIMS,
    )
