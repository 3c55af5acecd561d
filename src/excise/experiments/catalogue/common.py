"""What several recipes share: levels for claims, terms, edits, and the schedules that lie beside the source."""

from collections.abc import Iterable
from importlib.resources import files

from excise.anchoring import Regularizer, Separate
from excise.color import WeakLabel
from excise.experiments.recipe import BASELINE, Agreement, Edit, ErrorClaim, Grids, Intervene, TermSpec
from excise.interventions import BezierMapper, BoundedFalloff, Repulsion, Suppression

__all__ = [
    "FAITHFUL",
    "KEPT",
    "LOST",
    "NEAR_RED",
    "RED",
    "SAME",
    "SCARCE_RED",
    "SHORT_GRIDS",
    "SPREAD",
    "UNLIKE_RED",
    "VIBRANT",
    "ablated",
    "dopesheet",
    "drawn_faithfully",
    "first_axis",
    "half_faithful",
    "kept",
    "lost",
    "projected",
    "pruned",
    "same_function",
    "seen",
    "softened",
    "term",
]

LOST = 0.3
"""An error of at least this many times the reference level counts as a lost colour."""

KEPT = 0.15
"""An error of at most this many times the reference level counts as a kept colour."""

FAITHFUL = 0.01
"""An error of at most this many times the reference level counts as a colour drawn faithfully."""

SAME = 1e-6
"""Outputs that differ by at most this count as the same function in float32."""

UNLIKE_RED = ("lime", "green", "teal", "cyan", "azure", "blue", "purple", "black", "gray", "white")
"""Colours that a selective edit of red leaves alone: hues at least 90 degrees away, and what has no hue."""

NEAR_RED = ("yellow", "magenta")
"""The hues 60 degrees from red, which share a full channel with it."""

RED = WeakLabel("redness", power=10, scale=0.5)
"""How the HSV grid is labelled: a pure red at half of its visits, which makes 0.24 % of all visits."""

VIBRANT = WeakLabel("vibrancy", power=100, scale=0.5)
"""How the HSV grid is labelled: a pure hue at half of its visits, which makes 1.9 % of all visits."""

SCARCE_RED = WeakLabel("redness", power=8, scale=0.08)
"""How the RGB cubes are labelled: a pure red at 8 % of its visits, which makes less than 0.1 % of all visits."""

SHORT_GRIDS = Grids(loss=(150, 24, 24), loss_hues=(-1 / 12, 13 / 12), display=(12, 4, 5))
"""Where the experiments over sixty seeds are measured: coarser, with the hues around red at both ends."""

SPREAD = Separate(power=100, shift=True)
"""Keeps the latents of a batch from crowding together; the high power acts on close neighbours only."""


def dopesheet(name: str) -> str:
    """The schedule of an experiment, as text."""
    return (files("excise.experiments") / "dopesheets" / f"{name}.csv").read_text(encoding="utf-8")


def first_axis(latent_dim: int, coordinate: int = 1) -> list[float]:
    """The point on the first axis of a latent at `coordinate`, where red is anchored; -1 is its far end."""
    return [coordinate, *[0] * (latent_dim - 1)]


def term(
    name: str, regularizer: Regularizer, *, layer: str = "bottleneck", on: str | None = None
) -> TermSpec:
    """A term that acts on the samples with the label `on`, or on every sample."""
    return TermSpec(
        name=name, regularizer=regularizer, layer=layer, affinities={} if on is None else {on: 1.0}
    )


def ablated(*dims: int) -> Edit:
    """The condition "ablated": dims of the bottleneck, with what writes and what reads them set to zero."""
    return Edit(condition="ablated", mode="ablate", layer="bottleneck", dims=dims)


def pruned(*dims: int) -> Edit:
    """The condition "pruned": dims of the bottleneck removed, so that the latent becomes narrower."""
    return Edit(condition="pruned", mode="prune", layer="bottleneck", dims=dims)


def softened(layer: str) -> tuple[Intervene, Intervene]:
    """The conditions "suppressed" and "repelled" of 2.2 to 2.5: the more, the nearer a latent lies to red."""
    red = first_axis(4)
    return (
        Intervene(
            condition="suppressed", layer=layer, intervention=Suppression(red, BoundedFalloff(0, 1, 2))
        ),
        Intervene(condition="repelled", layer=layer, intervention=Repulsion(red, BezierMapper(0, 0.5))),
    )


def projected(latent_dim: int) -> Intervene:
    """The condition "suppressed" of the sweeps: what points along the first axis is taken away whole."""
    return Intervene(
        condition="suppressed",
        layer="bottleneck",
        intervention=Suppression(first_axis(latent_dim), BoundedFalloff(0, 1, 0)),
    )


def seen(
    conditions: Iterable[str], *views: tuple[int, int, int]
) -> dict[str, tuple[tuple[int, int, int], ...]]:
    """The same views of the latents for several conditions."""
    return dict.fromkeys(conditions, views)


def drawn_faithfully() -> ErrorClaim:
    """The claim that the unedited model has learned every colour."""
    return ErrorClaim(
        claim="before any edit every colour is drawn faithfully",
        condition=BASELINE,
        holds="at most",
        times=FAITHFUL,
    )


def half_faithful(condition: str) -> ErrorClaim:
    """The claim that an edit leaves at least half of all colours as good as untouched."""
    return ErrorClaim(
        claim=f"{condition}, at least half of all colours are still drawn faithfully",
        condition=condition,
        statistic="median",
        holds="at most",
        times=FAITHFUL,
    )


def lost(condition: str, colors: tuple[str, ...], claim: str) -> ErrorClaim:
    """The claim that an edit takes every one of `colors`."""
    return ErrorClaim(claim=claim, condition=condition, colors=colors, holds="at least", times=LOST)


def kept(condition: str, colors: tuple[str, ...], claim: str) -> ErrorClaim:
    """The claim that an edit spares every one of `colors`."""
    return ErrorClaim(claim=claim, condition=condition, colors=colors, holds="at most", times=KEPT)


def same_function() -> Agreement:
    """The claim that removing dims of a normalised latent is the same as setting them to zero."""
    return Agreement(
        claim="pruned and ablated compute the same function",
        conditions=("ablated", "pruned"),
        tolerance=SAME,
    )
