import math
import pickle
from collections.abc import Callable, Sequence

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
from excise.errors import SettingError, ShapeError

FAST = settings(derandomize=True, deadline=None, max_examples=40, database=None)
Rows = list[list[float]]
POINT = (0.5, -1.0, 0.0, 2.0)


def cosine(a: Sequence[float], b: Sequence[float]) -> float:
    lengths = math.hypot(*a) * math.hypot(*b)
    return sum(x * y for x, y in zip(a, b, strict=True)) / lengths if lengths else 0.0


def outside(rows: Rows, counted: set[int]) -> list[float]:
    return [sum(a[i] ** 2 for i in counted) for a in rows]


def crowding(rows: Rows, power: float, shift: bool) -> list[float]:
    def kernel(a: list[float], b: list[float]):
        c = cosine(a, b)
        c = 0.0 if abs(c - 1) <= 1e-8 + 1e-5 else c
        return max(0.0, (c + 1) / 2) ** power if shift else c**power

    return [sum(kernel(a, b) for b in rows) for a in rows]


def separate(power: float, shift: bool) -> tuple[Regularizer, Callable[[Rows], list[float]]]:
    return Separate(power=power, shift=shift), lambda rows: crowding(rows, power, shift)


FORMULAS: dict[str, tuple[Regularizer, Callable[[Rows], list[float]]]] = {
    "unitarity": (Unitarity(), lambda rows: [(math.hypot(*a) - 1) ** 2 for a in rows]),
    "anchor": (Anchor(POINT), lambda rows: [math.dist(a, POINT) ** 2 for a in rows]),
    "angular-anchor": (AngularAnchor(POINT), lambda rows: [1 - cosine(a, POINT) for a in rows]),
    "anti-anchor-hemisphere": (
        AntiAnchor(POINT),
        lambda rows: [max(0.0, cosine(a, POINT)) for a in rows],
    ),
    "anti-anchor-full": (
        AntiAnchor(POINT, full=True),
        lambda rows: [(cosine(a, POINT) + 1) / 2 for a in rows],
    ),
    "planarity": (Planarity(), lambda rows: outside(rows, {2, 3})),
    "subspace": (AxisAlignedSubspace((3, 1)), lambda rows: outside(rows, {0, 2})),
    "subspace-inverted": (AxisAlignedSubspace((3, 1), inverted=True), lambda rows: outside(rows, {1, 3})),
    "separate-1": separate(1.0, False),
    "separate-1-shift": separate(1.0, True),
    "separate-broken-shift": separate(1.5, True),
    "separate-3": separate(3.0, False),
    "separate-10": separate(10.0, False),
    "separate-11-shift": separate(11.0, True),
    "separate-100-shift": separate(100.0, True),
}

each_regularizer = pytest.mark.parametrize("name", FORMULAS)


@st.composite
def latents(draw: st.DrawFn) -> Tensor:
    """Latents `[batch, 4]` of lengths from 1e-6 to 1e3, with duplicates, scaled and opposite twins, and zeros."""
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32 - 1)))
    own = torch.randn(draw(st.integers(1, 6)), 4, generator=generator, dtype=torch.float64)
    own = own * 10.0 ** draw(st.integers(-6, 3))
    twins = [
        own[:1] * factor for factor in draw(st.lists(st.sampled_from([1.0, 1.0, 3.0, -1.0, 0.0]), max_size=4))
    ]
    rows = torch.cat([own, *twins])
    return rows[torch.randperm(len(rows), generator=generator)]


@each_regularizer
@FAST
@given(rows=latents())
def test_every_value_is_the_published_formula(name: str, rows: Tensor):
    regularizer, formula = FORMULAS[name]
    expected = torch.tensor(formula(rows.tolist()), dtype=torch.float64)
    torch.testing.assert_close(regularizer(rows), expected, rtol=1e-11, atol=1e-12)


@each_regularizer
@FAST
@given(rows=latents(), seed=st.integers(0, 1000))
def test_the_slope_in_closed_form_is_what_autograd_finds(name: str, rows: Tensor, seed: int):
    regularizer, _ = FORMULAS[name]
    shares = torch.rand(len(rows), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    leaf = rows.clone().requires_grad_()
    expected = (regularizer(leaf) * shares).sum()
    (expected_slope,) = torch.autograd.grad(expected, leaf)
    value, slope = regularizer.value_and_slope(rows, shares)
    assert not value.requires_grad
    assert not slope.requires_grad
    torch.testing.assert_close(value, expected.detach(), rtol=1e-12, atol=1e-13)
    # A direction turns the faster the shorter its vector: slope x length is what can be told apart.
    length = rows.norm(dim=-1, keepdim=True).clamp_min(1e-12)
    torch.testing.assert_close(slope * length, expected_slope * length, rtol=1e-10, atol=1e-12)


@each_regularizer
def test_leading_axes_are_kept_and_separate_counts_them_as_one_batch(name: str):
    regularizer, _ = FORMULAS[name]
    rows = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert torch.equal(regularizer(rows), regularizer(rows.flatten(0, 1)).view(3, 5))
    alone = torch.stack([regularizer(sequence) for sequence in rows])
    assert torch.allclose(alone, regularizer(rows)) == (not isinstance(regularizer, Separate))


@each_regularizer
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_values_and_slopes_have_the_dtype_of_the_activations(name: str, dtype: torch.dtype):
    regularizer, _ = FORMULAS[name]
    rows = torch.randn(3, 4, generator=torch.Generator().manual_seed(0)).to(dtype)
    value, slope = regularizer.value_and_slope(rows, torch.full((3,), 1 / 3, dtype=dtype))
    assert regularizer(rows).dtype == value.dtype == slope.dtype == dtype


@pytest.mark.parametrize("kind", [Anchor, AngularAnchor, AntiAnchor, AxisAlignedSubspace])
def test_use_in_inference_mode_does_not_spoil_later_training(kind: Callable[..., Regularizer]):
    # Coordinates and a width that no other test uses, so that no constant of them has been made before.
    point = (0.123, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0)
    regularizer = kind((0, 6)) if kind is AxisAlignedSubspace else kind(point)
    rows = torch.ones(3, 8)
    with torch.inference_mode():
        regularizer(rows)
    regularizer(rows.requires_grad_()).sum().backward()
    assert rows.grad is not None


@each_regularizer
def test_a_regularizer_is_a_frozen_value(name: str):
    regularizer, _ = FORMULAS[name]
    twin = pickle.loads(pickle.dumps(regularizer))
    assert twin == regularizer
    assert hash(twin) == hash(regularizer)
    assert sum(other == regularizer for other, _ in FORMULAS.values()) == 1
    for field in vars(regularizer):
        with pytest.raises(AttributeError):
            setattr(regularizer, field, None)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Anchor([]), "Anchor takes a point of finite numbers"),
        (lambda: Anchor([1.0, math.nan]), "Anchor takes a point of finite numbers"),
        (lambda: AngularAnchor([0.0, 0.0]), "AngularAnchor takes a direction; the zero vector has none"),
        (lambda: AntiAnchor([0.0]), "AntiAnchor takes a direction"),
        (lambda: AxisAlignedSubspace([]), "distinct dims from 0 upward"),
        (lambda: AxisAlignedSubspace([0, -1]), "distinct dims from 0 upward"),
        (lambda: AxisAlignedSubspace([1, 1]), "distinct dims from 0 upward"),
        (lambda: AxisAlignedSubspace([True, False]), "not a mask"),
        (lambda: Separate(power=0.5), "a power of at least 1; 0.5 came"),
        (lambda: Separate(power=math.inf), "a power of at least 1"),
        (lambda: Separate(power=1.5, shift=False), "takes a whole power; 1.5 came"),
    ],
)
def test_settings_out_of_range_are_refused(make: Callable[[], Regularizer], says: str):
    with pytest.raises(SettingError, match=says):
        make()


def test_a_regularizer_refuses_a_layer_of_another_width():
    for regularizer in (Anchor(POINT), AngularAnchor(POINT), AntiAnchor(POINT)):
        regularizer.check_width(4)
        with pytest.raises(ShapeError, match="a point of 4 coordinates, but the layer has 5"):
            regularizer.check_width(5)
    AxisAlignedSubspace((1, 3)).check_width(4)
    with pytest.raises(ShapeError, match=r"dims \(1, 3\), but the layer's run from 0 to 2"):
        AxisAlignedSubspace((1, 3)).check_width(3)
    for width in (1, 4096):
        Unitarity().check_width(width)
        Separate().check_width(width)
