"""Suppression states theorems of projections: each has its control."""

import copy
import pickle
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from excise.errors import SettingError, ShapeError
from excise.interventions import AxisAlignedSuppression, BoundedFalloff, Suppression

FULL = BoundedFalloff(0, 1, 0)


def unit(count: int, width: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    drawn = torch.randn(count, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.nn.functional.normalize(drawn, dim=-1).to(dtype)


def orthonormal(rows: int, width: int, seed: int = 1) -> Tensor:
    return torch.linalg.qr(unit(width, rows, seed)).Q.T


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), width=st.integers(2, 9))
def test_at_full_strength_suppression_is_a_projection_of_what_points_along(seed: int, width: int):
    z, direction = unit(64, width, seed), unit(1, width, seed + 1)[0]
    full = Suppression(direction, FULL)
    along = z @ direction
    suppressed = full(z)
    torch.testing.assert_close(
        (suppressed @ direction)[along > 0], torch.zeros(int((along > 0).sum())).double()
    )
    torch.testing.assert_close(full(suppressed), suppressed)
    across = z - along[:, None] * direction
    torch.testing.assert_close(suppressed[along > 0], across[along > 0])
    half = Suppression(direction, BoundedFalloff(0, 0.5, 0))
    assert (half(half(z)) - half(z)).abs().max() > 1e-3


def test_what_points_away_or_lies_below_the_start_is_untouched_to_the_bit():
    z, direction = unit(500, 4), [1.0, 0.0, 0.0, 0.0]
    for start in (0.0, 0.5):
        suppressed = Suppression(direction, BoundedFalloff(start, 1, 2))(z)
        below = z[:, 0] <= start
        assert torch.equal(suppressed[below], z[below])
        assert (suppressed[~below] != z[~below]).any(dim=-1).all()


def test_what_points_away_keeps_its_signs_of_zero_and_its_infinities():
    z = torch.tensor([[-0.5, -0.0, 0.0], [-0.5, float("inf"), -0.0]])
    kept = Suppression([1.0, 0, 0], FULL)(z)
    assert torch.equal(kept, z)
    assert torch.equal(kept.signbit(), z.signbit())


def test_a_falloff_without_strength_is_the_identity():
    z = unit(100, 5)
    assert torch.equal(Suppression(unit(1, 5, 2)[0], BoundedFalloff(0, 0, 1))(z), z)


def test_one_value_by_hand():
    z = torch.tensor([0.6, 0.8])
    # alpha = 0.6, strength 0.36, so 0.6 (1 - 0.36) is left.
    torch.testing.assert_close(
        Suppression([2.0, 0.0], BoundedFalloff(0, 1, 2))(z), torch.tensor([0.384, 0.8])
    )


@pytest.mark.parametrize("rows", [2, 3])
def test_a_subspace_is_suppressed_whatever_basis_it_is_given_in(rows: int):
    z, basis = unit(100, 6), orthonormal(rows, 6)
    full = Suppression(basis, FULL)(z)
    torch.testing.assert_close(full, z - z @ basis.T @ basis)
    torch.testing.assert_close(Suppression(basis, FULL)(full), full)
    half = Suppression(basis, BoundedFalloff(0, 0.5, 0))
    assert (half(half(z)) - half(z)).abs().max() > 1e-3
    turned = orthonormal(rows, rows, 5) @ basis
    soft = BoundedFalloff(0.2, 1, 1)
    torch.testing.assert_close(Suppression(turned, soft)(z), Suppression(basis, soft)(z))


def test_suppressing_axes_sets_them_to_zero_and_leaves_the_rest_to_the_bit():
    z = unit(50, 4)
    suppressed = AxisAlignedSuppression([2, 0])(z)
    assert (suppressed[:, [0, 2]] == 0).all()
    assert torch.equal(suppressed[:, [1, 3]], z[:, [1, 3]])
    assert (suppressed.norm(dim=-1) < 1).all()
    torch.testing.assert_close(suppressed, Suppression(torch.eye(4)[[0, 2]], FULL)(z))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_dtype_shape_and_gradients_are_kept_on_sequences(dtype: torch.dtype):
    z = unit(24, 4, dtype=dtype).reshape(2, 3, 4, 4).requires_grad_()
    for edit in (Suppression([0, 1, 0, 0], BoundedFalloff(0, 1, 2)), AxisAlignedSuppression([1])):
        edited = edit(z)
        assert (edited.dtype, edited.shape) == (z.dtype, z.shape)
        (slope,) = torch.autograd.grad(edited.float().square().sum(), z)
        assert slope.isfinite().all()


def test_gradients_are_those_of_the_formula_and_finite_at_the_poles():
    direction = [1.0, 0.0, 0.0]
    for edit in (
        Suppression(direction, BoundedFalloff(0.1, 1, 2)),
        Suppression(torch.eye(3)[:2], BoundedFalloff(0, 1, 2)),
    ):
        assert torch.autograd.gradcheck(edit.edit, unit(12, 3).requires_grad_())
        poles = torch.tensor([direction, [-1.0, 0, 0], [0.0, 0, 0], [0, 0, 1.0]]).requires_grad_()
        (slope,) = torch.autograd.grad(edit(poles).sum(), poles)
        assert slope.isfinite().all()


def test_suppression_works_under_vmap_and_is_saved_and_copied():
    z, edit = unit(10, 4), Suppression([1, 1, 0, 0], BoundedFalloff(0.2, 0.9, 2))
    torch.testing.assert_close(torch.func.vmap(edit)(z), edit(z))
    assert pickle.loads(pickle.dumps(edit)) == copy.deepcopy(edit) == edit
    assert hash(edit) == hash(copy.deepcopy(edit))


@pytest.mark.parametrize(
    ("basis", "error", "says"),
    [
        ([0.0, 0.0], SettingError, "length above 0"),
        ([float("nan"), 1.0], SettingError, "finite"),
        ([[1.0, 0.0], [1.0, 0.0]], SettingError, "orthonormal"),
        ([[2.0, 0.0]], SettingError, "orthonormal"),
        ([], ShapeError, r"\[0\] came"),
        ([[[1.0]]], ShapeError, "came"),
    ],
    ids=["zero", "nan", "dependent", "long", "empty", "cube"],
)
def test_a_basis_that_is_none_is_refused(basis: Any, error: type[Exception], says: str):
    with pytest.raises(error, match=says):
        Suppression(torch.tensor(basis), FULL)


def test_widths_and_dims_that_do_not_fit_are_refused():
    with pytest.raises(ShapeError, match="for 3 features, but the activations have 4"):
        Suppression([1, 0, 0], FULL)(unit(2, 4))
    with pytest.raises(ShapeError, match="dim 4 is outside a layer of 4 features"):
        AxisAlignedSuppression([0, 4])(unit(2, 4))
    for dims in ([], [-1], [1, 1]):
        with pytest.raises(SettingError, match="distinct"):
            AxisAlignedSuppression(dims)
