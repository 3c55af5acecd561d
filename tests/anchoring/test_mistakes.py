"""What an attached anchoring says to a user's mistakes, and that its hooks come off whatever happens."""

import math
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from excise.anchoring import Anchor, Anchoring, AxisAlignedSubspace, Term, Unitarity
from excise.errors import (
    CaptureError,
    NonFiniteError,
    ShapeError,
    UnknownLabelError,
    UnknownLayerError,
    UnmatchedLabelWarning,
)

Make = Callable[..., Any]


def hooks_on(model: nn.Module):
    return sum(len(module._forward_hooks) for module in model.modules())


def test_hooks_are_gone_after_the_block_and_after_an_exception(autoencoder: Make, terms: list[Term]):
    model = autoencoder()
    anchoring = Anchoring(terms)
    with anchoring.attach(model):
        assert hooks_on(model) == 2
    assert hooks_on(model) == 0
    with pytest.raises(ZeroDivisionError), anchoring.attach(model):
        raise ZeroDivisionError
    assert hooks_on(model) == 0


def test_an_unknown_layer_is_named_with_the_nearest_and_leaves_no_hook(autoencoder: Make, terms: list[Term]):
    model = autoencoder()
    anchoring = Anchoring([*terms, Term("more", Unitarity(), "botleneck")])
    with (
        pytest.raises(
            UnknownLayerError, match=r"no layer 'botleneck' in this Autoencoder.*'bottleneck'"
        ) as caught,
        anchoring.attach(model),
    ):
        pytest.fail("the block was entered")
    assert caught.value.nearest == ("bottleneck",)
    assert hooks_on(model) == 0


def test_an_unknown_label_is_refused_on_attaching_where_the_labels_are_known(
    autoencoder: Make, terms: list[Term]
):
    model = autoencoder()
    with (
        pytest.raises(
            UnknownLabelError, match=r"no label 'red' for term 'anchor'.* Did you mean 'reed'"
        ) as caught,
        Anchoring(terms).attach(model, ["reed", "vibrant"]),
    ):
        pytest.fail("the block was entered")
    assert caught.value.known == ("reed", "vibrant")
    assert hooks_on(model) == 0


@pytest.mark.parametrize(
    ("regularizer", "says"),
    [
        (Anchor([1.0, 0.0, 0.0]), "a point of 3 coordinates, but the layer has 4"),
        (AxisAlignedSubspace((1, 4)), r"dims \(1, 4\), but the layer's run from 0 to 3"),
    ],
    ids=["anchor", "subspace"],
)
def test_a_wrong_width_is_told_with_term_and_layer_even_while_its_weight_is_zero(
    regularizer: Any, says: str, autoencoder: Make, inputs: Tensor
):
    model = autoencoder()
    terms = [Term("unit", Unitarity(), "encoder"), Term("red", regularizer, "encoder", {"red": 1.0})]
    for labels in ({"red": torch.ones(16)}, {"red": torch.zeros(16)}):
        with Anchoring(terms).attach(model) as attached:
            model(inputs)
            with pytest.raises(ShapeError, match=rf"term 'red' on layer 'encoder': \w+ has {says}"):
                attached.loss(labels, 0)


def test_labels_of_another_batch_and_layers_without_a_batch_are_refused(autoencoder: Make, inputs: Tensor):
    model = autoencoder()
    anchoring = Anchoring([Term("unit", Unitarity(), "encoder", {"red": 1.0})])
    with anchoring.attach(model) as attached:
        model(inputs)
        with pytest.raises(ShapeError, match="labels are given for 9 samples"):
            attached.loss({"red": torch.ones(9)}, 0)
        for _ in range(2):
            model(inputs[0])
            with pytest.raises(ShapeError, match=r"layer 'encoder' gives the shape \[4\]"):
                attached.loss({"red": torch.ones(1)}, 0)
        model(inputs)
        assert attached.loss({"red": torch.ones(16)}, 0).item() > 0


def test_a_label_that_batches_lack_is_warned_of_once(
    autoencoder: Make, inputs: Tensor, labels: dict[str, Tensor], terms: list[Term]
):
    model = autoencoder()
    with Anchoring(terms).attach(model) as attached, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for step in range(3):
            model(inputs)
            attached.loss({"vibrant": labels["vibrant"]}, step)
        for step in range(3, 6):
            model(inputs)
            attached.loss({}, step)
    assert [warning.category for warning in caught] == [UnmatchedLabelWarning] * 2
    one, other = (str(warning.message) for warning in caught)
    assert "term 'anchor' acts on the label 'red'" in one
    assert "it carries 'vibrant'. If some batches lack it by design, pass attach(model, labels=[...])." in one
    assert "'vibrant', which this batch does not carry; it carries none" in other


def test_a_batch_may_lack_a_label_that_attach_was_told_of(
    autoencoder: Make, inputs: Tensor, terms: list[Term]
):
    model = autoencoder()
    with warnings.catch_warnings(), Anchoring(terms).attach(model, ["red", "vibrant"]) as attached:
        warnings.simplefilter("error")
        model(inputs)
        attached.loss({}, 0)
    assert set(attached.values) == {"unit", "separate"}


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_term_that_is_not_finite_is_named_with_its_step(bad: float, autoencoder: Make, inputs: Tensor):
    def breaks(activations: Tensor):
        return activations.sum(dim=-1) * bad

    model = autoencoder()
    terms = [Term("unit", Unitarity(), "encoder"), Term("breaks", breaks, "bottleneck")]
    with Anchoring(terms).attach(model) as attached:
        model(inputs)
        with pytest.raises(NonFiniteError, match=r"'breaks' became -?(nan|inf) at step 7") as caught:
            attached.loss({}, 7)
    assert (caught.value.term, caught.value.step) == ("breaks", 7)
    assert not math.isfinite(caught.value.value)


def test_finite_terms_whose_sum_overflows_are_told_as_a_sum(autoencoder: Make, inputs: Tensor):
    model = autoencoder()
    terms = [
        Term(name, lambda a: torch.full(a.shape[:-1], -1e308, dtype=a.dtype), "encoder")
        for name in ("a", "b")
    ]
    with Anchoring(terms).attach(model) as attached:
        model(inputs)
        with pytest.raises(NonFiniteError, match="'the weighted sum of the terms' became -inf at step 0"):
            attached.loss({}, 0)


def test_a_loss_needs_a_forward_pass_of_its_own(autoencoder: Make, inputs: Tensor):
    model = autoencoder()
    with Anchoring([Term("unit", Unitarity(), "encoder")]).attach(model) as attached:
        with pytest.raises(CaptureError, match="layer 'encoder' has not run"):
            attached.loss({}, 0)
        model(inputs)
        attached.loss({}, 0)
        with pytest.raises(CaptureError, match="layer 'encoder' has not run"):
            attached.loss({}, 1)
    model(inputs)
    with pytest.raises(CaptureError):
        attached.loss({}, 2)
