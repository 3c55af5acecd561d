import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from excise.anchoring import Anchoring, Term, Unitarity
from excise.errors import SettingError
from excise.schedule import Dopesheet

SHEET = Dopesheet.parse("STEP,unit,anchor,separate,planar\n0,1,0,2,0.5\n4,,0,,\n10,3,1,0,0.5\n")

Make = Callable[..., Any]


def naive_loss(model: Any, x: Tensor, labels: dict[str, Tensor], weights: dict[str, float]):
    """Objective and terms written out, for autograd."""
    encoded = model.encoder(x)
    z = encoded / encoded.norm(dim=-1, keepdim=True)
    y = model.decoder(z)
    red, vibrant = labels["red"], labels["vibrant"]
    coloured = (0.5 * vibrant + 0.25 * red).clamp(0, 1)
    c = z @ z.T
    c = torch.where(torch.isclose(c, torch.ones_like(c)), torch.zeros_like(c), c)
    values = {
        "unit": (encoded.norm(dim=-1) - 1).square().mean(),
        "anchor": ((z - torch.eye(4)[0]).square().sum(dim=-1) * red).sum() / (red.sum() + 1e-8),
        "separate": ((c + 1) / 2).pow(10).sum(dim=-1).mean(),
        "planar": (z[:, 2:].square().sum(dim=-1) * coloured).sum() / (coloured.sum() + 1e-8),
    }
    return (y - x).square().mean() + sum(weights[name] * value for name, value in values.items()), values


@pytest.mark.parametrize("step", [0, 3, 7, 10, 500])
def test_loss_and_gradients_are_those_written_out_naively(
    step: int, autoencoder: Make, inputs: Tensor, labels: dict[str, Tensor], terms: list[Term]
):
    model, twin = autoencoder(), autoencoder()
    weights = SHEET.timeline().at(min(step, 10))
    with Anchoring(terms, SHEET).attach(model) as attached:
        loss = functional.mse_loss(model(inputs), inputs) + attached.loss(labels, step)
    loss.backward()
    expected, values = naive_loss(twin, inputs, labels, weights)
    expected.backward()
    torch.testing.assert_close(loss, expected, rtol=1e-12, atol=0)
    for (name, parameter), other in zip(model.named_parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(parameter.grad, other.grad, rtol=1e-9, atol=1e-12, msg=name)
    assert set(attached.values) == {name for name, weight in weights.items() if weight != 0}
    for name, value in attached.values.items():
        assert not value.requires_grad
        torch.testing.assert_close(value, values[name].detach(), rtol=1e-12, atol=0)


def test_a_loop_of_ones_own_trains_as_the_naive_one_does(
    autoencoder: Make, inputs: Tensor, labels: dict[str, Tensor], terms: list[Term]
):
    model, twin, plain = autoencoder(), autoencoder(), autoencoder()
    optimise, optimise_twin, optimise_plain = (
        torch.optim.SGD(one.parameters(), lr=0.1) for one in (model, twin, plain)
    )
    with Anchoring(terms, SHEET).attach(model) as attached:
        for step in range(30):
            optimise.zero_grad()
            (functional.mse_loss(model(inputs), inputs) + attached.loss(labels, step)).backward()
            optimise.step()
            optimise_twin.zero_grad()
            naive_loss(twin, inputs, labels, SHEET.timeline().at(min(step, 10)))[0].backward()
            optimise_twin.step()
            optimise_plain.zero_grad()
            functional.mse_loss(plain(inputs), inputs).backward()
            optimise_plain.step()
    for one, other in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)
    red = labels["red"] == 1

    def at_the_anchor(one: Any):
        return one.bottleneck(one.encoder(inputs[red]))[:, 0].mean()

    assert at_the_anchor(model) > at_the_anchor(plain) + 0.1, "control: without terms red is elsewhere"


def test_weights_follow_the_schedule_at_each_step_and_hold_after_its_end(
    autoencoder: Make, inputs: Tensor, labels: dict[str, Tensor], terms: list[Term]
):
    model = autoencoder()
    table = SHEET.timeline().table
    with Anchoring(terms, SHEET).attach(model) as attached:
        for step in range(15):
            expected = {name: float(values[min(step, 10)]) for name, values in table.items()}
            assert attached.weights(step) == expected
            model(inputs)
            loss = attached.loss(labels, step).item()
            assert loss == pytest.approx(
                sum(expected[name] * v.item() for name, v in attached.values.items())
            )
    assert table["unit"][3] != table["unit"][7], "control: the weights do move"


def test_a_term_of_weight_zero_is_not_even_computed(autoencoder: Make, inputs: Tensor):
    calls = []

    def counted(activations: Tensor):
        calls.append(1)
        return activations.sum(dim=-1)

    model = autoencoder()
    sheet = Dopesheet.parse("STEP,counted::step-end,unit::step-end\n0,0,0\n2,1,0\n4,0,0\n")
    anchoring = Anchoring([Term("counted", counted, "encoder"), Term("unit", Unitarity(), "encoder")], sheet)
    with anchoring.attach(model) as attached:
        seen = []
        for step in range(5):
            model(inputs)
            loss = attached.loss({}, step)
            seen.append((len(calls), sorted(attached.values), loss.item() != 0))
    assert seen == [
        (0, [], False),
        (0, [], False),
        (1, ["counted"], True),
        (2, ["counted"], True),
        (2, [], False),
    ]


def test_a_term_without_labelled_samples_is_skipped(
    autoencoder: Make, inputs: Tensor, labels: dict[str, Tensor], terms: list[Term]
):
    model = autoencoder()
    with Anchoring(terms).attach(model, labels) as attached:
        model(inputs)
        attached.loss(labels, 0)
        assert set(attached.values) == {"unit", "anchor", "separate", "planar"}
        for given, left in (
            (labels | {"red": torch.zeros(16)}, {"unit", "separate", "planar"}),
            ({"red": labels["red"]}, {"unit", "anchor", "separate", "planar"}),
            ({"vibrant": labels["vibrant"]}, {"unit", "separate", "planar"}),
            ({}, {"unit", "separate"}),
        ):
            model(inputs)
            attached.loss(given, 0)
            assert set(attached.values) == left


def test_a_loss_of_no_terms_is_zero_and_adds_to_any_other(autoencoder: Make, inputs: Tensor):
    model = autoencoder()
    with Anchoring([]).attach(model) as attached:
        loss = functional.mse_loss(model(inputs), inputs) + attached.loss({}, 0)
        loss.backward()
    assert loss.item() == functional.mse_loss(model(inputs), inputs).item()
    assert model.decoder.weight.grad is not None


def test_sequences_and_a_plain_function_are_shaped_too(autoencoder: Make, labels: dict[str, Tensor]):
    x = torch.rand(16, 5, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)

    def cube(activations: Tensor):
        return activations.abs().pow(3).sum(dim=-1)

    model, twin = autoencoder(), autoencoder()
    terms = [Term("cube", cube, "encoder", {"red": 1.0}), Term("unit", Unitarity(), "encoder")]
    with Anchoring(terms).attach(model) as attached:
        model(x)
        loss = attached.loss(labels, 0)
    loss.backward()
    encoded = twin.encoder(x)
    expected = cube(encoded)[labels["red"] == 1].mean() + (encoded.norm(dim=-1) - 1).square().mean()
    expected.backward()
    torch.testing.assert_close(loss, expected, rtol=1e-7, atol=0)
    for one, other in zip(model.encoder.parameters(), twin.encoder.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-7, atol=1e-12)


def test_two_attached_models_do_not_see_each_other(
    autoencoder: Make, inputs: Tensor, labels: dict[str, Tensor], terms: list[Term]
):
    anchoring = Anchoring(terms)

    def alone(model: Any):
        with anchoring.attach(model) as attached:
            model(inputs)
            return attached.loss(labels, 0).item()

    one, other = autoencoder(seed=0), autoencoder(seed=1)
    expected = alone(one), alone(other)
    assert expected[0] != expected[1]
    with anchoring.attach(one) as of_one, anchoring.attach(other) as of_other:
        one(inputs)
        other(inputs)
        assert (of_one.loss(labels, 0).item(), of_other.loss(labels, 0).item()) == expected
        one(inputs)
        of_one.loss({"red": torch.zeros(16), "vibrant": torch.zeros(16)}, 0)
        assert set(of_one.values) == {"unit", "separate"}
        assert set(of_other.values) == {"unit", "anchor", "separate", "planar"}


def test_an_anchoring_knows_no_model_and_changes_none(
    autoencoder: Make, inputs: Tensor, labels: dict[str, Tensor], terms: list[Term]
):
    model = autoencoder()
    before = copy.deepcopy(model.state_dict())
    output = model(inputs)
    anchoring = Anchoring(terms)
    described = repr(anchoring)
    with anchoring.attach(model) as attached:
        assert torch.equal(model(inputs), output)
        attached.loss(labels, 0)
    assert repr(anchoring) == described
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_steps_below_zero_are_refused(autoencoder: Make, inputs: Tensor, terms: list[Term]):
    with Anchoring(terms[:1]).attach(autoencoder()) as attached, pytest.raises(SettingError, match="-1 came"):
        attached.loss({}, -1)
