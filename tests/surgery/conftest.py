"""The small models that surgery is tested on."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional


class L2Norm(nn.Module):
    def forward(self, x: Tensor):
        return functional.normalize(x, dim=-1)


class Autoencoder(nn.Module):
    def __init__(self, latent: int, bottleneck: nn.Module):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(3, 16), nn.GELU(), nn.Linear(16, latent))
        self.bottleneck = bottleneck
        self.decoder = nn.Sequential(nn.Linear(latent, 16), nn.GELU(), nn.Linear(16, 3))

    def forward(self, x: Tensor):
        return self.decoder(self.bottleneck(self.encoder(x)))


class Function(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]):
        super().__init__()
        self.function = function

    def forward(self, x: Tensor):
        return self.function(x)


class Between(nn.Module):
    def __init__(self, middle: Any):
        super().__init__()
        self.writer = nn.Linear(3, 4)
        self.middle = middle
        self.reader = nn.Linear(4, 2)

    def forward(self, x: Tensor):
        return self.reader(self.middle(self.writer(x)))


def pytest_collection_modifyitems(items: list[pytest.Item]):
    """Tests of one animal of the zoo come one after the other, so that a worker plans its edits once."""
    animals = [
        item for item in items if item.path.name == "test_zoo.py" and isinstance(item, pytest.Function)
    ]
    ordered = iter(sorted(animals, key=lambda item: str(item.callspec.params["name"])))
    items[:] = [next(ordered) if item in animals else item for item in items]


@pytest.fixture
def autoencoder():
    """Makes an autoencoder whose latent is L2-normalised, or goes through another bottleneck."""

    def make(
        seed: int = 0,
        latent: int = 4,
        dtype: torch.dtype = torch.float32,
        bottleneck: nn.Module | None = None,
    ):
        torch.manual_seed(seed)
        return Autoencoder(latent, bottleneck or L2Norm()).to(dtype)

    return make


@pytest.fixture
def between():
    """Makes writer -> middle -> reader, where the middle is a module or a function."""

    def make(middle: Any, seed: int = 0):
        torch.manual_seed(seed)
        return Between(middle if isinstance(middle, nn.Module) else Function(middle))

    return make


@pytest.fixture
def inputs():
    """Makes a batch of inputs `[64, 3]`."""

    def make(seed: int = 1, dtype: torch.dtype = torch.float32):
        return torch.randn(64, 3, generator=torch.Generator().manual_seed(seed), dtype=dtype)

    return make
