import copy
import dataclasses
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from excise.errors import DimsError, InexactEditError, SettingError, SurgeryError, UnknownLayerError
from excise.surgery import ParameterChange, ablate, edits_of, plan, prune

unchecked_plan = inspect.unwrap(plan)


def test_a_plan_says_what_it_will_do_and_changes_nothing(autoencoder: Callable[..., Any]):
    model = autoencoder()
    report = plan(model, "bottleneck", [0], mode="prune").report
    assert (report.mode, report.layer, report.dims) == ("prune", "bottleneck", (0,))
    assert report.writers == ("encoder.2.weight", "encoder.2.bias")
    assert (report.carriers, report.readers) == (
        ("encoder.2:linear", "bottleneck:normalize"),
        ("decoder.0.weight",),
    )
    assert report.changes == (
        ParameterChange("encoder.2.weight", (4, 16), (3, 16), "removed"),
        ParameterChange("encoder.2.bias", (4,), (3,), "removed"),
        ParameterChange("decoder.0.weight", (16, 4), (16, 3), "removed"),
    )
    assert (report.parameters_before, report.parameters_after) == (263, 230)
    # On two inputs, a product of [m, n] costs 2 * 2 * m * n, and of 4 features one goes.
    assert report.flops_before - report.flops_after == 2 * 2 * (16 + 16)
    assert report.exactness == "exact"
    assert 0 <= report.checked < 1e-6
    assert model.encoder[2].out_features == 4


def test_the_plan_of_an_ablation_keeps_shapes_and_counts(autoencoder: Callable[..., Any]):
    report = plan(autoencoder(), "bottleneck", [0], mode="ablate").report
    assert all(change.before == change.after and change.done == "zeroed" for change in report.changes)
    assert report.parameters_before == report.parameters_after == 263
    assert report.flops_before == report.flops_after


def test_a_report_reads_as_text(autoencoder: Callable[..., Any], inputs: Callable[..., Any]):
    pruned = str(plan(autoencoder(), "bottleneck", [2, 0], example_inputs=inputs()).report)
    assert pruned.startswith("prune dims 0, 2 of bottleneck: 4 features\n  written by  encoder.2.weight")
    assert "decoder.0.weight: [16, 4] -> [16, 2], removed" in pruned
    assert "parameters: 263 -> 197" in pruned
    assert "exact: differs by" in pruned
    assert "No example inputs came" not in pruned
    ablated = str(plan(autoencoder(), "bottleneck", [0], mode="ablate").report)
    assert "encoder.2.weight: [4, 16], zeroed" in ablated
    assert "No example inputs came; it was tried on [2, 3] float32." in ablated


def test_plan_and_report_are_frozen(autoencoder: Callable[..., Any]):
    edit = plan(autoencoder(), "bottleneck", [0])
    for value, field in ((edit, "dims"), (edit.report, "mode"), (edit.report.trace, "layer")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, field, None)


@pytest.mark.parametrize("mode", ["prune", "ablate"])
def test_applying_a_plan_is_the_short_form(autoencoder: Callable[..., Any], mode: Any):
    model = autoencoder()
    planned = plan(model, "encoder", [1], mode=mode).apply(model)
    short = {"prune": prune, "ablate": ablate}[mode](model, "encoder", [1])
    for one, other in zip(planned.parameters(), short.parameters(), strict=True):
        assert torch.equal(one, other)


def test_an_edited_model_knows_its_edits_in_order(autoencoder: Callable[..., Any]):
    model = autoencoder()
    once = prune(model, "bottleneck", [0])
    twice = ablate(once, "encoder", [1])
    assert [(edit.mode, edit.layer, edit.dims) for edit in edits_of(twice)] == [
        ("prune", "bottleneck", (0,)),
        ("ablate", "encoder", (1,)),
    ]
    assert len(edits_of(once)) == 1
    assert edits_of(model) == ()


def test_a_plan_applies_to_another_model_built_alike(autoencoder: Callable[..., Any]):
    edit, other = plan(autoencoder(seed=0), "bottleneck", [0]), autoencoder(seed=5)
    assert torch.equal(edit.apply(other).encoder[2].weight, other.encoder[2].weight[1:])


def test_a_plan_refuses_a_model_of_another_class_or_of_other_shapes(autoencoder: Callable[..., Any]):
    edit = plan(autoencoder(), "bottleneck", [0])
    for other in (autoencoder(latent=5), nn.Sequential(nn.Linear(3, 3)), edit.apply(autoencoder())):
        with pytest.raises(SurgeryError, match="planned on another model"):
            edit.apply(other)


@pytest.mark.parametrize(
    ("dims", "text"),
    [
        ([], "no dims"),
        ([4], r"\[4\] are out of range.*dims 0 to 3"),
        ([0, -1], r"\[-1\] are out of range"),
        ([1, 1], "counts once"),
        ([0, 1, 2, 3], "all there are"),
        ([True, False, False, False], "not a mask"),
        ([0.0], "whole numbers"),
        (["0"], "whole numbers"),
        (0, "whole numbers"),
        (None, "whole numbers"),
        (torch.tensor([True, False, True, False]), "not a mask"),
        (np.array([True, False, True, False]), "not a mask"),
        (np.array(1), "whole numbers"),
        (torch.tensor(1), "whole numbers"),
        (torch.tensor([0.5]), "whole numbers"),
    ],
)
def test_dims_that_the_layer_does_not_have_are_refused(autoencoder: Callable[..., Any], dims: Any, text: str):
    with pytest.raises(DimsError, match=text):
        unchecked_plan(autoencoder(), "bottleneck", dims)


@pytest.mark.parametrize(
    "dims", [range(1, 3), (2, 1), {1, 2}, iter([2, 1]), np.array([1, 2]), torch.tensor([1, 2])]
)
def test_any_whole_numbers_are_dims(autoencoder: Callable[..., Any], dims: Any):
    assert plan(autoencoder(), "bottleneck", dims).dims == (1, 2)


def test_settings_outside_their_range_are_refused(autoencoder: Callable[..., Any]):
    with pytest.raises(SettingError, match="'ablate' or 'prune'; 'zero' came"):
        unchecked_plan(autoencoder(), "bottleneck", [0], mode="zero")
    for strength in (0, -1, 1.5, float("nan")):
        with pytest.raises(SettingError, match="strength is above 0 and at most 1"):
            plan(autoencoder(), "bottleneck", [0], "ablate", strength=strength)
    with pytest.raises(SettingError, match="prune removes the features whole"):
        plan(autoencoder(), "bottleneck", [0], strength=0.5)
    with pytest.raises(UnknownLayerError):
        plan(autoencoder(), "bottlenek", [0])


def test_outputs_may_get_narrower_where_that_is_asked_for(
    autoencoder: Callable[..., Any], inputs: Callable[..., Any]
):
    model, x = autoencoder(), inputs()
    with pytest.raises(SurgeryError, match="may_change_output=True"):
        plan(model, "decoder", [1], example_inputs=x)
    narrow = prune(model, "decoder", [1], x, may_change_output=True)
    assert torch.equal(narrow(x), model(x)[:, [0, 2]])


def test_inputs_that_the_model_cannot_take_are_told_from_an_inexact_edit(autoencoder: Callable[..., Any]):
    with pytest.raises(SurgeryError, match="does not run on the example inputs") as caught:
        plan(autoencoder(), "bottleneck", [0], example_inputs=torch.randn(2, 5))
    assert not isinstance(caught.value, InexactEditError)


def test_a_plan_leaves_model_inputs_and_random_state_alone(
    between: Callable[..., Any], inputs: Callable[..., Any]
):
    model, x = between(nn.Dropout(0.5)), inputs()
    model.reader.register_forward_pre_hook(lambda _m, args: torch.rand(1) * 0 + args[0])
    model.writer.register_forward_pre_hook(lambda _m, args: args[0].mul_(2))
    before, state, weights = x.clone(), torch.get_rng_state(), copy.deepcopy(model.state_dict())
    plan(model, "writer", [0], example_inputs=x)
    assert torch.equal(x, before)
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())


def test_outputs_of_any_kind_are_compared(between: Callable[..., Any], inputs: Callable[..., Any]):
    class Many(nn.Module):
        def __init__(self, inner: Any):
            super().__init__()
            self.inner = inner

        def forward(self, x: Tensor):
            y = self.inner(x)
            masked = y.masked_fill(y > 0, float("-inf"))
            return {"masked": masked, "sign": y > 0, "none": None, "empty": y[:0]}, y.argmax(-1)

    report = plan(Many(between(nn.GELU())), "inner.writer", [0], example_inputs=inputs()).report
    assert report.checked < 1e-6
