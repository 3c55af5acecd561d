"""Cubic Bezier curves as functions: the height of the curve above a place, differentiable by it."""

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["height_at"]


def height_at(controls: Sequence[Sequence[float]], places: Tensor) -> Tensor:
    """The height of a curve at each place, exact to rounding.

    Args:
        controls: the four control points, (place, height); the places rise, so that the curve is a function.
        places: of any shape, between the places of the first and the last control point.
    """
    across, upward = (_power_basis(axis) for axis in zip(*controls, strict=True))
    return _polynomial(upward, _solved(across, places))


def _power_basis(points: Sequence[float]) -> tuple[float, float, float, float]:
    """The coefficients of the powers 0 to 3 of a cubic Bezier's coordinate."""
    p, q, r, s = points
    return p, 3 * (q - p), 3 * (p - 2 * q + r), s - 3 * r + 3 * q - p


def _polynomial(coefficients: tuple[float, float, float, float], t: Tensor) -> Tensor:
    c0, c1, c2, c3 = coefficients
    return c0 + t * (c1 + t * (c2 + t * c3))


def _slope(coefficients: tuple[float, float, float, float], t: Tensor) -> Tensor:
    _, c1, c2, c3 = coefficients
    return c1 + t * (2 * c2 + t * 3 * c3)


def _solved(coefficients: tuple[float, float, float, float], target: Tensor) -> Tensor:
    """The t in [0, 1] at which the rising cubic meets the target; differentiable by the target."""
    aim = target.detach()
    low, high = torch.zeros_like(aim), torch.ones_like(aim)
    for _ in range(54 if aim.dtype == torch.float64 else 26):
        middle = (low + high) / 2
        below = _polynomial(coefficients, middle) < aim
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    t = (low + high) / 2
    slope = _slope(coefficients, t).clamp_min(1e-6)
    # A Newton step changes the value by rounding only, and carries the derivative of the inverse.
    return (t + (target - _polynomial(coefficients, t)) / slope).clamp(0, 1)
