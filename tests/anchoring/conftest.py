"""The small model that anchorings are attached to, its batch, and the terms of experiment 2.6."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from excise.anchoring import Anchor, Planarity, Separate, Term, Unitarity


class Sphere(nn.Module):
    def forward(self, x: Tensor):
        return functional.normalize(x, dim=-1)


class Autoencoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(3, 8), nn.GELU(), nn.Linear(8, 4))
        self.bottleneck = Sphere()
        self.decoder = nn.Linear(4, 3)

    def forward(self, x: Tensor):
        return self.decoder(self.bottleneck(self.encoder(x)))


@pytest.fixture
def autoencoder() -> Callable[..., Autoencoder]:
    """Makes a float64 autoencoder with layers encoder [batch, 4], bottleneck [batch, 4] and decoder."""

    def make(seed: int = 0):
        torch.manual_seed(seed)
        return Autoencoder().double()

    return make


@pytest.fixture
def inputs() -> Tensor:
    """Sixteen inputs `[16, 3]`."""
    return torch.rand(16, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.fixture
def labels() -> dict[str, Tensor]:
    """Which of them are red or vibrant: a quarter and a half."""
    rows = torch.arange(16)
    return {"red": (rows % 4 == 0).double(), "vibrant": (rows % 2).double()}


@pytest.fixture
def terms() -> list[Term]:
    """Terms on two layers, with and without labels."""
    return [
        Term("unit", Unitarity(), "encoder"),
        Term("anchor", Anchor([1.0, 0.0, 0.0, 0.0]), "bottleneck", {"red": 1.0}),
        Term("separate", Separate(power=10.0, shift=True), "bottleneck"),
        Term("planar", Planarity(), "bottleneck", {"vibrant": 0.5, "red": 0.25}),
    ]
