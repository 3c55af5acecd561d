"""The terms on a stack of models, held against the same terms on each model by itself."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from excise.anchoring import (
    Anchor,
    AngularAnchor,
    AntiAnchor,
    AxisAlignedSubspace,
    Planarity,
    Separate,
    Term,
    Unitarity,
)
from excise.anchoring.labels import shares_of
from excise.anchoring.pull import pull
from excise.anchoring.stacked import StackedTerms, check_layers, stacked_shares
from excise.errors import CaptureError, ShapeError

FAST = settings(derandomize=True, deadline=None, max_examples=80, database=None)


def length(activations: Tensor):
    return activations.abs().sum(dim=-1)


def bent_at_a_sum(activations: Tensor):
    """Branches on values, which cannot be done to a whole stack at once."""
    return activations.sum(dim=-1) if activations.sum() > 0 else activations.square().sum(dim=-1)


def nothing(activations: Tensor):
    return torch.ones(activations.shape[:-1], dtype=activations.dtype)


REGULARIZERS: list[Any] = [
    Unitarity(),
    Anchor([1.0, 0.0, 0.0, 0.5]),
    AngularAnchor([0.0, 1.0, 0.0, 1.0]),
    AntiAnchor([-1.0, 0.0, 0.0, 0.0]),
    AntiAnchor([-1.0, 0.0, 0.0, 0.0], full=True),
    AxisAlignedSubspace((1, 3), inverted=True),
    Planarity(),
    Separate(power=10.0),
    Separate(power=2.5),
    Separate(power=3, shift=False),
    Separate(power=100.0),
    length,
    bent_at_a_sum,
    nothing,
]


def alone(term: Term, weight: float, layer: Tensor, labels: dict[str, Tensor]):
    """Value and weighted slope by `pull`, of one model; None where none of its samples counts."""
    shares = shares_of(labels, term.affinities) if term.affinities else None
    if term.affinities and shares is None:
        return None
    leaf = layer.clone().requires_grad_()
    total, (value,) = pull(leaf, [(term.regularizer, shares, weight)])
    return value, torch.autograd.grad(total, leaf)[0]


@FAST
@given(
    regularizer=st.sampled_from(range(len(REGULARIZERS))),
    shape=st.sampled_from([(2, 1, 4), (1, 5, 4), (4, 5, 4), (3, 3, 2, 4), (2, 2, 3, 2, 4)]),
    affinities=st.sampled_from([{}, {"red": 1.0}, {"red": 0.5, "blue": 2.0}, {"red": 1.0, "absent": 1.0}]),
    weight=st.floats(0.1, 2),
    seed=st.integers(0, 2**32 - 1),
)
def test_each_model_of_a_stack_has_the_value_and_the_slope_that_it_has_alone(
    regularizer: int,
    shape: tuple[int, ...],
    affinities: dict[str, float],
    weight: float,
    seed: int,
):
    random = torch.Generator().manual_seed(seed)
    layer = torch.randn(shape, generator=random, dtype=torch.float64)
    labels = {name: (torch.rand(shape[:2], generator=random) < 0.4).double() for name in ("red", "blue")}
    term = Term("t", REGULARIZERS[regularizer], "layer", affinities)
    stacked = StackedTerms([(term, weight)], {"layer": layer}, labels)
    assert isinstance(stacked.totals, Tensor)
    for model in range(len(layer)):
        own = {name: label[model] for name, label in labels.items()}
        expected = alone(term, weight, layer[model], own)
        assert stacked.skipped("t", model) == (expected is None)
        if expected is None:
            assert stacked.values["t"][model].isnan()
            assert stacked.totals[model] == 0
            assert not stacked.slopes["layer"][model].any()
        else:
            assert_close(stacked.values["t"][model], expected[0])
            assert_close(stacked.totals[model], expected[0] * weight)
            assert_close(stacked.slopes["layer"][model], expected[1])


def test_terms_of_one_layer_add_up_and_each_layer_has_a_slope_of_its_own():
    random = torch.Generator().manual_seed(0)
    layers = {name: torch.randn(3, 6, 4, generator=random, dtype=torch.float64) for name in ("a", "b")}
    labels = {"red": torch.ones(3, 6, dtype=torch.float64)}
    terms = [
        (Term("unit", Unitarity(), "a"), 0.5),
        (Term("anchor", Anchor([1, 0, 0, 0]), "a", {"red": 1.0}), 2.0),
        (Term("planar", Planarity(), "b"), 0.25),
        (Term("off", Separate(), "b"), 0.0),
    ]
    found = StackedTerms(terms, layers, labels)
    assert list(found.values) == ["unit", "anchor", "planar"]
    totals = torch.zeros(3, dtype=torch.float64)
    slopes = {name: torch.zeros_like(layer) for name, layer in layers.items()}
    for term, weight in terms[:3]:
        one = StackedTerms([(term, weight)], layers, labels)
        assert_close(found.values[term.name], one.values[term.name])
        totals += one.totals
        slopes[term.layer] += one.slopes[term.layer]
    assert_close(found.totals, totals)
    assert_close(found.slopes, slopes)


def test_a_term_whose_labels_no_batch_carries_is_not_there_at_all():
    layer = torch.ones(2, 3, 4)
    term = Term("t", Unitarity(), "layer", {"red": 1.0})
    found = StackedTerms([(term, 1.0)], {"layer": layer}, {"blue": torch.ones(2, 3)})
    assert (found.values, found.slopes, found.totals) == ({}, {}, 0.0)
    assert stacked_shares({}, {"red": 1.0}) is None


def test_the_terms_of_activations_in_half_precision_are_computed_in_single():
    layer = torch.randn(2, 8, 4, generator=torch.Generator().manual_seed(0))
    term = Term("t", Separate(power=10.0), "layer")
    half, single = (
        StackedTerms([(term, 1.0)], {"layer": values}, {})
        for values in (layer.bfloat16(), layer.bfloat16().float())
    )
    assert half.slopes["layer"].dtype == torch.bfloat16
    assert torch.equal(half.slopes["layer"], single.slopes["layer"].bfloat16())
    assert torch.equal(half.values["t"], single.values["t"])


@pytest.mark.parametrize(
    ("function", "came"),
    [
        (lambda a: a.sum(), r"\[\]"),
        (lambda a: a, r"\[5, 4\]"),
        (lambda a: a.sum(dim=0), r"\[4\]"),
    ],
    ids=["one value", "all", "a value a feature"],
)
def test_a_function_gives_one_value_a_sample(function: Callable[[Tensor], Tensor], came: str):
    with pytest.raises(ShapeError, match=rf"term 't'.*activations \[5, 4\] to values \[5\]; {came} came"):
        StackedTerms([(Term("t", function, "layer"), 1.0)], {"layer": torch.ones(2, 5, 4)}, {})


@pytest.mark.parametrize(
    ("layer", "labels", "says"),
    [
        ((2, 4), None, r"layer 'layer' gives \[4\] for a batch; terms act on \[batch, ..., latent\]"),
        ((2, 0, 4), None, r"layer 'layer' gives no sample \(shape \[0, 4\]\)"),
        ((2, 5, 4), (2, 3), "labels are given for 3 samples, but layer 'layer' has activations for 5"),
        ((2, 5, 4), (2, 5, 1), r"label 'red' takes one value a sample, \[batch\]; \[5, 1\] came"),
    ],
    ids=["no-batch", "no-sample", "fewer-labels", "a-column"],
)
def test_activations_and_labels_that_do_not_fit_are_refused(
    layer: tuple[int, ...], labels: tuple[int, ...] | None, says: str
):
    term = Term("t", Unitarity(), "layer", {} if labels is None else {"red": 1.0})
    carried = {} if labels is None else {"red": torch.ones(labels)}
    with pytest.raises(ShapeError, match=says):
        StackedTerms([(term, 1.0)], {"layer": torch.ones(layer)}, carried)


def test_a_layer_is_refused_that_is_not_as_wide_as_the_term_or_carries_no_gradient():
    layer = torch.ones(2, 5, 3, requires_grad=True)
    check_layers([Term("t", Anchor([1, 0, 0]), "layer"), Term("f", length, "layer")], {"layer": layer})
    with pytest.raises(ShapeError, match=r"term 't' on layer 'layer': .* 4 coordinates, but the layer has 3"):
        check_layers([Term("t", Anchor([1, 0, 0, 0]), "layer")], {"layer": layer})
    with pytest.raises(CaptureError, match="carries no gradient, so term 't' cannot shape"):
        check_layers([Term("t", Unitarity(), "layer")], {"layer": layer.detach()})
