import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from excise.errors import UnfollowableError
from excise.surgery import ablate, plan, prune


class Computing(nn.Module):
    """Writer -> ReLU -> reader, with something of its own done to what the reader gives."""

    def __init__(self, finish: Callable[[Any, Tensor], Tensor]):
        super().__init__()
        torch.manual_seed(0)
        self.writer, self.reader = nn.Linear(3, 4), nn.Linear(4, 2)
        self.width = 4
        self.finish = finish

    def forward(self, x: Tensor):
        return self.finish(self, self.reader(torch.relu(self.writer(x))))


@pytest.mark.parametrize(
    ("finish", "culprit"),
    [
        (lambda m, y: y / math.sqrt(m.writer.out_features), "truediv"),
        (lambda m, y: y.sum() / m.reader.in_features, "truediv"),
        (lambda m, y: torch.add(y, y, alpha=m.reader.in_features), "add"),
        (lambda m, y: y * torch.tensor(1 / m.writer.out_features), "mul"),
        (lambda m, y: y @ torch.ones(2, m.writer.out_features), "matmul"),
        (lambda m, y: y.relu() if m.writer.out_features == 4 else y.tanh(), "relu"),
        (lambda m, y: y.relu() if m.writer.out_features == 4 else y, "relu"),
        (lambda m, y: y if m.writer.out_features == 4 else y.relu(), "output"),
    ],
)
def test_a_forward_pass_that_computes_with_the_width_is_not_pruned(
    finish: Callable[..., Any], culprit: str, inputs: Callable[..., Any]
):
    model = Computing(finish)
    with pytest.raises(
        UnfollowableError, match="a constant in it changes once 'writer' is narrower"
    ) as caught:
        prune(model, "writer", [0])
    assert caught.value.culprit == culprit
    ablated = ablate(model, "writer", [0])
    with torch.no_grad():
        model.writer.weight[0] = model.writer.bias[0] = 0
        model.reader.weight[:, 0] = 0
    assert torch.equal(ablated(inputs()), model(inputs()))


def test_the_numbers_that_change_are_shown():
    with pytest.raises(UnfollowableError, match=r"`truediv\(reader, 4\)` becomes `truediv\(reader, 3\)`"):
        prune(Computing(lambda m, y: y / m.writer.out_features), "writer", [0])
    with pytest.raises(UnfollowableError, match=r"`4, shape \[\]` becomes `3, shape \[\]`"):
        prune(Computing(lambda m, y: y * torch.tensor(m.writer.out_features)), "writer", [0])


def test_the_module_that_computes_with_the_width_is_named():
    class Scaling(nn.Module):
        def __init__(self, linear: nn.Linear):
            super().__init__()
            self.linear = linear

        def forward(self, x: Tensor):
            return self.linear(x) * self.linear.in_features

    model = nn.Sequential(nn.Linear(3, 4), nn.GELU(), Scaling(nn.Linear(4, 2)))
    with pytest.raises(UnfollowableError, match=r"'2 \(mul\)' is in the way"):
        plan(model, "0", [1])
    assert plan(model, "0", [1], mode="ablate").report.readers == ("2.linear",)


def test_a_forward_pass_that_fails_on_the_narrower_layer_is_not_pruned():
    def finish(model: Any, y: Tensor):
        if model.writer.out_features != 4:
            raise ValueError("four, please")
        return y

    with pytest.raises(
        UnfollowableError, match=r"fails once 'writer' is narrower \(ValueError: four, please\)"
    ):
        prune(Computing(finish), "writer", [0])
    ablate(Computing(finish), "writer", [0])


@pytest.mark.parametrize(
    "finish",
    [
        lambda m, y: y / math.sqrt(m.width),
        lambda m, y: y / m.writer.in_features + m.reader.out_features,
        lambda m, y: y + torch.rand(2) + random.random() + np.random.rand(),  # noqa: NPY002 - as users' code may
        lambda m, y: y.relu() if random.random() < 0.5 else y.tanh(),
        lambda m, y: y * float("nan"),
        lambda m, y: y * torch.tensor([float("nan"), 1.0]),
    ],
)
def test_constants_that_stay_and_random_ones_do_not_matter(finish: Callable[..., Any]):
    model = Computing(finish)
    for _ in range(5):
        assert prune(model, "writer", [0]).reader.in_features == 3


def test_constants_that_differ_at_every_recording_do_not_matter():
    calls = iter(range(100))
    assert prune(Computing(lambda m, y: y * next(calls)), "writer", [0]).reader.in_features == 3
