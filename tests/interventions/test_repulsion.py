import copy
import math
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from excise.errors import SettingError, ShapeError
from excise.interventions import BezierMapper, LinearMapper, Mapper, Repulsion

MAPPERS = [LinearMapper(0, 0.5), LinearMapper(0.5, 0.9), BezierMapper(0, 0.5), BezierMapper(0.5, 0.9, 0.2)]


def unit(count: int, width: int, seed: int = 0) -> Tensor:
    drawn = torch.randn(count, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.nn.functional.normalize(drawn, dim=-1)


@pytest.mark.parametrize("mapper", MAPPERS, ids=str)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), width=st.integers(2, 8))
def test_repulsion_keeps_the_norm_gives_the_mapped_alignment_and_stays_in_the_plane(
    mapper: Mapper, seed: int, width: int
):
    direction = unit(1, width, seed + 1)[0]
    lengths = torch.rand(40, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) * 9 + 0.1
    z = unit(40, width, seed) * lengths
    repelled = Repulsion(direction, mapper)(z)
    torch.testing.assert_close(repelled.norm(dim=-1), z.norm(dim=-1))
    alignment = (z @ direction) / z.norm(dim=-1)
    turned = alignment > mapper.start
    assert torch.equal(repelled[~turned], z[~turned])
    torch.testing.assert_close(
        (repelled @ direction / z.norm(dim=-1))[turned], mapper(alignment.clamp(0, 1))[turned]
    )
    # What is left of both at right angles to the direction points the same way.
    before, after = (x - (x @ direction)[:, None] * direction for x in (z[turned], repelled[turned]))
    torch.testing.assert_close(torch.cosine_similarity(before, after), torch.ones(len(before)).double())


@pytest.mark.parametrize("width", [3, 512])
@pytest.mark.parametrize("mapper", MAPPERS, ids=str)
def test_the_norm_is_kept_however_near_a_latent_lies_to_the_direction(mapper: Mapper, width: int):
    direction, other = unit(2, width, seed=4)
    aside = torch.nn.functional.normalize(other - (other @ direction) * direction, dim=0)
    z = (3 * direction + torch.logspace(-8, 1, 200, dtype=torch.float64)[:, None] * aside).float()
    repelled = Repulsion(direction, mapper)(z).double()
    lengths = z.double().norm(dim=-1)
    # Some roundings of float32.
    torch.testing.assert_close(repelled.norm(dim=-1), lengths, rtol=2e-6, atol=0)
    mapped = mapper((z.double() @ direction / lengths).clamp(0, 1))
    torch.testing.assert_close(repelled @ direction / lengths, mapped, rtol=0, atol=2e-6)


def test_one_value_by_hand():
    # Alignment 0.6 is mapped to 0.3; the rest of length 1 goes where the latent leant: up.
    repelled = Repulsion([1.0, 0.0], LinearMapper(0, 0.5))(torch.tensor([0.6, 0.8], dtype=torch.float64))
    assert repelled.tolist() == pytest.approx([0.3, math.sqrt(1 - 0.09)])


def test_a_latent_parallel_to_the_direction_takes_an_orthogonal_one_that_the_seed_draws():
    pole = torch.tensor([[0.0, 0.0, 3.0, 0.0]], dtype=torch.float64)
    mapper = LinearMapper(0, 0.5)
    repelled = [Repulsion([0, 0, 1, 0], mapper, seed)(pole) for seed in (0, 0, 1)]
    assert torch.equal(repelled[0], repelled[1])
    assert (repelled[0] - repelled[2]).abs().max() > 0.1
    for one in repelled:
        assert one.norm() == pytest.approx(3)
        assert one[0, 2] == pytest.approx(1.5)


def test_gradients_are_those_of_the_formula_and_finite_at_the_poles():
    for mapper in [*MAPPERS, LinearMapper(0.5, 1)]:
        edit = Repulsion([1, 0, 0], mapper)
        z = unit(40, 3)
        z = z[(z[:, 0] - mapper.start).abs() > 0.01][:12].requires_grad_()
        assert torch.autograd.gradcheck(edit.edit, z)
        poles = torch.tensor([[1.0, 0, 0], [-1.0, 0, 0], [0.0, 0, 0], [0, 1.0, 0]]).requires_grad_()
        (slope,) = torch.autograd.grad(edit(poles).sum(), poles)
        assert slope.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
def test_dtype_and_shape_are_kept_also_under_vmap(dtype: torch.dtype):
    z, edit = unit(24, 4).reshape(4, 6, 4).to(dtype), Repulsion([0, 1, 0, 0], BezierMapper(0, 0.5))
    assert (edit(z).dtype, edit(z).shape) == (z.dtype, z.shape)
    torch.testing.assert_close(torch.func.vmap(edit)(z), edit(z))


def test_repulsion_is_saved_and_copied():
    edit = Repulsion([0, 1, 0, 0], BezierMapper(0, 0.5), seed=3)
    assert pickle.loads(pickle.dumps(edit)) == copy.deepcopy(edit) == edit
    assert torch.equal(copy.deepcopy(edit)(unit(5, 4)), edit(unit(5, 4)))
    assert edit != Repulsion([0, 1, 0, 0], BezierMapper(0, 0.5), seed=4)


def test_what_cannot_be_repelled_from_is_refused():
    mapper = LinearMapper(0, 0.5)
    for direction in ([0.0, 0.0], [1.0]):
        with pytest.raises(SettingError):
            Repulsion(direction, mapper)
    with pytest.raises(SettingError, match="one direction"):
        Repulsion(torch.eye(3)[:2], mapper)
    with pytest.raises(ShapeError, match="for 2 features, but the activations have 3"):
        Repulsion([1, 0], mapper)(unit(2, 3))
