import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from excise.color import L2Norm, NormalizedMLP, PlainMLP
from excise.errors import SettingError
from excise.seeding import generator

MODELS: dict[str, Callable[..., Any]] = {"normalized": NormalizedMLP, "plain": PlainMLP}


def colors(count: int = 64):
    return torch.rand(count, 3, generator=generator(0, "inputs"))


def count(model: nn.Module):
    return sum(parameter.numel() for parameter in model.parameters())


def shapes(model: nn.Module):
    return {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}


def test_the_two_models_of_the_experiments_have_263_and_840_parameters():
    assert count(NormalizedMLP(4)) == 263
    assert count(NormalizedMLP(5, depth=2)) == 840
    assert count(PlainMLP(4)) == 263


def test_layers_have_the_names_and_the_order_of_the_experiments():
    assert [name for name, _ in NormalizedMLP().named_children()] == ["encoder", "bottleneck", "decoder"]
    assert [name for name, _ in PlainMLP().named_children()] == ["encoder", "decoder"]
    assert shapes(NormalizedMLP(5, depth=2)) == {
        "encoder.0.weight": (16, 3), "encoder.0.bias": (16,),
        "encoder.2.weight": (16, 16), "encoder.2.bias": (16,),
        "encoder.4.weight": (5, 16), "encoder.4.bias": (5,),
        "decoder.0.weight": (16, 5), "decoder.0.bias": (16,),
        "decoder.2.weight": (16, 16), "decoder.2.bias": (16,),
        "decoder.4.weight": (3, 16), "decoder.4.bias": (3,),
    }  # fmt: skip


@pytest.mark.parametrize("sigmoid", [False, True], ids=["linear", "sigmoid"])
def test_the_normalised_model_is_its_formula_with_the_exact_gelu(sigmoid: bool):
    def gelu(x: torch.Tensor):
        return x * (1 + torch.erf(x / math.sqrt(2))) / 2

    model = NormalizedMLP(sigmoid=sigmoid, generator=generator(0, "init")).double()
    w1, b1, w2, b2, w3, b3, w4, b4 = model.parameters()
    x = 4 * colors().double()
    latent = gelu(x @ w1.T + b1) @ w2.T + b2
    latent = latent / latent.square().sum(dim=1, keepdim=True).sqrt()
    output = gelu(latent @ w3.T + b3) @ w4.T + b4
    assert_close(model(x), output.sigmoid() if sigmoid else output, atol=1e-12, rtol=0)
    tanh_form = nn.functional.gelu(x, approximate="tanh")
    assert (gelu(x) - tanh_form).abs().max() > 1e-4, "the two forms of GELU must differ on these inputs"


def test_the_plain_model_has_a_free_latent_and_a_sigmoid_output():
    model = PlainMLP(generator=generator(0, "init"))
    latents = model.encoder(colors())
    assert (latents.norm(dim=1) - 1).abs().max() > 0.1
    assert isinstance(model.decoder[-1], nn.Sigmoid)
    assert_close(model(colors()), model.decoder(latents))


def test_the_output_is_clamped_in_evaluation_only():
    model = NormalizedMLP(generator=generator(0, "init"))
    with torch.no_grad():
        list(model.parameters())[-1].copy_(torch.tensor([3.0, -3.0, 0.5]))
    x = colors()
    drawn = model.train()(x)
    assert drawn[:, 0].min() > 1
    assert drawn[:, 1].max() < 0
    assert torch.equal(model.eval()(x), drawn.clamp(0, 1))


def test_latents_lie_on_the_unit_sphere_in_the_direction_of_the_encoding():
    model = NormalizedMLP(5, depth=2, generator=generator(0, "init"))
    encoded = model.encoder(colors())
    latents = model.bottleneck(encoded)
    assert_close(latents.norm(dim=1), torch.ones(64))
    assert_close(latents * encoded.norm(dim=1, keepdim=True), encoded)
    assert (encoded.norm(dim=1) - 1).abs().max() > 0.1


def test_l2norm_scales_the_last_axis_and_leaves_zero_finite():
    assert_close(
        L2Norm()(torch.tensor([[[3.0, 4.0]], [[0.0, -2.0]]])), torch.tensor([[[0.6, 0.8]], [[0.0, -1.0]]])
    )
    assert torch.equal(L2Norm()(torch.zeros(2, 3)), torch.zeros(2, 3))


@pytest.mark.parametrize("name", MODELS)
def test_initial_weights_fill_one_over_the_root_of_fan_in(name: str):
    model = MODELS[name](generator=generator(0, "init"), hidden=256)
    linears = [module for module in model.modules() if isinstance(module, nn.Linear)]
    for linear in linears:
        bound = linear.in_features**-0.5
        assert linear.weight.abs().max() <= bound
        assert linear.bias.abs().max() <= bound
    # A uniform distribution on (-bound, bound) has a standard deviation of bound / sqrt(3), and mean 0.
    weights = torch.cat([(m.weight.detach() * m.in_features**0.5).flatten() for m in linears])
    assert float(weights.std()) == pytest.approx(3**-0.5, rel=0.05)
    assert float(weights.mean()) == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize("name", MODELS)
def test_one_generator_gives_the_same_bits_and_another_gives_others(name: str):
    def weights(seed: int, global_seed: int):
        torch.manual_seed(global_seed)
        model = MODELS[name](generator=generator(seed, "init"))
        return torch.cat([parameter.flatten() for parameter in model.parameters()])

    assert torch.equal(weights(0, 1), weights(0, 2))
    assert not torch.equal(weights(0, 1), weights(1, 1))


@pytest.mark.parametrize("name", MODELS)
def test_without_a_generator_torchs_global_one_fixes_the_weights(name: str):
    def weights(global_seed: int):
        torch.manual_seed(global_seed)
        return torch.cat([parameter.flatten() for parameter in MODELS[name]().parameters()])

    assert torch.equal(weights(0), weights(0))
    assert not torch.equal(weights(0), weights(1))


@pytest.mark.parametrize("name", MODELS)
def test_colours_of_any_leading_shape_are_drawn_alike(name: str):
    model = MODELS[name](generator=generator(0, "init")).eval()
    x = colors(24)
    assert_close(model(x.reshape(2, 3, 4, 3)).reshape(24, 3), model(x))
    assert_close(model(x[0]), model(x)[0])


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("normalized", {"latent_dim": 1}),
        ("normalized", {"hidden": 0}),
        ("normalized", {"depth": 0}),
        ("plain", {"latent_dim": 0}),
        ("plain", {"hidden": 0}),
    ],
    ids=["one-latent", "no-width", "no-depth", "plain-no-latent", "plain-no-width"],
)
def test_a_size_below_its_minimum_is_refused(name: str, settings: dict[str, int]):
    (setting, value), *_ = settings.items()
    with pytest.raises(SettingError, match=f"{setting}={value}"):
        MODELS[name](**settings)
