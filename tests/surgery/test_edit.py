import dataclasses
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from excise.errors import DimsError, InexactEditError, SettingError, SurgeryError, UnknownLayerError
from excise.surgery import ParameterChange, ablate, plan, prune

unchecked_plan = inspect.unwrap(plan)


def test_a_plan_says_what_it_will_do_and_changes_nothing(autoencoder: Callable[..., Any]):
    model = autoencoder()
    report = plan(model, "bottleneck", [0], mode="prune").report
    assert (report.mode, report.layer, report.dims, report.checked) == ("prune", "bottleneck", (0,), None)
    assert (report.writers, report.readers) == (("encoder.2",), ("decoder.0",))
    assert report.carriers == ("bottleneck (normalize)",)
    assert report.changes == (
        ParameterChange("encoder.2.weight", 0, (4, 16), (3, 16)),
        ParameterChange("encoder.2.bias", 0, (4,), (3,)),
        ParameterChange("decoder.0.weight", 1, (16, 4), (16, 3)),
    )
    assert (report.parameters_before, report.parameters_after) == (263, 230)
    assert model.encoder[2].out_features == 4


def test_the_plan_of_an_ablation_keeps_shapes_and_counts(autoencoder: Callable[..., Any]):
    report = plan(autoencoder(), "bottleneck", [0], mode="ablate").report
    assert all(change.before == change.after for change in report.changes)
    assert report.parameters_before == report.parameters_after == 263


def test_a_report_reads_as_text(autoencoder: Callable[..., Any], inputs: Callable[..., Any]):
    pruned = str(plan(autoencoder(), "bottleneck", [2, 0], example_inputs=inputs()).report)
    assert "prune dims 0, 2 of bottleneck: 4 features" in pruned
    assert "written by  encoder.2" in pruned
    assert "decoder.0.weight: [16, 4] -> [16, 2], columns 0, 2 removed" in pruned
    assert "parameters: 263 -> 197" in pruned
    assert "differ by" in pruned
    ablated = str(plan(autoencoder(), "bottleneck", [0], mode="ablate").report)
    assert "encoder.2.weight: [4, 16], rows 0 zeroed" in ablated
    assert "not checked on example inputs" in ablated


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


def test_a_plan_applies_to_another_model_built_alike(autoencoder: Callable[..., Any]):
    edit, other = plan(autoencoder(seed=0), "bottleneck", [0]), autoencoder(seed=5)
    assert torch.equal(edit.apply(other).encoder[2].weight, other.encoder[2].weight[1:])


def test_a_plan_refuses_a_model_of_other_shapes_or_other_flow(autoencoder: Callable[..., Any]):
    edit = plan(autoencoder(), "bottleneck", [0])
    for other in (autoencoder(latent=5), autoencoder(bottleneck=nn.GELU())):
        with pytest.raises(SurgeryError, match="planned on another model"):
            edit.apply(other)
    with pytest.raises(UnknownLayerError):
        edit.apply(nn.Sequential(nn.Linear(3, 3)))


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


def test_an_unknown_mode_is_refused(autoencoder: Callable[..., Any]):
    with pytest.raises(SettingError, match="'ablate' or 'prune'; 'zero' came"):
        unchecked_plan(autoencoder(), "bottleneck", [0], mode="zero")


def test_example_inputs_measure_the_difference(autoencoder: Callable[..., Any], inputs: Callable[..., Any]):
    report = plan(autoencoder(), "bottleneck", [0], example_inputs=inputs()).report
    assert report.checked is not None
    assert 0 <= report.checked < 1e-5
    assert plan(autoencoder(), "bottleneck", [0], example_inputs=(inputs(),)).report.checked == report.checked


def test_a_hook_that_reads_the_features_unseen_is_found_by_example_inputs(
    between: Callable[..., Any], inputs: Callable[..., Any]
):
    model = between(nn.Identity())
    model.middle.register_forward_hook(lambda _m, _i, output: output.softmax(-1))
    with pytest.raises(InexactEditError, match=r"differ by .* 'writer' unseen"):
        ablate(model, "writer", [0], example_inputs=inputs())


def test_a_hook_of_fixed_width_is_found_by_example_inputs(
    between: Callable[..., Any], inputs: Callable[..., Any]
):
    model = between(nn.Identity())
    model.middle.register_forward_hook(lambda _m, _i, output: output + torch.ones(4))
    with pytest.raises(InexactEditError, match="the pruned one does not"):
        plan(model, "writer", [0], example_inputs=inputs())


def test_inputs_that_the_model_cannot_take_are_told_from_an_inexact_edit(autoencoder: Callable[..., Any]):
    with pytest.raises(SurgeryError, match="does not run on the example inputs") as caught:
        plan(autoencoder(), "bottleneck", [0], example_inputs=torch.randn(2, 5))
    assert not isinstance(caught.value, InexactEditError)


def test_the_tolerance_follows_precision_and_size(between: Callable[..., Any], inputs: Callable[..., Any]):
    """A hook adds a known error to the narrower model alone."""

    def checked(error: float, scale: float = 1.0, dtype: torch.dtype = torch.float32):
        model = between(nn.Identity()).to(dtype)
        with torch.no_grad():
            model.reader.weight.mul_(scale)
        model.reader.register_forward_hook(lambda m, _i, y: y + error if m.in_features == 3 else y)
        return plan(model, "writer", [0], example_inputs=inputs(dtype=dtype)).report.checked

    assert checked(5e-6) == pytest.approx(5e-6, abs=1e-6)
    assert checked(5e-11, dtype=torch.float64) == pytest.approx(5e-11, rel=0.01)
    assert checked(1e-3, scale=1e4) == pytest.approx(1e-3, rel=0.8)
    for error, dtype in ((5e-5, torch.float32), (5e-10, torch.float64), (float("nan"), torch.float32)):
        with pytest.raises(InexactEditError):
            checked(error, dtype=dtype)


def test_the_check_leaves_model_inputs_and_random_state_alone(
    between: Callable[..., Any], inputs: Callable[..., Any]
):
    model, x = between(nn.Dropout(0.5)), inputs()
    model.reader.register_forward_pre_hook(lambda _m, args: torch.rand(1) * 0 + args[0])
    model.writer.register_forward_pre_hook(lambda _m, args: args[0].mul_(2))
    before, state = x.clone(), torch.get_rng_state()
    assert plan(model, "writer", [0], example_inputs=x).report.checked is not None
    assert torch.equal(x, before)
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training


def test_outputs_of_any_kind_are_compared(between: Callable[..., Any]):
    class Many(nn.Module):
        def __init__(self, inner: Any):
            super().__init__()
            self.inner = inner

        def forward(self, x: Tensor):
            y = self.inner(x)
            masked = y.masked_fill(y > 0, float("-inf"))
            return {"masked": masked, "sign": y > 0, "none": None, "empty": y[:0]}, y.argmax(-1)

    assert (
        plan(Many(between(nn.GELU())), "inner.writer", [0], example_inputs=torch.ones(2, 3)).report.checked
        == 0
    )
