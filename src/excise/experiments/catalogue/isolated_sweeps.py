"""Experiments 2.9.1 and 2.10.1: red alone on an axis that is deleted, made short, to be run over sixty seeds."""

from excise.anchoring import AngularAnchor, AntiAnchor, AxisAlignedSubspace
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
    term,
)
from excise.experiments.recipe import (
    Data,
    HeldOut,
    Model,
    Recipe,
    Selection,
    Selectivity,
    SelectivityClaim,
)

__all__ = ["isolated", "isolated_without_anti_anchor"]

_MODEL_AND_DATA = (
    "An autoencoder of 840 parameters, with two hidden layers on either side, learns the 512 colours of an "
    "RGB cube in 1,501 steps; its latent of five dimensions is scaled to length 1. "
)
_EDITS = (
    "The pulls are switched off before training ends. Then the axis is cut out of the weights, by zeroing "
    "what writes and what reads it (ablated) or by removing it (pruned), or what points along it is taken "
    "away whole in the running model (suppressed). Selectivity is the squared correlation of each colour's "
    "error with a power of its similarity to red: the third for the cut, the second for the suppression."
)
_VIEWS = {
    "baseline": ((1, 0, 2), (1, 2, 3)),
    "ablated": ((1, 0, 2), (1, 2, 3)),
    "pruned": ((0, 1, 2), (0, 2, 3)),
    "suppressed": ((1, 0, 2), (1, 2, 3)),
}
_CLAIMS = (
    drawn_faithfully(),
    lost("ablated", ("red",), "ablated, red is lost"),
    kept("ablated", UNLIKE_RED, "ablated, the colours that are unlike red are kept"),
    SelectivityClaim(
        claim="ablated, errors follow the similarity to red", condition="ablated", threshold=0.8
    ),
    same_function(),
)
_SELECTIVITY = (
    Selectivity(condition="ablated", similar_to="red", power=3),
    Selectivity(condition="suppressed", similar_to="red", power=2),
)


def isolated() -> Recipe:
    """Experiment 2.9.1: red alone on one axis, so that the axis can be deleted."""
    return Recipe(
        name="2.9.1",
        title="Delete red alone, over sixty seeds",
        question=(
            "If the axis on which red is anchored is also kept free of everything else, does deleting it "
            "from the weights delete red and nothing else, and in how many seeds?"
        ),
        method=_MODEL_AND_DATA
        + (
            "Noisy labels (about 86 in 96,064 visits) turn red towards the first axis, while all latents, "
            "red among them, are drawn out of that axis, kept out of the hemisphere opposite to red and "
            "pushed away from close neighbours. "
        )
        + _EDITS,
        model=Model(latent_dim=5, depth=2),
        data=Data(space="rgb", labels={"red": SCARCE_RED}),
        validation=HeldOut(labels={"red": "redness"}),
        terms=(
            term("separate", SPREAD),
            term("anchor", AngularAnchor(first_axis(5)), on="red"),
            term("anti-anchor", AntiAnchor(first_axis(5, -1))),
            term("anti-subspace", AxisAlignedSubspace((0,), inverted=True)),
        ),
        dopesheet=dopesheet("2.9.1"),
        latent_layer="bottleneck",
        edits=(ablated(0), pruned(0), projected(5)),
        views=_VIEWS,
        claims=_CLAIMS,
        grids=SHORT_GRIDS,
        selectivity=_SELECTIVITY,
        selection=Selection(
            low=("validation.objective", "validation.anchor", "validation.anti-anchor"),
            high=("ablated.selectivity",),
            by="ablated.selectivity",
        ),
    )


def isolated_without_anti_anchor() -> Recipe:
    """Experiment 2.10.1: as 2.9.1, but the far end of red's axis is open."""
    return Recipe(
        name="2.10.1",
        title="Delete red alone, without an anti-anchor, over sixty seeds",
        question=(
            "Is an anti-anchor needed, or is it enough to draw every colour out of red's axis, for deleting "
            "the axis from the weights to delete red and nothing else, and in how many seeds?"
        ),
        method=_MODEL_AND_DATA
        + (
            "Noisy labels (about 86 in 96,064 visits) turn red towards the first axis, while all latents, "
            "red among them, are drawn out of that axis and pushed away from close neighbours; nothing keeps "
            "them from its far end in particular. "
        )
        + _EDITS,
        model=Model(latent_dim=5, depth=2),
        data=Data(space="rgb", labels={"red": SCARCE_RED}),
        validation=HeldOut(labels={"red": "redness"}),
        terms=(
            term("separate", SPREAD),
            term("anchor", AngularAnchor(first_axis(5)), on="red"),
            term("anti-subspace", AxisAlignedSubspace((0,), inverted=True)),
        ),
        dopesheet=dopesheet("2.10.1"),
        latent_layer="bottleneck",
        edits=(ablated(0), pruned(0), projected(5)),
        views=_VIEWS,
        claims=_CLAIMS,
        grids=SHORT_GRIDS,
        selectivity=_SELECTIVITY,
        selection=Selection(
            low=("validation.objective", "validation.anchor"),
            high=("ablated.selectivity",),
            by="ablated.selectivity",
        ),
    )
