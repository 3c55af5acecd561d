"""A direction or subspace goes from the weights, as if it were taken out of every tensor that carries it."""

import copy
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from excise.errors import SettingError, ShapeError, UnfollowableError
from excise.surgery import ablate, plan_subspace, remove_subspace

WIDTH = 10


class Rms(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.rand(WIDTH) + 0.5)
        self.eps = 1e-5

    def forward(self, x: Tensor):
        return self.weight * x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps)


class PreNorm(nn.Module):
    """A residual stream that every block normalises before it reads; the last norm is read by the head."""

    def __init__(self, norm: Callable[[], nn.Module], tied: bool = False):
        super().__init__()
        self.embed = nn.Embedding(12, WIDTH)
        self.norms = nn.ModuleList(norm() for _ in range(3))
        self.up = nn.ModuleList(nn.Linear(WIDTH, 14) for _ in range(2))
        self.down = nn.ModuleList(nn.Linear(14, WIDTH) for _ in range(2))
        self.head = nn.Linear(WIDTH, 12, bias=False)
        if tied:
            self.head.weight = self.embed.weight

    def forward(self, tokens: Tensor):
        x = self.embed(tokens)
        for norm, up, down in zip(self.norms, self.up, self.down, strict=False):
            x = x + down(functional.gelu(up(norm(x))))
        return self.head(self.norms[2](x))


class PostNorm(nn.Module):
    """A norm whose output goes on as the stream: it is read, and added to."""

    def __init__(self):
        super().__init__()
        self.first, self.block = nn.Linear(4, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 3)

    def forward(self, x: Tensor):
        y = self.norm(self.first(x))
        return self.head(self.norm(y + self.block(y)))


def seeded(build: Callable[[], nn.Module], seed: int = 0) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build().eval()
        for name, parameter in model.named_parameters():
            if "norm" in name:
                nn.init.normal_(parameter, 0.8, 0.3)
    return model


def tokens(seed: int) -> Tensor:
    return torch.randint(0, 12, (3, 5), generator=torch.Generator().manual_seed(seed))


def vectors(count: int, seed: int = 5) -> Tensor:
    return torch.randn(count, WIDTH, generator=torch.Generator().manual_seed(seed))


def without(x: Tensor, basis: Tensor, gain: Tensor | None = None) -> Tensor:
    q = torch.linalg.qr(basis.T).Q
    plain = x if gain is None else x / gain
    plain = plain - plain @ q @ q.T
    return plain if gain is None else plain * gain


@contextmanager
def taken_out(model: nn.Module, basis: Tensor, plain: list[str], behind_gains: list[str]) -> Iterator[None]:
    """By hooks: out of norms in the units before their gain, then out of the outputs of some modules."""
    with ExitStack() as stack:
        for name in behind_gains:
            gain = cast(Tensor, model.get_submodule(name).weight).detach()
            change: Any = lambda _m, _a, y, gain=gain: without(y, basis, gain)  # noqa: E731 - one of several edits, chosen here
            stack.callback(model.get_submodule(name).register_forward_hook(change).remove)
        for name in plain:
            project: Any = lambda _m, _a, y: without(y, basis)  # noqa: E731 - one of several edits, chosen here
            stack.callback(model.get_submodule(name).register_forward_hook(project).remove)
        yield


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("norm", [Rms, lambda: nn.LayerNorm(WIDTH)])
@pytest.mark.parametrize("count", [1, 3])
def test_a_subspace_is_gone_from_a_stream_that_is_normalised_before_it_is_read(
    norm: Callable[[], nn.Module], tied: bool, count: int
):
    model, basis = seeded(lambda: PreNorm(norm, tied)), vectors(count)
    cut = remove_subspace(model, "embed", basis, "ablate", tokens(0))
    x = tokens(1)
    # A tied embedding lacks the subspace as a reader too, so that what it reads does.
    stream = ["embed", "down.0", "down.1", *(["norms.2"] if tied else [])]
    with taken_out(model, basis, stream, ["norms.0", "norms.1", "norms.2"]):
        reference = model(x)
    assert torch.allclose(cut(x), reference, atol=1e-5)
    assert not torch.allclose(cut(x), model(x), atol=1e-2)
    assert (cut.head.weight is cut.embed.weight) is tied


def test_only_weights_change_where_a_gain_can_be_folded():
    model = seeded(lambda: PreNorm(Rms))
    cut = remove_subspace(model, "embed", vectors(1), "ablate", tokens(0))
    assert [type(module) for module in cut.modules()] == [type(module) for module in model.modules()]
    assert set(cut.state_dict()) == set(model.state_dict())


def test_a_norm_whose_output_is_the_stream_projects_it():
    model, basis = seeded(PostNorm), vectors(2)
    x = torch.randn(6, 4, generator=torch.Generator().manual_seed(1))
    edit = plan_subspace(model, "first", basis, "ablate", x)
    with taken_out(model, basis, ["first", "block", "norm"], []):
        reference = model(x)
    assert torch.allclose(edit.apply(model)(x), reference, atol=1e-5)
    assert "took the place of norm" in edit.report.notes[0]


def test_pruning_a_subspace_gives_the_ablated_function_in_a_narrower_stream():
    model, basis = seeded(lambda: PreNorm(Rms)), vectors(2)
    edit = plan_subspace(model, "embed", basis, "prune", tokens(0))
    pruned, ablated = edit.apply(model), remove_subspace(model, "embed", basis, "ablate", tokens(0))
    x = tokens(2)
    assert torch.allclose(pruned(x), ablated(x), atol=1e-5)
    assert pruned.embed.weight.shape == (12, WIDTH - 2)
    assert edit.report.exactness == "exact after folding"


def test_an_axis_as_a_direction_goes_as_the_feature_does():
    model = nn.Sequential(nn.Linear(3, 6), nn.Linear(6, 2))
    x = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    one, other = remove_subspace(model, "0", torch.eye(6)[2]), ablate(model, "0", [2])
    assert torch.allclose(one(x), other(x), atol=1e-6)


def test_what_reads_the_stream_reads_nothing_of_the_subspace():
    model, basis = seeded(lambda: PreNorm(Rms)), vectors(1)
    cut = remove_subspace(model, "embed", basis, "ablate", tokens(0))
    unit, gain = functional.normalize(basis[0], dim=0), cut.norms[0].weight.detach()
    assert torch.allclose(cut.embed.weight @ unit, torch.zeros(12), atol=1e-6)
    assert torch.allclose(cut.up[0].weight @ (gain * unit), torch.zeros(14), atol=1e-6)


def test_the_model_is_untouched():
    model = seeded(lambda: PreNorm(Rms))
    before = copy.deepcopy(model.state_dict())
    remove_subspace(model, "embed", vectors(2), "prune", tokens(0))
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_part_of_a_direction_is_taken_where_sums_write_it():
    model = nn.Sequential(nn.Linear(3, WIDTH), nn.Linear(WIDTH, 2))
    x, unit = (
        torch.randn(4, 3, generator=torch.Generator().manual_seed(0)),
        functional.normalize(vectors(1)[0], dim=0),
    )
    cut: Any = remove_subspace(model, "0", unit, strength=0.25)
    assert torch.allclose(cut[0](x) @ unit, 0.75 * (model[0](x) @ unit), atol=1e-6)
    assert torch.equal(cut[1].weight, model.get_parameter("1.weight"))


@pytest.mark.parametrize(
    ("middle", "mode"),
    [(nn.GELU(), "ablate"), (nn.GELU(), "prune"), (nn.BatchNorm1d(6), "ablate"), (nn.LayerNorm(6), "prune")],
)
def test_what_does_not_turn_alike_is_refused_by_name(middle: nn.Module, mode: Any):
    model = nn.Sequential(nn.Linear(3, 6), middle, nn.Linear(6, 2))
    with pytest.raises(UnfollowableError, match=r"'1:"):
        plan_subspace(model, "0", torch.ones(6), mode)


def test_part_of_it_is_refused_behind_a_norm():
    model = seeded(lambda: PreNorm(Rms))
    with pytest.raises(UnfollowableError, match=r"norms\.0"):
        plan_subspace(model, "embed", vectors(1), "ablate", tokens(0), strength=0.5)


@pytest.mark.parametrize(
    ("basis", "error"),
    [
        (torch.ones(5), ShapeError),
        (torch.zeros(6), SettingError),
        (torch.ones(2, 6), SettingError),
        (torch.eye(6), SettingError),
        (torch.ones(6, dtype=torch.int64), SettingError),
        (torch.full((6,), float("nan")), SettingError),
    ],
)
def test_what_is_no_basis_of_a_subspace_is_refused(basis: Any, error: type[Exception]):
    with pytest.raises(error):
        plan_subspace(nn.Sequential(nn.Linear(3, 6), nn.Linear(6, 2)), "0", basis)


@pytest.mark.parametrize("strength", [0.0, -1.0, 1.5])
def test_a_strength_lies_above_zero_and_not_above_one(strength: float):
    with pytest.raises(SettingError, match="strength"):
        plan_subspace(nn.Sequential(nn.Linear(3, 6), nn.Linear(6, 2)), "0", torch.ones(6), strength=strength)
