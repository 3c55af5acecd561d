import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from excise.surgery import ablate, prune


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("layer", ["encoder", "encoder.2", "bottleneck"])
@pytest.mark.parametrize("dims", [[0], [1, 3], [2, 0, 1]])
def test_prune_equals_ablate_on_a_normalised_latent(
    autoencoder: Callable[..., Any],
    inputs: Callable[..., Any],
    dtype: torch.dtype,
    layer: str,
    dims: Any,
):
    tolerance = {torch.float32: 1e-7, torch.float64: 1e-14}[dtype]
    for seed in range(8):
        model = autoencoder(seed, dtype=dtype)
        x = inputs(seed, dtype)
        pruned, ablated = prune(model, layer, dims)(x), ablate(model, layer, dims)(x)
        assert (pruned - ablated).abs().max() <= tolerance
        assert (pruned - model(x)).abs().max() > 1e-3


def test_cutting_the_reader_alone_is_not_pruning_on_a_normalised_latent(
    autoencoder: Callable[..., Any], inputs: Callable[..., Any]
):
    model = autoencoder(dtype=torch.float64)
    x = inputs(dtype=torch.float64)
    reader_only = copy.deepcopy(model)
    with torch.no_grad():
        reader_only.decoder[0].weight[:, [0]] = 0
        # Without the writer's rows, the removed feature still counts in the norm of the others.
        assert (reader_only(x) - prune(model, "bottleneck", [0])(x)).abs().max() > 1e-3


def test_prune_of_the_ablated_model_is_prune_of_the_original(autoencoder: Callable[..., Any]):
    model = autoencoder()
    once, twice = (
        prune(model, "bottleneck", [0, 2]),
        prune(ablate(model, "bottleneck", [0, 2]), "encoder", [0, 2]),
    )
    for one, other in zip(once.parameters(), twice.parameters(), strict=True):
        assert torch.equal(one, other)


def test_prune_keeps_the_order_of_what_stays(autoencoder: Callable[..., Any]):
    model = autoencoder(latent=8)
    pruned = prune(model, "bottleneck", [2, 0])
    stays = [1, 3, 4, 5, 6, 7]
    assert torch.equal(pruned.encoder[2].weight, model.encoder[2].weight[stays])
    assert torch.equal(pruned.encoder[2].bias, model.encoder[2].bias[stays])
    assert torch.equal(pruned.decoder[0].weight, model.decoder[0].weight[:, stays])
    assert torch.equal(pruned.decoder[0].bias, model.decoder[0].bias)


def test_prune_narrows_the_latent_and_says_so_in_the_linears(
    autoencoder: Callable[..., Any], inputs: Callable[..., Any]
):
    pruned = prune(autoencoder(), "bottleneck", [0])
    assert pruned.encoder(inputs()).shape == (64, 3)
    assert (pruned.encoder[2].in_features, pruned.encoder[2].out_features) == (16, 3)
    assert (pruned.decoder[0].in_features, pruned.decoder[0].out_features) == (3, 16)
    assert sum(p.numel() for p in pruned.parameters()) == 263 - 16 - 1 - 16


class Shuffled(nn.Module):
    """Registered in another order than called, among modules of the same sizes that are not on the way."""

    def __init__(self):
        super().__init__()
        self.read = nn.Linear(4, 3)
        self.unused = nn.Linear(4, 3)
        self.side = nn.Linear(3, 4)
        self.out = nn.Linear(3, 2)
        self.write = nn.Linear(3, 4)
        self.side_read = nn.Linear(4, 3)
        self.act = nn.Tanh()

    def forward(self, x: Tensor):
        aside = self.side(x)
        latent = self.act(self.write(x))
        return self.out(self.read(latent) + self.side_read(aside))


def test_the_data_flow_decides_and_neither_registration_order_nor_size(inputs: Callable[..., Any]):
    torch.manual_seed(0)
    model = Shuffled()
    pruned, ablated = prune(model, "act", [1]), ablate(model, "act", [1])
    assert pruned.write.out_features == pruned.read.in_features == 3
    for name in ("unused", "side", "side_read", "out"):
        assert torch.equal(getattr(pruned, name).weight, getattr(model, name).weight)
        assert torch.equal(getattr(ablated, name).weight, getattr(model, name).weight)
    assert torch.allclose(pruned(inputs()), ablated(inputs()), atol=1e-6)


class Siamese(nn.Module):
    """One encoder called on two inputs, whose features two different Linears read."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Linear(3, 4)
        self.first = nn.Linear(4, 2)
        self.second = nn.Linear(4, 2, bias=False)

    def forward(self, x: Tensor):
        return self.first(self.encoder(x)), self.second(functional.relu(self.encoder(-x)))


def test_a_writer_called_twice_is_cut_once_and_both_its_readers_too(inputs: Callable[..., Any]):
    torch.manual_seed(0)
    model = Siamese()
    pruned, ablated = prune(model, "encoder", [0, 1]), ablate(model, "encoder", [0, 1])
    assert pruned.encoder.out_features == pruned.first.in_features == pruned.second.in_features == 2
    for one, other in zip(pruned(inputs()), ablated(inputs()), strict=True):
        assert torch.allclose(one, other, atol=1e-6)


class Equipped(nn.Module):
    """Has all that an edit must leave alone: ties, frozen parameters, buffers, hooks, remembered tensors."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(3, 3, bias=False)
        self.body = nn.Sequential(nn.Linear(3, 4), nn.GELU(), nn.Linear(4, 3))
        self.unembed = nn.Linear(3, 3, bias=False)
        self.unembed.weight = self.embed.weight
        self.body[0].weight.requires_grad_(False)
        self.register_buffer("calls", torch.tensor(0.0))
        self.seen = None

    def forward(self, x: Tensor):
        self.calls += 1
        self.seen = self.body(self.embed(x))
        return self.unembed(self.seen)


def remember(model: nn.Module, *_: Any):
    """A hook that writes into the module that it runs on, and into nothing else."""
    model.register_buffer("ran", torch.ones(1))


@pytest.mark.parametrize("cut", [prune, ablate])
def test_what_an_edit_does_not_touch_survives_in_the_copy(
    cut: Callable[..., Any], inputs: Callable[..., Any]
):
    torch.manual_seed(0)
    model = Equipped().double().eval()
    model.body.train()
    model(inputs(dtype=torch.float64))
    model.embed.register_forward_hook(remember)
    edited = cut(model, "body.1", [0])
    assert edited.unembed.weight is edited.embed.weight
    assert edited.embed.weight is not model.embed.weight
    assert not edited.body[0].weight.requires_grad
    assert edited.body[2].weight.requires_grad
    assert edited.body[0].weight.dtype == torch.float64
    assert (edited.training, edited.body.training) == (False, True)
    assert edited.calls == 1
    assert not hasattr(edited.embed, "ran")
    edited(inputs(dtype=torch.float64))
    assert edited.embed.ran
    assert not hasattr(model.embed, "ran")


@pytest.mark.parametrize("cut", [prune, ablate])
def test_the_original_is_bit_identical_afterwards(cut: Callable[..., Any], inputs: Callable[..., Any]):
    torch.manual_seed(0)
    model = Equipped()
    model.embed.register_forward_hook(remember)
    before = copy.deepcopy(model.state_dict())
    attributes, random_state = set(vars(model)), torch.get_rng_state()
    edited = cut(model, "body.0", [0], inputs())
    assert vars(model).keys() == attributes
    assert model.seen is None
    assert torch.equal(torch.get_rng_state(), random_state)
    assert before.keys() == model.state_dict().keys()
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
    with torch.no_grad():
        for parameter in edited.parameters():
            parameter.fill_(7)
    assert torch.equal(model.state_dict()["body.0.bias"], before["body.0.bias"])
