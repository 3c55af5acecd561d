"""Turns claims on shapes into verdicts: each is measured on the arrays that the figures are drawn from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import xarray as xr

from excise.experiments.shape_claims import DIRECTION, KinkClaim, Shape, ShapeClaim, edit_by
from excise.interventions import BezierMapper, BoundedFalloff, Falloff, LinearMapper, Mapper

__all__ = ["judge_shapes", "judged_kinds"]


def judged_kinds(claim: ShapeClaim | KinkClaim) -> list[tuple[type, ...]]:
    """Of which kinds of profile a claim needs shapes: at least one of each of these."""
    if isinstance(claim, KinkClaim):
        return [(BezierMapper,), (LinearMapper,)]
    return [_MEASURES[claim.measure].of]


def judge_shapes(
    claims: Sequence[ShapeClaim | KinkClaim], shapes: Sequence[Shape], arrays: xr.Dataset
) -> list[dict[str, Any]]:
    """A row for each claim: what was claimed, the worst that was measured, the threshold, and whether it held.

    Args:
        claims: what is claimed.
        shapes: of which shapes.
        arrays: what was drawn of them, as `excise.experiments.shapes.draw` makes it.
    """
    return [
        _judge_kink(claim, shapes, arrays)
        if isinstance(claim, KinkClaim)
        else _judge_shape(claim, shapes, arrays)
        for claim in claims
    ]


def _judge_shape(claim: ShapeClaim, shapes: Sequence[Shape], arrays: xr.Dataset) -> dict[str, Any]:
    measure = _MEASURES[claim.measure]
    details = {
        shape.name: measure.take(shape, arrays) for shape in shapes if isinstance(shape.profile, measure.of)
    }
    return _row(claim.claim, details, details, claim.threshold, measure.words)


def _judge_kink(claim: KinkClaim, shapes: Sequence[Shape], arrays: xr.Dataset) -> dict[str, Any]:
    smooth, kinked = (
        {shape.name: _kink(shape, arrays) for shape in shapes if isinstance(shape.profile, kind)}
        for kind in (BezierMapper, LinearMapper)
    )
    words = f"{claim.times:g} x the smallest jump of slope of a linear mapper"
    return _row(claim.claim, smooth, smooth | kinked, claim.times * min(kinked.values()), words)


def _row(
    claim: str, judged: dict[str, float], details: dict[str, float], threshold: float, words: str
) -> dict[str, Any]:
    # Python's own max passes over a NaN that is not the first.
    value = float(np.max(list(judged.values())))
    return {
        "claim": claim,
        "measured": value,
        "holds": "at most",
        "threshold": threshold,
        "threshold_is": words,
        "passed": value <= threshold,
        "details": details,
    }


def _touched(before: np.ndarray, after: np.ndarray) -> float:
    """How many latents `[n, 2]` differ in any bit."""
    bits = [np.ascontiguousarray(latents).view(np.int64) for latents in (before, after)]
    return float((bits[0] != bits[1]).any(axis=-1).sum())


def _ring(shape: Shape, arrays: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    return arrays["before"].to_numpy(), arrays["after"].sel(shape=shape.name).to_numpy()


def _touched_up_to(alignment: float, shape: Shape, arrays: xr.Dataset) -> float:
    before, after = _ring(shape, arrays)
    there = before @ np.array(DIRECTION) <= alignment
    return _touched(before[there], after[there])


def _touched_at_no_strength(shape: Shape, arrays: xr.Dataset) -> float:
    assert isinstance(shape.profile, BoundedFalloff)
    before = arrays["before"].to_numpy()
    edit = edit_by(replace(shape.profile, strength=0))
    return _touched(before, edit(torch.tensor(before)).numpy())


def _length_gained(shape: Shape, arrays: xr.Dataset) -> float:
    before, after = (np.linalg.norm(latents, axis=-1) for latents in _ring(shape, arrays))
    return float((after - before).max())


def _length_changed(shape: Shape, arrays: xr.Dataset) -> float:
    before, after = (np.linalg.norm(latents, axis=-1) for latents in _ring(shape, arrays))
    return float(np.abs(after - before).max())


def _strength(shape: Shape, arrays: xr.Dataset) -> np.ndarray:
    return arrays["strength"].sel(suppression=shape.name).to_numpy()


def _strength_lost(shape: Shape, arrays: xr.Dataset) -> float:
    strength = _strength(shape, arrays)
    return float((strength[:-1] - strength[1:]).max())


def _strength_missed(shape: Shape, arrays: xr.Dataset) -> float:
    assert isinstance(shape.profile, BoundedFalloff)
    return abs(float(_strength(shape, arrays)[-1]) - shape.profile.strength)


def _above_end(shape: Shape, arrays: xr.Dataset) -> float:
    assert isinstance(shape.profile, Mapper)
    _, after = _ring(shape, arrays)
    ring = (after @ np.array(DIRECTION)) / np.linalg.norm(after, axis=-1)
    line = _new_alignment(shape, arrays)
    return float(np.maximum(0, np.concatenate([ring, line]).max() - shape.profile.end))


def _end_slope_missed(shape: Shape, arrays: xr.Dataset) -> float:
    assert isinstance(shape.profile, BezierMapper)
    values = _new_alignment(shape, arrays)[-3:]
    # The one-sided difference over three points, whose error falls with the square of their distance.
    slope = (3 * values[2] - 4 * values[1] + values[0]) / (2 * _spacing(arrays))
    return abs(float(slope) - shape.profile.end_slope)


def _kink(shape: Shape, arrays: xr.Dataset) -> float:
    """By how much the slope of a mapper jumps where it starts, at most."""
    alignment, values = arrays["alignment"].to_numpy(), _new_alignment(shape, arrays)
    spacing = _spacing(arrays)
    jumps = np.abs(np.diff(values, n=2)) / spacing
    return float(jumps[np.abs(alignment[1:-1] - shape.profile.start) < 1.5 * spacing].max())


def _new_alignment(shape: Shape, arrays: xr.Dataset) -> np.ndarray:
    return arrays["new_alignment"].sel(repulsion=shape.name).to_numpy()


def _spacing(arrays: xr.Dataset) -> float:
    return 2 / (arrays.sizes["alignment"] - 1)


@dataclass(frozen=True)
class _Measure:
    """How something is measured.

    Attributes:
        of: the profiles that it can be measured of.
        words: what the number is.
        take: measures one shape.
    """

    of: tuple[type, ...]
    words: str
    take: Callable[[Shape, xr.Dataset], float]


_MEASURES: dict[str, _Measure] = {
    "touched away": _Measure(
        (Falloff, Mapper),
        "latents of which any bit changed",
        lambda shape, arrays: _touched_up_to(0, shape, arrays),
    ),
    "touched below start": _Measure(
        (Falloff, Mapper),
        "latents of which any bit changed",
        lambda shape, arrays: _touched_up_to(shape.profile.start, shape, arrays),
    ),
    "touched at no strength": _Measure(
        (Falloff,), "latents of which any bit changed", _touched_at_no_strength
    ),
    "length gained": _Measure((Falloff,), "by which any latent grew", _length_gained),
    "strength lost on the way": _Measure((Falloff,), "by which the strength fell", _strength_lost),
    "strength missed at the end": _Measure((Falloff,), "off the stated strength", _strength_missed),
    "length changed": _Measure((Mapper,), "by which any length changed", _length_changed),
    "alignment above end": _Measure((Mapper,), "beyond the stated end", _above_end),
    "end slope missed": _Measure((BezierMapper,), "off the stated slope", _end_slope_missed),
}
