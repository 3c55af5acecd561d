import inspect
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from excise.activations import capture
from excise.errors import SettingError, SurgeryError, UnfollowableError
from excise.surgery import ablate, plan, prune, trace

unchecked = [inspect.unwrap(function) for function in (trace, plan)]


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


@pytest.mark.parametrize("place", ["writer", "middle", "reader"])
def test_a_replaced_forward_on_the_way_is_refused_also_with_inputs(
    place: str, between: Callable[..., Any], inputs: Callable[..., Any]
):
    model = between(nn.GELU())
    trace(model, "writer")
    width = getattr(model.get_submodule(place), "out_features", 4)
    model.get_submodule(place).forward = lambda x: x.sum(-1, keepdim=True).expand(-1, width).flip(-1)
    for example in (None, inputs()):
        with pytest.raises(UnfollowableError, match="its `forward` was replaced") as caught:
            prune(model, "writer", [0], example_inputs=example)
        assert caught.value.culprit == place


def test_a_replaced_forward_of_the_whole_model_is_refused(
    between: Callable[..., Any], inputs: Callable[..., Any]
):
    model = between(nn.GELU())
    own = model.forward
    model.forward = lambda x: own(x).relu()
    # A copy's `forward` would go on calling the uncut original, so a check on inputs would pass.
    with pytest.raises(UnfollowableError, match=r"'Between' is in the way: its `forward` was replaced"):
        prune(model, "writer", [0], example_inputs=inputs())


def test_a_replaced_forward_off_the_way_is_none_of_surgerys_business(between: Callable[..., Any]):
    model: Any = nn.Sequential(nn.GELU(), between(nn.GELU()))
    model[0].forward = lambda x: x.flip(-1)
    assert trace(model, "1.writer").readers == ("1.reader",)


class Nested(nn.Module):
    """Has modules inside modules on the way: encoder[-1] writes, decoder[0] reads, `norm` is no leaf."""

    def __init__(self, norm: nn.Module):
        super().__init__()
        torch.manual_seed(0)
        self.encoder = nn.Sequential(nn.Linear(3, 5), nn.GELU(), nn.Linear(5, 4))
        self.norm = norm
        self.decoder = nn.Sequential(nn.Linear(4, 5), nn.GELU(), nn.Linear(5, 2))

    def forward(self, x: Tensor):
        return self.decoder(self.norm(self.encoder(x)))


class Norm(nn.Module):
    def forward(self, x: Tensor):
        return functional.normalize(x, dim=-1)


ON_THE_WAY = ["encoder", "encoder.2", "norm", "decoder", "decoder.0"]


def hook_on(module: nn.Module, kind: str, calls: list[str]):
    if kind == "pre":
        return module.register_forward_pre_hook(lambda *_: calls.append(kind))
    return module.register_forward_hook(lambda *_: calls.append(kind))


@pytest.mark.parametrize("path", ON_THE_WAY)
@pytest.mark.parametrize("kind", ["pre", "after"])
@pytest.mark.parametrize("cut", [ablate, prune])
def test_a_hook_on_the_way_is_refused_unless_inputs_show_what_it_does(
    path: str, kind: str, cut: Any, inputs: Callable[..., Any]
):
    model, calls = Nested(Norm()), []
    cut(model, "encoder", [0])
    hook_on(model.get_submodule(path), kind, calls)
    with pytest.raises(UnfollowableError, match="plan the edit with `example_inputs`") as caught:
        cut(model, "encoder", [0])
    assert caught.value.culprit == path
    assert calls == []
    assert cut(model, "encoder", [0], example_inputs=inputs())(inputs()).shape == (64, 2)
    assert calls


def test_a_hook_off_the_way_is_none_of_surgerys_business():
    model = Nested(Norm())
    for path in ("", "encoder.0", "encoder.1", "decoder.1", "decoder.2"):
        hook_on(model.get_submodule(path), "pre", [])
        hook_on(model.get_submodule(path), "after", [])
    model.norm.register_full_backward_hook(lambda *_: None)
    assert plan(model, "encoder", [0]).report.trace.hooked == ()


@pytest.mark.parametrize("example", [False, True])
def test_surgery_works_inside_a_capture(example: bool, inputs: Callable[..., Any]):
    model = Nested(Norm())
    with capture(model, ON_THE_WAY) as activations:
        model(inputs())
        before = activations["norm"]
        pruned = prune(model, "encoder", [0], example_inputs=inputs() if example else None)
        pruned(inputs())
        assert activations["norm"] is before
        hook_on(model.norm, "after", [])
        with pytest.raises(UnfollowableError, match="'norm' is in the way"):
            prune(model, "encoder", [0])


def test_a_trace_names_the_hooked_modules_on_the_way():
    model = Nested(Norm())
    bare = trace(model, "norm")
    assert "hooks" not in str(bare)
    hook_on(model.norm, "pre", [])
    hook_on(model.decoder[0], "after", [])
    hooked = trace(model, "norm")
    assert hooked.hooked == ("norm", "decoder.0")
    assert str(hooked) == f"{bare}\n  hooks on    norm, decoder.0 (not followed)"
    assert hooked == bare


def test_an_edit_that_was_checked_with_hooks_applies_with_them_and_without(inputs: Callable[..., Any]):
    model = Nested(Norm())
    handle = hook_on(model.norm, "after", [])
    edit = plan(model, "norm", [0], example_inputs=inputs())
    edit.apply(model)
    other = hook_on(model.encoder, "after", [])
    with pytest.raises(UnfollowableError, match="'encoder' is in the way"):
        edit.apply(model)
    other.remove()
    handle.remove()
    assert isinstance(edit.apply(model), Nested)


@pytest.mark.parametrize("edited", ["writer", "reader"])
def test_a_linear_with_parameters_of_its_own_besides_is_refused(edited: str, between: Callable[..., Any]):
    model = between(nn.GELU())
    trace(model, "writer")
    model.get_submodule(edited).register_parameter("gate", nn.Parameter(torch.ones(7)))
    with pytest.raises(UnfollowableError, match=r"parameters besides weight and bias \(gate\)") as caught:
        prune(model, "writer", [0])
    assert caught.value.culprit == edited
