import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from excise.errors import UnfollowableError
from excise.surgery import ablate


def test_ablate_zeroes_the_writers_rows_and_the_readers_columns_and_no_more(autoencoder: Callable[..., Any]):
    model = autoencoder()
    expected = copy.deepcopy(model)
    with torch.no_grad():
        expected.encoder[2].weight[[0, 2]] = 0
        expected.encoder[2].bias[[0, 2]] = 0
        expected.decoder[0].weight[:, [0, 2]] = 0
    ablated = ablate(model, "bottleneck", [0, 2])
    for (name, one), other in zip(ablated.named_parameters(), expected.parameters(), strict=True):
        assert torch.equal(one, other), name


def test_ablate_is_idempotent(autoencoder: Callable[..., Any]):
    once = ablate(autoencoder(), "bottleneck", [1])
    twice = ablate(once, "bottleneck", [1])
    for one, other in zip(once.parameters(), twice.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("bottleneck", [None, nn.GELU(), nn.Tanh()])
def test_ablate_is_zeroing_the_encoders_output_before_the_norm(
    autoencoder: Callable[..., Any], inputs: Callable[..., Any], bottleneck: nn.Module | None
):
    model = autoencoder(dtype=torch.float64, bottleneck=bottleneck)
    x = inputs(dtype=torch.float64)
    kept = torch.tensor([1.0, 0.0, 1.0, 1.0], dtype=torch.float64)

    def run_with_zeroed(layer: str):
        handle = model.get_submodule(layer).register_forward_hook(lambda _m, _i, output: output * kept)
        try:
            return model(x)
        finally:
            handle.remove()

    ablated = ablate(model, "bottleneck", [1])(x)
    assert (ablated - run_with_zeroed("encoder")).abs().max() < 1e-14
    if bottleneck is None:
        assert (ablated - run_with_zeroed("bottleneck")).abs().max() > 1e-3


def test_no_gradient_reaches_what_was_cut_so_training_cannot_bring_it_back(
    autoencoder: Callable[..., Any], inputs: Callable[..., Any]
):
    x = inputs()

    def cut_values(model: Any):
        return [model.encoder[2].weight[[0]], model.encoder[2].bias[[0]], model.decoder[0].weight[:, [0]]]

    def trained(model: Any):
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        for _ in range(20):
            optimizer.zero_grad()
            (model(x) - x).square().mean().backward()
            optimizer.step()
        return model

    ablated = trained(ablate(autoencoder(), "bottleneck", [0]))
    assert all(not values.any() for values in cut_values(ablated))
    assert not ablated.encoder[2].weight.grad[0].any()
    assert not ablated.decoder[0].weight.grad[:, 0].any()
    assert ablated.encoder[2].weight.grad[1].any()

    half_cut = autoencoder()
    with torch.no_grad():
        half_cut.decoder[0].weight[:, 0] = 0
    assert all(values.any() for values in cut_values(trained(half_cut)))


def test_behind_a_sigmoid_the_cut_is_exact_but_the_reader_can_relearn_a_constant(
    autoencoder: Callable[..., Any], inputs: Callable[..., Any]
):
    model = ablate(autoencoder(bottleneck=nn.Sigmoid()), "bottleneck", [0], example_inputs=inputs())
    model(inputs()).square().mean().backward()
    assert not model.encoder[2].weight.grad[0].any()
    assert model.decoder[0].weight.grad[:, 0].any()


@pytest.mark.parametrize("strength", [0.25, 0.5])
def test_half_an_ablation_takes_half_of_what_a_whole_one_takes(
    autoencoder: Callable[..., Any], inputs: Callable[..., Any], strength: float
):
    model, x = autoencoder(dtype=torch.float64, bottleneck=nn.Identity()), inputs(dtype=torch.float64)
    kept = torch.tensor([1.0, 1.0 - strength, 1.0, 1.0], dtype=torch.float64)
    part = ablate(model, "encoder", [1], x, strength=strength)
    assert (part(x) - model.decoder(model.encoder(x) * kept)).abs().max() < 1e-14
    # What reads the features stays whole, and reads less.
    assert torch.equal(part.decoder[0].weight, model.decoder[0].weight)


def test_part_of_a_feature_behind_a_nonlinearity_has_no_weight_form(autoencoder: Callable[..., Any]):
    for bottleneck in (None, nn.GELU()):
        with pytest.raises(UnfollowableError, match="not linear"):
            ablate(autoencoder(bottleneck=bottleneck), "encoder", [1], strength=0.5)
