"""Experiments 2.2 and 2.3: take red away in the running model, from a free latent and from one on the sphere."""

from excise.anchoring import Anchor, Planarity, Separate, Unitarity
from excise.experiments.catalogue.common import (
    RED,
    SPREAD,
    UNLIKE_RED,
    VIBRANT,
    dopesheet,
    drawn_faithfully,
    first_axis,
    kept,
    lost,
    seen,
    softened,
    term,
)
from excise.experiments.recipe import Data, Model, Recipe

__all__ = ["inhibit_red", "inhibit_red_on_the_sphere", "inhibit_red_with_a_sigmoid"]

_VIEWS = seen(("baseline", "suppressed", "repelled"), (1, 0, 2), (1, 2, 0), (1, 3, 0))
_CLAIMS = (
    drawn_faithfully(),
    lost("suppressed", ("red",), "suppressed, red is lost"),
    kept(
        "suppressed", UNLIKE_RED, "suppressed, the colours unlike red are kept, its opposite cyan among them"
    ),
    lost("repelled", ("red",), "repelled, red is lost"),
    kept("repelled", UNLIKE_RED, "repelled, the colours unlike red are kept, its opposite cyan among them"),
)


def inhibit_red() -> Recipe:
    """Experiment 2.2: suppress or repel red in a latent that is only drawn to the unit sphere."""
    return Recipe(
        name="2.2",
        title="Inhibit red in a free latent",
        question=(
            "If red is anchored at one point of the latent while a colour autoencoder trains, can red be "
            "switched off in the running model, by editing the latent alone, without harm to colours that "
            "are unlike it?"
        ),
        method=(
            "An autoencoder of 263 parameters, with a free latent of four dimensions, learns the 3,600 "
            "colours of an HSV grid in 20,001 steps. Noisy labels pull red to the point (1, 0, 0, 0) and "
            "vibrant colours into the plane of the first two axes; all latents are drawn to length 1, those "
            "labelled vibrant by a second pull, and pushed away from what lies in nearly the same direction. "
            "The pull into the plane has weight 1 at every step, since the schedule's column that was meant "
            "for it has another name; the pulls last to the end. Then the weights stay as they are, and the "
            "encoder's output is edited on its way to the decoder. Suppressed, it loses what points along "
            "(1, 0, 0, 0), by a share that grows as the square of the alignment up to all of it. Repelled, "
            "it is turned away from that direction along a smooth curve, so that what pointed there lies 60 "
            "degrees off; what points away is untouched by both."
        ),
        model=Model(kind="PlainMLP", latent_dim=4),
        data=Data(labels={"red": RED, "vibrant": VIBRANT}),
        terms=(
            term("reg-anchor", Anchor(first_axis(4)), layer="encoder", on="red"),
            term("reg-separate", Separate(power=10, shift=False), layer="encoder"),
            term("reg-planar", Planarity(), layer="encoder", on="vibrant"),
            term("reg-unit-v", Unitarity(), layer="encoder", on="vibrant"),
            term("reg-unit", Unitarity(), layer="encoder"),
        ),
        dopesheet=dopesheet("2.2"),
        latent_layer="encoder",
        edits=softened("encoder"),
        views=_VIEWS,
        claims=_CLAIMS,
    )


def inhibit_red_on_the_sphere() -> Recipe:
    """Experiment 2.3: the latent is normalised, and the output is linear."""
    return _on_the_sphere(
        name="2.3",
        title="Inhibit red on the sphere",
        question=(
            "Does it help to put every latent exactly on the unit sphere, by normalising it: are all colours "
            "learned, and can red be switched off in the running model without harm to colours that are "
            "unlike it?"
        ),
        output="The output is linear.",
        model=Model(latent_dim=4),
    )


def inhibit_red_with_a_sigmoid() -> Recipe:
    """Experiment 2.3 with a sigmoid at the output, as in 2.2."""
    return _on_the_sphere(
        name="2.3-sigmoid",
        title="Inhibit red on the sphere, with a sigmoid at the output",
        question=(
            "With the latent on the unit sphere, does it make a difference to learning, and to switching red "
            "off, whether the colours that the model draws go through a sigmoid?"
        ),
        output="The output goes through a sigmoid, as in 2.2; all else is as in 2.3.",
        model=Model(latent_dim=4, sigmoid=True),
    )


def _on_the_sphere(name: str, title: str, question: str, output: str, model: Model) -> Recipe:
    return Recipe(
        name=name,
        title=title,
        question=question,
        method=(
            "An autoencoder of 263 parameters learns the 3,600 colours of an HSV grid in 3,001 steps; its "
            f"latent of four dimensions is scaled to length 1 before it is decoded. {output} The pulls act "
            "on the latent before it is scaled, and are switched off before training ends: noisy labels "
            "pull red to the point (1, 0, 0, 0) and vibrant colours into the plane of the first two axes, "
            "and all latents are drawn to length 1 and away from close neighbours. Then the scaled latent "
            "is edited in the running model. Suppressed, it loses what points along the first axis, by a "
            "share that grows as the square of the alignment up to all of it. Repelled, it is turned away "
            "from that axis along a smooth curve, so that what pointed there lies 60 degrees off; what "
            "points away is untouched by both."
        ),
        model=model,
        data=Data(labels={"red": RED, "vibrant": VIBRANT}),
        terms=(
            term("reg-unit", Unitarity(), layer="encoder"),
            term("reg-anchor", Anchor(first_axis(4)), layer="encoder", on="red"),
            term("reg-separate", SPREAD, layer="encoder"),
            term("reg-planar", Planarity(), layer="encoder", on="vibrant"),
        ),
        dopesheet=dopesheet("2.3"),
        latent_layer="bottleneck",
        edits=softened("bottleneck"),
        views=_VIEWS,
        claims=_CLAIMS,
    )
