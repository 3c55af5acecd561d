from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from excise.anchoring import Anchor, AngularAnchor, Planarity, Separate, Unitarity
from excise.anchoring.pull import pull
from excise.errors import ShapeError

FAST = settings(derandomize=True, deadline=None, max_examples=60, database=None)


def length(activations: Tensor):
    return activations.abs().sum(dim=-1)


def loss_of(activations: Tensor, parts: list[Any]):
    """The same by autograd; the share of a sample is spread evenly over its positions."""
    total = torch.zeros((), dtype=activations.dtype)
    for regularizer, shares, weight in parts:
        values = regularizer(activations)
        values = values.flatten(1).mean(dim=1) if values.ndim > 1 else values
        total = total + weight * (values.mean() if shares is None else (values * shares).sum())
    return total


def both(activations: Tensor, parts: list[Any]):
    """Loss and slope by `pull` and by autograd."""
    found = []
    for way in (lambda leaf: pull(leaf, parts)[0], lambda leaf: loss_of(leaf, parts)):
        leaf = activations.clone().requires_grad_()
        loss = way(leaf)
        found.append((loss.detach(), torch.autograd.grad(loss * 3, leaf)[0]))
    return found


REGULARIZERS = [
    Unitarity(),
    Anchor([1.0, 0.0, 0.0, 0.0]),
    AngularAnchor([0.0, 1.0, 0.0, 0.0]),
    Planarity(),
    Separate(power=10.0, shift=True),
    length,
]


@FAST
@given(
    shape=st.sampled_from([(1, 4), (5, 4), (3, 2, 4), (2, 3, 2, 4)]),
    chosen=st.lists(
        st.tuples(st.sampled_from(range(6)), st.booleans(), st.floats(-2, 2)), min_size=1, max_size=4
    ),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_sum_and_its_slope_are_what_autograd_finds(
    shape: tuple[int, ...], chosen: list[tuple[int, bool, float]], seed: int
):
    generator = torch.Generator().manual_seed(seed)
    activations = torch.randn(*shape, generator=generator, dtype=torch.float64)
    parts = [
        (
            REGULARIZERS[index],
            torch.rand(shape[0], generator=generator, dtype=torch.float64) if labelled else None,
            weight,
        )
        for index, labelled, weight in chosen
    ]
    (loss, slope), (expected, expected_slope) = both(activations, parts)
    torch.testing.assert_close(loss, expected, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(slope, expected_slope, rtol=1e-9, atol=1e-11)


def test_each_value_is_given_without_its_weight_and_without_a_graph():
    activations = torch.tensor([[3.0, 4.0], [0.0, 2.0]], requires_grad=True)
    shares = torch.tensor([0.0, 1.0])
    total, values = pull(
        activations, [(Unitarity(), None, 10.0), (Anchor([0.0, 0.0]), shares, 0.5), (length, None, 1.0)]
    )
    assert [value.item() for value in values] == [8.5, 4.0, 4.5]
    assert not any(value.requires_grad for value in values)
    assert total.item() == 10 * 8.5 + 0.5 * 4 + 4.5


def test_positions_of_a_sequence_share_its_label_evenly():
    activations = torch.zeros(2, 3, 2, dtype=torch.float64)
    activations[0, :, 0] = torch.tensor([1.0, 2.0, 3.0])
    activations[1] = 100
    leaf = activations.requires_grad_()
    total, (value,) = pull(leaf, [(Anchor([0.0, 0.0]), torch.tensor([1.0, 0.0]), 1.0)])
    assert value.item() == pytest.approx((1 + 4 + 9) / 3)
    total.backward()
    assert leaf.grad is not None
    assert leaf.grad[0, :, 0].tolist() == pytest.approx([2 / 3, 4 / 3, 2])
    assert not leaf.grad[1].any()


def test_a_layer_that_lies_transposed_in_memory_is_no_different():
    base = torch.randn(4, 3, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    parts = [(Separate(10.0), None, 1.0), (length, None, 1.0), (Planarity(), torch.rand(3), 2.0)]
    for order in ((1, 2, 0), (2, 1, 0)):
        lying = base.permute(*order)
        parts[2] = (Planarity(), torch.linspace(0, 1, len(lying), dtype=torch.float64), 2.0)
        leaf = lying.detach().requires_grad_()
        assert not leaf.is_contiguous()
        total, _ = pull(leaf, parts)
        total.backward()
        (_, (expected, expected_slope)) = both(lying.contiguous(), parts)
        torch.testing.assert_close(total.detach(), expected)
        torch.testing.assert_close(leaf.grad * 3 if leaf.grad is not None else None, expected_slope)


def test_nothing_handed_in_is_changed():
    activations = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    shares = torch.rand(5, generator=torch.Generator().manual_seed(1))
    before = activations.clone(), shares.clone()
    pull(activations, [(regularizer, shares, 2.0) for regularizer in REGULARIZERS])
    assert torch.equal(activations, before[0])
    assert torch.equal(shares, before[1])


@pytest.mark.parametrize(
    "function",
    [lambda a: torch.ones(a.shape[:-1]), lambda a: torch.ones(a.shape[:-1], requires_grad=True)],
    ids=["without a graph", "with a graph that leads elsewhere"],
)
def test_a_function_that_does_not_depend_on_the_activations_has_no_slope(
    function: Callable[[Tensor], Tensor],
):
    leaf = torch.randn(5, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    total, (value,) = pull(leaf, [(function, None, 2.0)])
    assert (total.item(), value.item()) == (2.0, 1.0)
    total.backward()
    assert leaf.grad is not None
    assert not leaf.grad.any()


def test_a_functions_slope_is_found_also_where_gradients_are_off():
    activations = torch.ones(2, 3)
    with torch.no_grad():
        total, _ = pull(activations, [(length, None, 1.0)])
    assert total.item() == 3
    assert not total.requires_grad


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_does_not_push_a_sample_away_from_itself(dtype: torch.dtype):
    activations = torch.randn(9, 4, generator=torch.Generator().manual_seed(0)).to(dtype)
    expected = Separate(100.0)(activations.double()).mean().item()
    coarse = Separate(100.0)(activations).mean().item()
    assert abs(coarse - expected) > 0.1 * expected, "control: computed in half precision it would be seen"
    leaf = activations.clone().requires_grad_()
    total, _ = pull(leaf, [(Separate(100.0), torch.full((9,), 1 / 9), 1.0)])
    total.backward()
    assert total.item() == pytest.approx(expected, rel=1e-4)
    assert leaf.grad is not None
    assert leaf.grad.dtype == dtype


def test_autocast_does_not_coarsen_the_terms():
    torch.manual_seed(0)
    layer = nn.Linear(4, 4)
    x = torch.randn(9, 4, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        activations = layer(x)
        assert activations.dtype == torch.bfloat16
        coarse = Separate(100.0)(activations).mean().item()
        total, _ = pull(activations, [(Separate(100.0), None, 1.0)])
    expected = Separate(100.0)(activations.double()).mean().item()
    assert abs(coarse - expected) > 0.1 * expected
    assert total.item() == pytest.approx(expected, rel=1e-4)
    total.backward()
    assert layer.weight.grad is not None
    assert layer.weight.grad.any()


def test_a_second_derivative_is_refused_and_not_silently_left_out():
    leaf = torch.randn(5, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    total, _ = pull(leaf, [(Unitarity(), None, 1.0)])
    with pytest.raises(RuntimeError, match="differentiated once only"):
        torch.autograd.grad(total + leaf.pow(3).sum(), leaf, create_graph=True)


@pytest.mark.parametrize(
    ("function", "came"),
    [(lambda a: a.sum(), r"\[\]"), (lambda a: a, r"\[5, 4\]"), (lambda a: a[:2, 0], r"\[2\]")],
    ids=["one value", "all", "some samples"],
)
def test_a_function_gives_one_value_a_sample(function: Callable[[Tensor], Tensor], came: str):
    with pytest.raises(ShapeError, match=rf"activations \[5, 4\] to values \[5\]; {came} came"):
        pull(torch.ones(5, 4), [(function, None, 1.0)])


def test_as_many_shares_as_samples_are_needed_and_at_least_one_sample():
    with pytest.raises(ShapeError, match=r"labels are given for 4 samples.* for 5 \(shape \[5, 2, 4\]\)"):
        pull(torch.ones(5, 2, 4), [(Unitarity(), torch.ones(4), 1.0)])
    with pytest.raises(ShapeError, match=r"hold no sample \(shape \[0, 4\]\)"):
        pull(torch.ones(0, 4), [(Unitarity(), None, 1.0)])
