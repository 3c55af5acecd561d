import math

import pytest
import torch
from torch import Tensor

from excise.errors import SettingError
from excise.interventions import BezierMapper, BoundedFalloff, LinearMapper, Mapper, TabulatedMapper

ALIGNMENTS = torch.linspace(0, 1, 1001, dtype=torch.float64)
COS_30, COS_60 = math.cos(math.radians(30)), math.cos(math.radians(60))
BEZIERS = [
    BezierMapper(0, 0.5),
    BezierMapper(0, COS_60, 0.2),
    BezierMapper(COS_60, COS_30, 0.2),
    BezierMapper(0.3, 0.9),
]
MAPPERS = [*BEZIERS, LinearMapper(0, COS_60), LinearMapper(COS_60, COS_30), BEZIERS[1].tabulated()]


@pytest.mark.parametrize("start", [0.0, COS_60])
@pytest.mark.parametrize("power", [0.0, 1.0, 2.0])
def test_a_falloff_is_nothing_up_to_its_start_and_then_rises_as_its_power(start: float, power: float):
    strengths = BoundedFalloff(start, 0.8, power)(ALIGNMENTS)
    for alignment, strength in zip(ALIGNMENTS.tolist(), strengths.tolist(), strict=True):
        expected = 0.8 * ((alignment - start) / (1 - start)) ** power if alignment > start else 0.0
        assert strength == pytest.approx(expected, abs=1e-14)
    assert strengths[-1] == pytest.approx(0.8)


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0, 2.0])
def test_the_slope_of_a_falloff_is_finite_everywhere_but_where_it_sets_in(power: float):
    alignment = torch.tensor([0.0, 0.2, 0.5, 0.6, 1.0], dtype=torch.float64, requires_grad=True)
    BoundedFalloff(0.5, 1, power)(alignment).sum().backward()
    assert alignment.grad is not None
    assert alignment.grad.isfinite().all()
    assert (alignment.grad[:3] == 0).all()


@pytest.mark.parametrize("mapper", MAPPERS, ids=lambda mapper: f"{type(mapper).__name__}-{mapper.start:.1f}")
def test_a_mapper_keeps_what_lies_below_its_start_and_ends_at_its_end(mapper: Mapper):
    mapped = mapper(ALIGNMENTS)
    below = mapper.start >= ALIGNMENTS
    assert torch.equal(mapped[below], ALIGNMENTS[below])
    assert mapped[-1] == pytest.approx(mapper.end, abs=1e-12)
    assert (mapped.diff() > -1e-12).all()
    assert (mapped <= ALIGNMENTS + 1e-12).all()


@pytest.mark.parametrize("mapper", BEZIERS, ids=str)
def test_a_bezier_lies_on_the_curve_of_its_control_points_and_has_the_slopes_it_was_asked_for(
    mapper: BezierMapper,
):
    t = torch.linspace(0, 1, 200, dtype=torch.float64)[:, None]
    p, q, r, s = torch.tensor(mapper.controls, dtype=torch.float64)
    curve = (1 - t) ** 3 * p + 3 * (1 - t) ** 2 * t * q + 3 * (1 - t) * t**2 * r + t**3 * s
    torch.testing.assert_close(mapper(curve[:, 0]), curve[:, 1], rtol=0, atol=1e-12)
    # The inner points lie 1/sqrt(2) of the way to where the tangents of the ends cross.
    crossing = (mapper.end - mapper.end_slope) / (1 - mapper.end_slope)
    for end, inner in ((p, q), (s, r)):
        expected = end + (torch.tensor([crossing, crossing]) - end) / math.sqrt(2)
        torch.testing.assert_close(inner, expected, check_dtype=False)
    ends = torch.tensor([mapper.start + 1e-9, 1 - 1e-9], dtype=torch.float64, requires_grad=True)
    (slopes,) = torch.autograd.grad(mapper(ends).sum(), ends)
    assert slopes.tolist() == pytest.approx([1, mapper.end_slope], abs=1e-6)


@pytest.mark.parametrize("mapper", BEZIERS, ids=str)
def test_the_table_of_a_bezier_agrees_with_it_and_the_table_is_what_is_looked_up(mapper: BezierMapper):
    table = mapper.tabulated()
    assert (table(ALIGNMENTS) - mapper(ALIGNMENTS)).abs().max() < 1e-4
    coarse = mapper.tabulated(3)
    assert (coarse(ALIGNMENTS) - mapper(ALIGNMENTS)).abs().max() > 1e-3
    assert (mapper(ALIGNMENTS.float()) - mapper(ALIGNMENTS)).abs().max() < 1e-6


@pytest.mark.parametrize("mapper", BEZIERS, ids=str)
def test_the_slope_of_a_bezier_is_that_of_its_curve(mapper: BezierMapper):
    inside = torch.linspace(mapper.start + 0.02, 0.98, 30, dtype=torch.float64, requires_grad=True)

    def mapped(alignment: Tensor) -> Tensor:
        return mapper(alignment)

    assert torch.autograd.gradcheck(mapped, inside)


@pytest.mark.parametrize(
    "shape",
    [*MAPPERS, BoundedFalloff(0.5, 1, 2)],
    ids=lambda shape: f"{type(shape).__name__}-{shape.start:.1f}",
)
def test_the_slope_of_one_alignment_is_its_slope_in_a_batch(shape: Mapper | BoundedFalloff):
    batch = torch.linspace(0.01, 0.99, 30, dtype=torch.float64, requires_grad=True)
    (slopes,) = torch.autograd.grad(shape(batch).sum(), batch)
    torch.testing.assert_close(torch.func.vmap(torch.func.jacrev(shape))(batch.detach()), slopes)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: BoundedFalloff(1, 1, 1), "start=1"),
        (lambda: BoundedFalloff(-0.1, 1, 1), "start=-0.1"),
        (lambda: BoundedFalloff(0, 1.1, 1), "strength=1.1"),
        (lambda: BoundedFalloff(0, 1, -1), "power=-1"),
        (lambda: BoundedFalloff(0, 1, math.nan), "power=nan"),
        (lambda: LinearMapper(1, 0.5), "LinearMapper takes a start"),
        (lambda: LinearMapper(0, 1.5), "end=1.5"),
        (lambda: BezierMapper(0, 0.5, 1), "end_slope in"),
        (lambda: BezierMapper(0.5, 0.4), "cross at alignment 0.4"),
        (lambda: BezierMapper(0, 0.5, 0.6), "cross at alignment -0.25"),
        (lambda: TabulatedMapper(0, 1, (0.0,)), "at least two values"),
        (lambda: TabulatedMapper(0, 1, (0.0, 2.0)), "each in"),
    ],
)
def test_parameters_out_of_range_are_refused(make: object, says: str):
    assert callable(make)
    with pytest.raises(SettingError, match=says):
        make()
