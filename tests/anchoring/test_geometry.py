"""What the regularizers do to latents, whatever their formulas."""

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from excise.anchoring import (
    Anchor,
    AngularAnchor,
    AntiAnchor,
    AxisAlignedSubspace,
    Planarity,
    Regularizer,
    Separate,
    Unitarity,
)

FAST = settings(derandomize=True, deadline=None, max_examples=30, database=None)
SEEDS = st.integers(0, 2**32 - 1)
POINT = torch.tensor([0.5, -1.0, 0.0, 2.0], dtype=torch.float64)


def normal(*shape: int, seed: int):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def rotation(seed: int):
    return torch.linalg.qr(normal(4, 4, seed=seed)).Q


def same(one: Tensor, other: Tensor):
    return torch.allclose(one, other, rtol=1e-9, atol=1e-12)


def slope_of(regularizer: Regularizer, rows: Tensor):
    return regularizer.value_and_slope(rows, torch.ones(len(rows), dtype=rows.dtype))[1]


@FAST
@given(SEEDS, st.sampled_from([(1.0, False), (3.0, False), (10.0, False), (100.0, True), (1.5, True)]))
def test_separate_is_the_same_under_rotation_scaling_and_permutation(seed: int, form: tuple[float, bool]):
    regularizer = Separate(*form)
    rows = normal(8, 4, seed=seed)
    order = torch.randperm(8, generator=torch.Generator().manual_seed(seed))
    assert same(regularizer(rows @ rotation(seed)), regularizer(rows))
    assert same(regularizer(rows * normal(8, 1, seed=seed).exp()), regularizer(rows))
    assert same(regularizer(rows[order]), regularizer(rows)[order])
    assert not same(regularizer(rows + 1), regularizer(rows)), "control: a shift of the latents is seen"


@FAST
@given(SEEDS)
def test_turning_latents_and_point_together_changes_no_anchor(seed: int):
    rows, turn = normal(8, 4, seed=seed), rotation(seed)
    turned = (POINT @ turn).tolist()
    for kind in (Anchor, AngularAnchor, AntiAnchor, lambda point: AntiAnchor(point, full=True)):
        assert same(kind(turned)(rows @ turn), kind(POINT.tolist())(rows))
        assert not same(kind(POINT.tolist())(rows @ turn), kind(POINT.tolist())(rows)), "control"


@FAST
@given(SEEDS, st.floats(0.01, 100))
def test_angles_ignore_the_length_of_latents_and_of_the_point(seed: int, factor: float):
    rows = normal(8, 4, seed=seed)
    for kind in (AngularAnchor, AntiAnchor):
        expected = kind(POINT.tolist())(rows)
        assert same(kind((POINT * factor).tolist())(rows * factor), expected)
    assert not same(Anchor(POINT.tolist())(rows * 2), Anchor(POINT.tolist())(rows)), "control"


@FAST
@given(SEEDS)
def test_unitarity_knows_only_lengths_and_a_subspace_only_its_own_axes(seed: int):
    rows = normal(8, 4, seed=seed)
    assert same(Unitarity()(rows @ rotation(seed)), Unitarity()(rows))
    inside = rows.clone()
    inside[:, [1, 3]] = normal(8, 2, seed=seed + 1)
    assert same(AxisAlignedSubspace([1, 3])(inside), AxisAlignedSubspace([1, 3])(rows))
    assert not same(Planarity()(inside), Planarity()(rows)), "control"


@FAST
@given(SEEDS)
def test_a_subspace_and_its_inverse_share_out_the_squared_length(seed: int):
    rows = normal(8, 4, seed=seed)
    both = AxisAlignedSubspace([0, 2])(rows) + AxisAlignedSubspace([0, 2], inverted=True)(rows)
    assert same(both, rows.square().sum(dim=-1))


@pytest.mark.parametrize(("gap", "together"), [(0.0, True), (0.9e-5, True), (1.1e-5, False), (1e-3, False)])
def test_samples_that_lie_together_push_neither_themselves_nor_others(gap: float, together: bool):
    angle = math.acos(1 - gap)
    rows = torch.tensor([[1.0, 0.0], [math.cos(angle), math.sin(angle)]], dtype=torch.float64)
    assert torch.isclose(rows[0] @ rows[1], torch.ones((), dtype=torch.float64)).item() == together
    value = 0.0 if together else 1 - gap
    torch.testing.assert_close(Separate(1.0, shift=False)(rows), torch.full((2,), value, dtype=torch.float64))
    assert bool(slope_of(Separate(100.0), rows).any()) != together
    leaf = rows.clone().requires_grad_()
    Separate(100.0)(leaf).sum().backward()
    assert leaf.grad is not None
    assert bool(leaf.grad.any()) != together


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_opposite_latents_have_finite_values_under_a_broken_power(dtype: torch.dtype):
    rows = torch.randn(64, 4, generator=torch.Generator().manual_seed(0)).to(dtype)
    directions = torch.nn.functional.normalize(torch.cat([rows, -rows]), dim=-1)
    assert (directions @ directions.T).min() < -1, "control: rounding does carry a cosine below -1"
    assert Separate(1.5)(directions).isfinite().all()
    assert slope_of(Separate(1.5), directions).isfinite().all()


@pytest.mark.parametrize(
    ("regularizer", "away"),
    [
        (Unitarity(), lambda a: (a.norm(dim=-1) - 1).abs().max()),
        (Anchor(POINT.tolist()), lambda a: (a - POINT).norm(dim=-1).max()),
        (AngularAnchor(POINT.tolist()), lambda a: 1 - (a @ POINT / a.norm(dim=-1) / POINT.norm()).min()),
        (AntiAnchor(POINT.tolist()), lambda a: (a @ POINT).max().relu()),
        (
            AntiAnchor(POINT.tolist(), full=True),
            lambda a: 1 + (a @ POINT / a.norm(dim=-1) / POINT.norm()).max(),
        ),
        (Planarity(), lambda a: a[:, 2:].abs().max()),
        (AxisAlignedSubspace([0], inverted=True), lambda a: a[:, 0].abs().max()),
    ],
    ids=["unitarity", "anchor", "angular", "hemisphere", "full", "planarity", "inverted"],
)
def test_following_the_slope_downhill_leads_where_the_regularizer_says(
    regularizer: Regularizer, away: Callable[[Tensor], Tensor]
):
    rows = normal(16, 4, seed=0)
    began = away(rows)
    for _ in range(2000):
        rows = rows - 0.1 * slope_of(regularizer, rows)
    assert began > 0.3
    assert away(rows) < 1e-3


def test_separate_spreads_crowded_directions_until_none_are_close():
    rows = torch.nn.functional.normalize(
        torch.ones(6, 3, dtype=torch.float64) + 0.1 * normal(6, 3, seed=0), dim=-1
    )

    def closest(a: Tensor):
        a = torch.nn.functional.normalize(a, dim=-1)
        return (a @ a.T - 2 * torch.eye(len(a))).max()

    assert closest(rows) > 0.99
    for _ in range(2000):
        rows = rows - 0.05 * slope_of(Separate(10.0, shift=True), rows)
    # Six directions in space can all be 90 degrees apart, at the corners of an octahedron.
    assert closest(rows) < 0.05
