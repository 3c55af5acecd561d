"""Small trainings of the colour autoencoder with every regularizer, for tests of training many seeds."""

from typing import Any

import torch
from torch import Tensor, nn

from excise.anchoring import (
    Anchor,
    Anchoring,
    AngularAnchor,
    AntiAnchor,
    AxisAlignedSubspace,
    Planarity,
    Separate,
    Term,
    Unitarity,
)
from excise.color import NormalizedMLP, WeakLabel, hsv_stream
from excise.schedule import Dopesheet
from excise.seeding import generator
from excise.training import Outcome, fit_lockstep

__all__ = ["ALL", "LABELS", "STREAM", "TERMS", "models_of", "rows_of", "trained", "weights_of"]

LABELS = {"red": WeakLabel("redness", 2.0, 0.6), "vibrant": WeakLabel("vibrancy", 10.0, 0.5)}
STREAM = hsv_stream(LABELS, batch_size=20, hues=12, saturations=4, values=4)


def crowd(activations: Tensor) -> Tensor:
    """A regularizer of the user's own."""
    return (activations - activations.mean(dim=0)).abs().sum(dim=-1)


TERMS = [
    Term("unit", Unitarity(), "encoder"),
    Term("anchor", Anchor([1, 0, 0, 0]), "bottleneck", {"red": 1.0}),
    Term("turn", AngularAnchor([0, 1, 0, 0]), "bottleneck", {"vibrant": 0.5, "red": 0.5}),
    Term("empty", AntiAnchor([0, 0, 1, 0]), "bottleneck"),
    Term("planar", Planarity(), "bottleneck", {"vibrant": 1.0}),
    Term("inside", AxisAlignedSubspace((3,), inverted=True), "encoder"),
    Term("apart", Separate(power=100.0), "bottleneck"),
    Term("near", Separate(power=3.0), "bottleneck"),
    Term("crowd", crowd, "encoder", {"red": 1.0}),
]
SHEET = Dopesheet.parse(
    "STEP,lr,unit,anchor,turn,empty,planar,inside,apart,near,crowd\n"
    "0,0.1,0.1,0.1,0.05,0.1,0.1,0.01,0.1,0.01,0.01\n39,0.05,0,0.1,0.05,0.1,0,0.01,0,0.01,0.01\n"
)
ALL = Anchoring(TERMS, SHEET)


def models_of(seeds: list[int], hidden: int = 16) -> list[NormalizedMLP]:
    return [NormalizedMLP(hidden=hidden, generator=generator(seed, "init")) for seed in seeds]


def weights_of(model: nn.Module) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def trained(seeds: list[int], hidden: int = 16, **settings: Any) -> dict[int, tuple[Tensor, Outcome]]:
    """For each seed its weights and its outcome."""
    models = models_of(seeds, hidden)
    outcomes = fit_lockstep(
        models, settings.pop("stream", STREAM), settings.pop("anchoring", ALL), seeds=seeds, **settings
    )
    return {
        seed: (weights_of(model), outcome)
        for seed, model, outcome in zip(seeds, models, outcomes, strict=True)
    }


def rows_of(outcome: Outcome) -> list[dict[str, float]]:
    return [snapshot.row() for snapshot in outcome.snapshots]
