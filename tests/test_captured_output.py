"""What was captured is what the layer gave, of this model and no other."""

import copy
import io
import pickle
from collections.abc import Callable

import pytest
import torch
from torch import nn

from excise import Anchor, Anchoring, Term, Unitarity, ablate, capture
from excise.errors import CaptureError, SettingError
from excise.evaluation import latents_of

X = torch.linspace(-1, 1, 24).reshape(8, 3)


def net(middle: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), middle, nn.Linear(4, 3))


def test_an_output_that_was_overwritten_in_place_is_refused():
    model = net(nn.ReLU(inplace=True))
    with capture(model, ["0", "1"]) as activations:
        model(X)
    assert activations["1"].min() == 0
    with pytest.raises(CaptureError, match="'0' was overwritten in place"):
        activations["0"]


def test_an_output_that_was_not_overwritten_is_kept_as_it_was():
    model = net(nn.ReLU())
    with capture(model, ["0"]) as activations:
        model(X)
    assert torch.equal(activations["0"], model[0](X))
    assert activations["0"].min() < 0


def test_terms_and_latents_refuse_an_output_that_was_overwritten():
    model = net(nn.ReLU(inplace=True))
    with Anchoring([Term("anchor", Anchor([1, 0, 0, 0]), "0")]).attach(model) as terms:
        model(X)
        with pytest.raises(CaptureError, match="overwritten"):
            terms.loss({}, 0)
    with pytest.raises(CaptureError, match="overwritten"):
        latents_of(model, "0", X.numpy())


def test_capture_works_in_inference_mode():
    with torch.inference_mode(), capture(model := net(nn.ReLU()), ["0"]) as activations:
        model(X)
        assert activations["0"].shape == (8, 4)


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda model: ablate(model, "0", [0])], ids=["deepcopy", "ablate"]
)
def test_a_copy_made_inside_the_block_is_not_captured(copied: Callable[[nn.Sequential], nn.Sequential]):
    model = net(nn.ReLU())
    with capture(model, ["0"]) as activations:
        model(X)
        mine = activations["0"]
        other = copied(model)
        other(X + 1)
        assert activations["0"] is mine
    pickle.dump(other, io.BytesIO())


def test_a_term_whose_layer_carries_no_gradient_is_refused_unless_gradients_are_off():
    model = net(nn.ReLU())
    model[0].requires_grad_(False)
    with Anchoring([Term("unit", Unitarity(), "0")]).attach(model) as terms:
        model(X)
        with pytest.raises(CaptureError, match="'0' carries no gradient"):
            terms.loss({}, 0)
        model(X)
        with torch.no_grad():
            assert terms.loss({}, 0) > 0


def test_after_an_error_nothing_stale_is_used():
    model = net(nn.ReLU())
    with Anchoring([Term("unit", Unitarity(), "0", {"red": 1.0})]).attach(model) as terms:
        model(X)
        with pytest.raises(ValueError, match="labels are given for 2 samples"):
            terms.loss({"red": torch.ones(2)}, 0)
        with pytest.raises(CaptureError, match="has not run"):
            terms.loss({"red": torch.ones(8)}, 0)


def test_one_name_instead_of_a_list_is_refused():
    with pytest.raises(SettingError, match=r"write \['encoder'\]"), capture(net(nn.ReLU()), "encoder"):
        pass
    with pytest.raises(SettingError, match=r"write \['red'\]"), Anchoring([]).attach(net(nn.ReLU()), "red"):
        pass
