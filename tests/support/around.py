"""A model around some module, trained in lockstep and by itself, for tests of what can be stacked."""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.testing import assert_close

from excise.anchoring import Anchor, Anchoring, Separate, Term, Unitarity
from excise.seeding import generator
from excise.stream import TensorStream
from excise.training import Outcome, fit, fit_lockstep

__all__ = ["SEEDS", "STREAM", "Around", "around", "assert_same", "both"]

SEEDS = [4, 0, 2]
COLORS = torch.rand(50, 3, generator=torch.Generator().manual_seed(0))
STREAM = TensorStream(COLORS, {"red": torch.full((50,), 0.1)}, batch_size=16)
ANCHORING = Anchoring(
    [
        Term("unit", Unitarity(), "middle"),
        Term("anchor", Anchor([1.0] + [0.0] * 7), "middle", {"red": 1.0}),
        Term("apart", Separate(power=10.0), "middle"),
    ]
)


class Around(nn.Module):
    """A model around some module, with a layer `middle` after it."""

    def __init__(
        self, inner: nn.Module, seed: int, width: int = 8, end: Callable[[Tensor], Any] = lambda y: y
    ) -> None:
        super().__init__()
        random = generator(seed, "init")
        self.first, self.inner = nn.Linear(3, width), inner
        self.middle, self.last = nn.Linear(width, 8), nn.Linear(8, 3)
        self.end = end
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.uniform_(-0.5, 0.5, generator=random)

    def forward(self, x: Tensor) -> Any:
        return self.end(self.last(self.middle(self.inner(self.first(x))).tanh()))


def by_descent(parameters: Any) -> torch.optim.SGD:
    return torch.optim.SGD(parameters, lr=1.0, momentum=0.9)


def around(make: Callable[[], nn.Module]) -> list[Around]:
    return [Around(make(), seed) for seed in SEEDS]


def both(models: list[Any], **settings: Any) -> tuple[list[Any], list[Any], list[Outcome]]:
    """The models as lockstep trains them, and as `fit` trains each, with the outcomes."""
    given: dict[str, Any] = {"stream": STREAM, "anchoring": ANCHORING, "steps": 8, "lr": 0.02}
    given |= {"optimizer": by_descent} | settings
    others = copy.deepcopy(models)
    outcomes = fit_lockstep(models, seeds=SEEDS, **given)
    for seed, model in zip(SEEDS, others, strict=True):
        fit(model, seed=seed, **given)
    return models, others, outcomes


def assert_same(models: list[Any], others: list[Any], *, atol: float = 0, rtol: float = 0) -> None:
    for model, other in zip(models, others, strict=True):
        assert_close(model.state_dict(), other.state_dict(), atol=atol, rtol=rtol)
