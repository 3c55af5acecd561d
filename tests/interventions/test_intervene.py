import copy

import pytest
import torch
from torch import Tensor, nn

from excise import ablate, capture
from excise.color import NormalizedMLP
from excise.errors import CaptureError, SettingError, ShapeError, UnknownLayerError
from excise.interventions import (
    AxisAlignedSuppression,
    BoundedFalloff,
    LinearMapper,
    Suppression,
    intervene,
    repel,
    suppress,
)
from excise.seeding import generator

X = torch.rand(32, 3, generator=torch.Generator().manual_seed(0))
E0, E1 = torch.eye(4)[:2].tolist()


@pytest.fixture
def model() -> NormalizedMLP:
    return NormalizedMLP(generator=generator(0, "init")).eval()


def by_hand(model: NormalizedMLP, edit: nn.Module | Suppression | AxisAlignedSuppression) -> Tensor:
    return model.decoder(edit(model.bottleneck(model.encoder(X)))).clamp(0, 1)


def test_suppression_acts_on_the_layer_in_the_block_and_nowhere_after_it(model: NormalizedMLP):
    before = model(X)
    falloff = BoundedFalloff(0, 1, 2)
    with suppress(model, "bottleneck", E0, falloff):
        inside = model(X)
    assert torch.equal(inside, by_hand(model, Suppression(E0, falloff)))
    assert (inside - before).abs().max() > 1e-3
    assert torch.equal(model(X), before)


def test_the_hook_is_gone_after_an_error_which_is_not_covered_up(model: NormalizedMLP):
    with pytest.raises(KeyError, match="mine"), suppress(model, "bottleneck", E0):
        raise KeyError("mine")
    assert not model.bottleneck._forward_hooks


def test_repulsion_keeps_latents_on_the_sphere(model: NormalizedMLP):
    mapper = LinearMapper(0, 0.5)
    with repel(model, "bottleneck", E0, mapper), capture(model, ["bottleneck"]) as activations:
        model(X)
    torch.testing.assert_close(activations["bottleneck"].norm(dim=-1), torch.ones(len(X)))
    assert activations["bottleneck"][:, 0].max() <= 0.5 + 1e-6


def test_the_first_intervention_acts_first_and_so_does_the_outer_block(model: NormalizedMLP):
    first, second = (
        Suppression([1, 1, 0, 0], BoundedFalloff(0, 0.7, 1)),
        Suppression(E1, BoundedFalloff(0, 0.9, 1)),
    )
    with intervene(model, "bottleneck", first, second):
        together = model(X)
    with intervene(model, "bottleneck", first), intervene(model, "bottleneck", second):
        nested = model(X)
    with intervene(model, "bottleneck", second, first):
        swapped = model(X)
    latents = model.bottleneck(model.encoder(X))
    assert torch.equal(together, model.decoder(second(first(latents))).clamp(0, 1))
    assert torch.equal(nested, together)
    assert (swapped - together).abs().max() > 1e-5


def test_any_function_of_a_tensor_is_an_intervention_that_gradients_pass(model: NormalizedMLP):
    x = X.clone().requires_grad_()
    with intervene(model, "bottleneck", torch.neg, AxisAlignedSuppression([3])):
        model(x).sum().backward()
    assert x.grad is not None
    assert x.grad.abs().max() > 0


def test_sequences_are_edited_position_by_position():
    model = nn.Sequential(nn.Embedding(7, 4), nn.Identity())
    tokens = torch.arange(6).reshape(2, 3)
    plain = model(tokens)
    with suppress(model, "0", E0):
        assert torch.equal(model(tokens), Suppression(E0)(plain))


def test_a_copy_made_in_the_block_is_not_edited_nor_is_one_that_surgery_makes(model: NormalizedMLP):
    before = model(X)
    with intervene(model, "bottleneck", AxisAlignedSuppression([0])):
        other = copy.deepcopy(model)
        assert (model(X) - before).abs().max() > 1e-3
        assert torch.equal(other(X), before)
        inside = ablate(model, "bottleneck", [2])
    assert torch.equal(inside(X), ablate(model, "bottleneck", [2])(X))


def test_an_intervention_that_never_acted_is_an_error_after_the_block(model: NormalizedMLP):
    said = pytest.raises(CaptureError, match="'bottleneck' did not run inside the block")
    with said, suppress(model, "bottleneck", E0):
        pass


def test_layers_and_edits_that_do_not_fit_are_refused(model: NormalizedMLP):
    with pytest.raises(UnknownLayerError, match="'bottleneck'"), suppress(model, "botleneck", E0):
        pass
    with pytest.raises(SettingError, match="at least one"), intervene(model, "bottleneck"):
        pass
    narrow = pytest.raises(ShapeError, match="for 2 features, but the activations have 4")
    with narrow, suppress(model, "bottleneck", [1, 0]):
        model(X)
    summed = pytest.raises(ShapeError, match=r"keeps its shape \[32, 4\]; \[32\] came")
    with summed, intervene(model, "bottleneck", lambda z: z.sum(dim=-1)):
        model(X)
    lstm = nn.Sequential(nn.LSTM(3, 4))
    with pytest.raises(CaptureError, match="gives a tuple"), suppress(lstm, "0", E0):
        lstm(X)
    assert not any(module._forward_hooks for module in (*model.modules(), *lstm.modules()))
