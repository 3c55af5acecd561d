"""`keep_constants`: what functions make of zeroed features stays, in the biases of what reads it."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from excise.errors import SettingError, UnfollowableError
from excise.surgery import ablate, plan

DIMS = [1, 3]


def normed(channels: int) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(channels)
    nn.init.uniform_(norm.bias, 0.5, 1.5)
    norm.get_buffer("running_mean").normal_()
    return norm


def images(seed: int) -> Tensor:
    return torch.randn(3, 2, 8, 8, generator=torch.Generator().manual_seed(seed))


def rows(seed: int) -> Tensor:
    return torch.randn(5, 3, generator=torch.Generator().manual_seed(seed))


class Unread(nn.Module):
    """A sigmoid that two Linears read."""

    def __init__(self):
        super().__init__()
        self.writer, self.one, self.other = nn.Linear(3, 6), nn.Linear(6, 2), nn.Linear(6, 2)

    def forward(self, x: Tensor):
        y = self.writer(x).sigmoid()
        return self.one(y) * self.other(y)


CASES: dict[str, tuple[Callable[[], nn.Module], str, int, Callable[[int], Tensor]]] = {
    "sigmoid": (lambda: nn.Sequential(nn.Linear(3, 6), nn.Sigmoid(), nn.Linear(6, 2)), "0", -1, rows),
    "two readers": (Unread, "writer", -1, rows),
    "batch norm": (
        lambda: nn.Sequential(nn.Conv2d(2, 5, 3), normed(5), nn.ReLU(), nn.Conv2d(5, 3, 3), nn.Flatten()),
        "0",
        1,
        images,
    ),
    "flattened": (
        lambda: nn.Sequential(nn.Conv2d(2, 5, 3), normed(5), nn.Flatten(), nn.Linear(180, 2)),
        "0",
        1,
        images,
    ),
    "nothing is left": (lambda: nn.Sequential(nn.Linear(3, 6), nn.GELU(), nn.Linear(6, 2)), "0", -1, rows),
}


def zeroed_there(model: nn.Module, layer: str, axis: int, x: Tensor) -> Tensor:
    """The model with the features zeroed at their place only, by a hook."""
    hook = model.get_submodule(layer).register_forward_hook(
        lambda _m, _a, y: y.index_fill(axis, torch.tensor(DIMS), 0)
    )
    try:
        return model(x)
    finally:
        hook.remove()


@pytest.mark.parametrize("mode", ["ablate", "prune"])
@pytest.mark.parametrize("name", CASES)
def test_the_model_runs_on_as_if_the_features_were_zeroed_at_their_place_only(name: str, mode: Any):
    build, layer, axis, inputs = CASES[name]
    torch.manual_seed(0)
    model = build().eval()
    edit = plan(model, layer, DIMS, mode, inputs(0), keep_constants=True)
    x = inputs(1)
    assert torch.allclose(edit.apply(model)(x), zeroed_there(model, layer, axis, x), atol=1e-5)
    plain = ablate(model, layer, DIMS, inputs(0))(x)
    assert torch.allclose(plain, zeroed_there(model, layer, axis, x), atol=1e-3) is (
        name == "nothing is left"
    )
    assert bool(edit.rewrite.shifts) is (name != "nothing is left")


@pytest.mark.parametrize(
    ("build", "inputs", "told"),
    [
        (lambda: nn.Sequential(nn.Linear(3, 6), nn.Sigmoid(), nn.Linear(6, 2, bias=False)), rows, "no bias"),
        (lambda: nn.Sequential(nn.Linear(3, 6), nn.LayerNorm(6), nn.Linear(6, 2)), rows, "no constant"),
        (
            lambda: nn.Sequential(
                nn.Conv2d(2, 5, 3), normed(5), nn.ReLU(), nn.Conv2d(5, 3, 3, padding=1), nn.Flatten()
            ),
            images,
            "edges",
        ),
    ],
)
def test_constants_that_nothing_can_take_up_are_refused(
    build: Callable[[], nn.Module], inputs: Callable[[int], Tensor], told: str
):
    torch.manual_seed(0)
    with pytest.raises(UnfollowableError, match=told):
        plan(build().eval(), "0", DIMS, "ablate", inputs(0), keep_constants=True)


def test_constants_are_kept_of_features_that_go_whole():
    with pytest.raises(SettingError, match="keep_constants"):
        plan(
            nn.Sequential(nn.Linear(3, 6), nn.Linear(6, 2)),
            "0",
            [1],
            "ablate",
            strength=0.5,
            keep_constants=True,
        )
