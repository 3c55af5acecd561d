"""What holds for every intervention, with every falloff and mapper, along any direction."""

import copy
import pickle
from functools import partial
from itertools import product

import pytest
import torch
from torch import Tensor
from torch.func import jacfwd, jacrev, vmap

from excise.interventions import (
    AxisAlignedSuppression,
    BezierMapper,
    BoundedFalloff,
    Intervention,
    LinearMapper,
    Repulsion,
    Suppression,
)
from excise.seeding import generator

WIDTH = 5
DRAWN = torch.randn(3, WIDTH, generator=generator(0, "directions"), dtype=torch.float64)
BASIS = torch.linalg.qr(DRAWN.T).Q.T
DIRECTIONS = {"axis": torch.eye(WIDTH, dtype=torch.float64)[0], "oblique": BASIS[0]}
FALLOFFS = [BoundedFalloff(start, 1, power) for start, power in product((0, 0.5), (0, 0.5, 1, 2))]
MAPPERS = [
    *(LinearMapper(0, end) for end in (0, 0.5, 1)),
    LinearMapper(0.5, 0.9),
    BezierMapper(0, 0.5),
    BezierMapper(0.5, 0.9, 0.2),
    BezierMapper(0, 0.5).tabulated(9),
]
EDITS = {
    "axes": AxisAlignedSuppression([0, 3]),
    **{
        f"{at}-{falloff}": Suppression(v, falloff)
        for (at, v), falloff in product(DIRECTIONS.items(), FALLOFFS)
    },
    **{f"subspace-{falloff}": Suppression(BASIS[:2], falloff) for falloff in FALLOFFS},
    **{f"{at}-{mapper}": Repulsion(v, mapper) for (at, v), mapper in product(DIRECTIONS.items(), MAPPERS)},
}
ONE_OF_A_KIND = [
    AxisAlignedSuppression([0, 3]),
    Suppression(BASIS[0], BoundedFalloff(0.1, 1, 2)),
    Suppression(BASIS[:2], BoundedFalloff(0.1, 0.8, 1)),
    Repulsion(BASIS[0], LinearMapper(0, 0.5)),
    Repulsion(BASIS[0], BezierMapper(0, 0.5)),
    Repulsion(BASIS[0], BezierMapper(0, 0.5).tabulated(9)),
]
every_edit = pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
one_of_a_kind = pytest.mark.parametrize(
    "edit", ONE_OF_A_KIND, ids=["axes", "line", "plane", "linear", "bezier", "table"]
)


def latents(*shape: int, seed: int = 0) -> Tensor:
    """Half of them lean towards the directions, none of them is of length 1."""
    z = torch.randn(*shape, WIDTH, generator=generator(seed, "latents"), dtype=torch.float64)
    return z + torch.randint(0, 2, (*shape, 1), generator=generator(seed, "lean")) * BASIS[:2].sum(dim=0)


@every_edit
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_values_and_gradients_are_finite_at_the_poles(edit: Intervention, dtype: torch.dtype):
    poles = [
        sign * length * v
        for v in (*DIRECTIONS.values(), *BASIS)
        for sign in (1, -1)
        for length in (1, 1e-3, 30)
    ]
    z = torch.stack([*poles, torch.zeros(WIDTH, dtype=torch.float64)]).to(dtype).requires_grad_()
    edited = edit(z)
    assert (edited.dtype, edited.shape) == (z.dtype, z.shape)
    assert edited.isfinite().all()
    (slope,) = torch.autograd.grad(edited.sum(), z)
    assert slope.isfinite().all()


@every_edit
def test_an_edit_in_half_precision_is_the_exact_edit_rounded_once(edit: Intervention):
    for dtype in (torch.bfloat16, torch.float16):
        z = latents(40).to(dtype)
        away = (edit(z).double() - edit(z.double())).abs()
        # Half a unit of the last place, of numbers no longer than the latent; and the rounding of float32.
        assert (away <= (torch.finfo(dtype).eps / 2 + 1e-6) * z.double().norm(dim=-1, keepdim=True)).all()


@one_of_a_kind
def test_the_edit_acts_on_the_last_axis_and_sample_by_sample(edit: Intervention):
    z = latents(4, 3)
    edited = edit(z)
    assert (edited - z).abs().max() > 0.1
    for row, position in product(range(4), range(3)):
        torch.testing.assert_close(edit(z[row, position]), edited[row, position])
    torch.testing.assert_close(edit(z.transpose(0, 1)), edited.transpose(0, 1))
    assert edit(z[:0]).shape == (0, 3, WIDTH)
    torch.testing.assert_close(vmap(vmap(edit))(z), edited)
    torch.testing.assert_close(vmap(edit, in_dims=1, out_dims=1)(z), edited)


# The first use of forward mode lets torch compile rules of its own in a way that it has deprecated.
@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")
@one_of_a_kind
def test_jacobians_agree_forward_and_backward_and_with_the_slope_of_a_batch(edit: Intervention):
    for z in (latents(12), latents(12).float()):
        jacobians = vmap(jacrev(edit))(z)
        assert jacobians.dtype == z.dtype
        assert jacobians.isfinite().all()
        # The inverse of a Bezier's coordinate, and float32, leave rounding.
        close = partial(torch.testing.assert_close, rtol=1e-5, atol=1e-5)
        close(torch.stack([jacfwd(edit)(sample) for sample in z]), jacobians)
        leaf = z.clone().requires_grad_()
        (slope,) = torch.autograd.grad(edit(leaf).sum(), leaf)
        close(jacobians.sum(dim=1), slope)


@one_of_a_kind
def test_an_edit_first_used_inside_a_transform_works_outside_it(edit: Intervention):
    fresh = Suppression([1, 2, 3, 4, 6]) if isinstance(edit, AxisAlignedSuppression) else copy.deepcopy(edit)
    jacrev(fresh)(latents(1)[0])
    leaf = latents(3).requires_grad_()
    fresh(leaf).sum().backward()
    assert leaf.grad is not None


@one_of_a_kind
def test_autocast_does_not_round_an_edit(edit: Intervention):
    z = latents(20).float()
    with torch.autocast("cpu", torch.bfloat16):
        inside = edit(z)
        assert (z @ z.T).dtype == torch.bfloat16
    assert torch.equal(inside, edit(z))


@one_of_a_kind
def test_what_an_edit_says_of_shape_and_dtype_it_says_without_numbers_on_any_device(edit: Intervention):
    z = torch.empty(2, 3, WIDTH, device="meta", dtype=torch.bfloat16)
    edited = edit(z)
    assert (edited.shape, edited.dtype, edited.device) == (z.shape, z.dtype, z.device)
    with torch.inference_mode():
        edit(latents(3))
    assert edit(latents(3).requires_grad_()).requires_grad


@one_of_a_kind
def test_what_is_not_a_number_stays_where_it_is(edit: Intervention):
    z = latents(6)
    spoilt = z.clone()
    spoilt[2, 1] = float("nan")
    edited = edit(spoilt)
    others = [0, 1, 3, 4, 5]
    assert torch.equal(edited[others], edit(z)[others])
    assert edited[2, 1].isnan()


@every_edit
def test_an_edit_is_frozen_hashable_equal_to_its_copies_and_saved(edit: Intervention):
    for other in (copy.deepcopy(edit), pickle.loads(pickle.dumps(edit))):
        assert (other, hash(other)) == (edit, hash(edit))
        assert torch.equal(other(latents(8)), edit(latents(8)))
    assert [name for name, known in EDITS.items() if known == edit] == [
        name for name, known in EDITS.items() if known is edit
    ]
    with pytest.raises(AttributeError):
        edit.dims = (1,)  # pyright: ignore[reportAttributeAccessIssue] - that is the test


def test_directions_of_plain_numbers_are_not_rounded_to_the_default_dtype():
    numbers = [0.1, 0.2, 0.3]
    exact = torch.tensor(numbers, dtype=torch.float64)
    assert Suppression(numbers) == Suppression(exact)
    assert Suppression(numbers) != Suppression(exact.float())
    assert Repulsion(numbers, MAPPERS[0]) == Repulsion(exact, MAPPERS[0])
