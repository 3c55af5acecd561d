"""Models that are not plain: compiled, scripted, hooked, with forward passes that were replaced."""

import inspect
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from excise.activations import capture
from excise.errors import SettingError, SurgeryError, UnfollowableError
from excise.surgery import ablate, plan, prune, trace

unchecked = [inspect.unwrap(function) for function in (trace, plan)]
CUTS = [prune, ablate]


@pytest.mark.parametrize("function", unchecked, ids=lambda function: function.__name__)
def test_what_is_no_model_and_no_layer_name_is_refused(function: Any, between: Callable[..., Any]):
    arguments = () if function is unchecked[0] else ([0],)
    for layer in (None, 0, ["writer"]):
        with pytest.raises(SettingError, match="the layer is a module path"):
            function(between(nn.GELU()), layer, *arguments)
    for model in (None, "model", Tensor, nn.Linear):
        with pytest.raises(SettingError, match=r"the model is a torch\.nn\.Module"):
            function(model, "writer", *arguments)


def test_a_compiled_model_is_refused_with_the_way_out(between: Callable[..., Any]):
    model = between(nn.GELU())
    compiled: Any = torch.compile(model, backend="eager")
    for layer in ("writer", "_orig_mod.writer"):
        with pytest.raises(SurgeryError, match=r"pass the model that was compiled \(`model\._orig_mod`\)"):
            prune(compiled, layer, [0])
    with pytest.raises(SurgeryError, match=r"`model\._orig_mod`"):
        plan(model, "writer", [0]).apply(compiled)
    assert prune(compiled._orig_mod, "writer", [0]).reader.in_features == 3


@pytest.mark.parametrize("how", ["script", "trace"])
def test_a_scripted_model_is_refused_with_the_way_out(how: str, inputs: Callable[..., Any]):
    model = nn.Sequential(nn.Linear(3, 4), nn.GELU(), nn.Linear(4, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scripted: Any = torch.jit.script(model) if how == "script" else torch.jit.trace(model, inputs())
    with pytest.raises(SurgeryError, match="pass the eager module"):
        prune(scripted, "0", [0])


@pytest.mark.parametrize("cut", CUTS)
def test_a_forward_that_was_replaced_by_a_function_of_its_input_is_followed(
    cut: Callable[..., Any], between: Callable[..., Any], inputs: Callable[..., Any]
):
    model, x = between(nn.GELU()), inputs()
    model.middle.forward = lambda z: z.tanh() * 2
    kept = torch.tensor([0.0, 1.0, 1.0, 1.0])
    expected = model.reader((model.writer(x) * kept).tanh() * 2)
    assert torch.allclose(cut(model, "writer", [0], x)(x), expected, atol=1e-6)


@pytest.mark.parametrize("place", ["writer", "reader", ""])
@pytest.mark.parametrize("cut", CUTS)
def test_a_replaced_forward_that_keeps_the_original_weights_is_never_cut_by_mistake(
    cut: Callable[..., Any], place: str, between: Callable[..., Any], inputs: Callable[..., Any]
):
    """A copy's `forward` goes on calling the uncut original: what it computes is none of the copy's weights."""
    model, x = between(nn.GELU()), inputs()
    module = model.get_submodule(place)
    own = module.forward
    module.forward = lambda x: own(x) * 2
    if (cut, place) == (ablate, "reader"):
        kept = torch.tensor([0.0, 1.0, 1.0, 1.0])
        expected = model.reader(model.middle(model.writer(x) * kept))
        assert torch.allclose(cut(model, "writer", [0], x)(x), expected, atol=1e-6)
    else:
        with pytest.raises(SurgeryError):
            cut(model, "writer", [0], x)


class Nested(nn.Module):
    """Has modules inside modules on the way: encoder[-1] writes, decoder[0] reads, `norm` is no leaf."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.encoder: Any = nn.Sequential(nn.Linear(3, 5), nn.GELU(), nn.Linear(5, 4))
        self.norm = nn.Sequential(nn.Tanh())
        self.decoder = nn.Sequential(nn.Linear(4, 5), nn.GELU(), nn.Linear(5, 2))

    def forward(self, x: Tensor):
        return self.decoder(self.norm(self.encoder(x)))


ON_THE_WAY = ["encoder", "encoder.2", "norm", "decoder", "decoder.0"]


@pytest.mark.parametrize("path", ON_THE_WAY)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_hook_that_changes_what_passes_by_is_followed_like_code(
    path: str, when: str, inputs: Callable[..., Any]
):
    model, x = Nested(), inputs()
    module: Any = model.get_submodule(path)
    if when == "before":
        module.register_forward_pre_hook(lambda _m, given: given[0] * 3)
    else:
        module.register_forward_hook(lambda _m, _i, output: output * 3)
    pruned, ablated = prune(model, "encoder.2", [1], x), ablate(model, "encoder.2", [1], x)
    with torch.no_grad():
        model.encoder[2].weight[1] = 0
        model.encoder[2].bias[1] = 0
    assert torch.allclose(pruned(x), model(x), atol=1e-6)
    assert torch.allclose(ablated(x), model(x), atol=1e-6)
    unhooked = Nested()
    assert not torch.allclose(model(x), unhooked(x), atol=1e-2)


def test_a_hook_that_mixes_the_features_is_refused_where_pruning_would_change_it(inputs: Callable[..., Any]):
    model = Nested()
    model.norm.register_forward_hook(lambda _m, _i, output: output.softmax(-1))
    with pytest.raises(UnfollowableError, match="softmax") as caught:
        prune(model, "encoder", [0], inputs())
    assert "test_editable.py" in str(caught.value)
    assert ablate(model, "encoder", [0], inputs()).encoder[2].weight[0].eq(0).all()


@pytest.mark.parametrize("cut", CUTS)
def test_surgery_works_inside_a_capture(cut: Callable[..., Any], inputs: Callable[..., Any]):
    model, x = Nested(), inputs()
    with capture(model, ON_THE_WAY) as activations:
        model(x)
        edited = cut(model, "encoder", [0], x)
        model(x)
        assert torch.equal(activations["norm"], model.norm(model.encoder(x)))
    outside = cut(model, "encoder", [0], x)
    assert torch.equal(edited(x), outside(x))


@pytest.mark.parametrize("edited", ["writer", "reader"])
def test_a_parameter_that_nothing_uses_is_left_alone(
    edited: str, between: Callable[..., Any], inputs: Callable[..., Any]
):
    model = between(nn.GELU())
    model.get_submodule(edited).register_parameter("gate", nn.Parameter(torch.ones(4)))
    assert prune(model, "writer", [0], inputs()).get_submodule(edited).gate.shape == (4,)


def test_weights_without_numbers_or_of_other_kinds_are_refused_by_name():
    def refused(model: Any):
        with pytest.raises(SurgeryError) as caught:
            prune(model, "0", [0], torch.ones(2, 3))
        return str(caught.value)

    assert "'0.weight' is on the meta device" in refused(nn.Sequential(nn.Linear(3, 4, device="meta")))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        lazy = nn.Sequential(nn.LazyLinear(4))
    assert "'0.weight' has no shape" in refused(lazy)
    sparse: Any = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    sparse[1].weight = nn.Parameter(sparse[1].weight.detach().to_sparse())
    assert "'1.weight' is sparse" in refused(sparse)
