"""Suppression: take a concept's component out of activations, the more the further they point along it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from excise.constants import constant_like
from excise.errors import SettingError, ShapeError
from excise.interventions.base import Intervention
from excise.interventions.checks import whole, widened
from excise.interventions.falloff import BoundedFalloff, Falloff

__all__ = ["AxisAlignedSuppression", "Suppression"]

_UNIT = 1e-4
"""How far rows of a basis may be from orthonormal before they are refused."""

_ROUNDING = 1e-12
"""How far a length computed in float64 may be from 1 and still be 1."""


@dataclass(frozen=True, init=False)
class Suppression(Intervention):
    """Takes away a share of each activation's component along a direction, or in a subspace: z - g(alpha) P z.

    Along one direction v, alpha is z . v clamped to [0, 1]: what points away is untouched, to the bit. In a
    subspace of several dimensions nothing points away, and alpha is |P z|. At full strength (`BoundedFalloff(0, 1, 0)`)
    it is a projection.

    Args:
        basis: a direction `[feature]`, scaled to length 1 here, or orthonormal rows `[dim, feature]`.
        falloff: the share that is taken away, by alignment.

    Raises:
        SettingError: a direction of length 0, rows that are not orthonormal, or a falloff that is none.
        ShapeError: the basis is neither a direction nor rows.
    """

    basis: tuple[tuple[float, ...], ...]
    falloff: Falloff

    def __init__(
        self,
        basis: Sequence[float] | Sequence[Sequence[float]] | Tensor,
        falloff: Falloff | None = None,
    ) -> None:
        object.__setattr__(self, "basis", rows_of(basis))
        chosen = BoundedFalloff(0, 1, 0) if falloff is None else falloff
        if not isinstance(chosen, Falloff):
            raise SettingError(
                f"a suppression takes a falloff, such as BoundedFalloff(start, strength, power); {chosen!r} came."
            )
        object.__setattr__(self, "falloff", chosen)

    def check_width(self, width: int) -> None:
        """Refuse activations of another width."""
        self._refuse_other_width(len(self.basis[0]), width)

    def edit(self, activations: Float[Tensor, "*batch feature"]) -> Float[Tensor, "*batch feature"]:
        """The activations with less of the concept."""
        wide = widened(activations)
        rows = constant_like(self.basis, wide)
        components = wide @ rows.T
        # One alignment a sample, in an axis of length 1: tangents of tensors without axes change their dtype.
        alignment = components if len(self.basis) == 1 else _length(components)
        strength = self.falloff(alignment.clamp(0, 1))
        suppressed = (wide - (strength * components) @ rows).to(activations.dtype)
        return torch.where(strength > 0, suppressed, activations)


@dataclass(frozen=True, init=False)
class AxisAlignedSuppression(Intervention):
    """Sets some features to 0, whatever they are; nothing is scaled to make up for it.

    Args:
        dims: the features, counted from 0; distinct, at least one.

    Raises:
        SettingError: no dims, a negative one, one twice, or what is no whole number (a mask, for instance).
    """

    dims: tuple[int, ...]

    def __init__(self, dims: Sequence[int]) -> None:
        if isinstance(dims, int | str):
            raise SettingError(f"dims are a sequence of whole numbers, such as [0]; {dims!r} came.")
        chosen = tuple(whole(dim, "the dims of an AxisAlignedSuppression") for dim in dims)
        if not chosen or min(chosen) < 0 or len(set(chosen)) != len(chosen):
            raise SettingError(f"dims are distinct, counted from 0, and at least one; {list(dims)} came.")
        object.__setattr__(self, "dims", tuple(sorted(chosen)))

    def edit(self, activations: Float[Tensor, "*batch feature"]) -> Float[Tensor, "*batch feature"]:
        """The activations with those features exactly 0."""
        gone = torch.zeros(activations.shape[-1], dtype=torch.bool, device=activations.device)
        gone[list(self.dims)] = True
        return activations.masked_fill(gone, 0)

    def check_width(self, width: int) -> None:
        """Refuse activations that lack one of the dims."""
        if self.dims[-1] >= width:
            raise ShapeError(
                f"dim {self.dims[-1]} is outside a layer of {width} features (0 to {width - 1})."
            )


def rows_of(basis: Sequence[float] | Sequence[Sequence[float]] | Tensor) -> tuple[tuple[float, ...], ...]:
    """A direction, scaled to length 1, or orthonormal rows, as rows."""
    try:
        given = torch.as_tensor(basis)
        # Plain numbers are not rounded to torch's default dtype on the way.
        rows = given if isinstance(basis, Tensor) else torch.as_tensor(basis, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ShapeError(f"a basis is a direction [feature] or rows [dim, feature]; {error}.") from error
    if given.dtype == torch.bool or given.is_complex():
        raise SettingError(f"a basis holds real numbers; {str(given.dtype).removeprefix('torch.')} came.")
    rows = rows.detach().to("cpu", torch.float64)
    if rows.ndim not in (1, 2) or 0 in rows.shape:
        raise ShapeError(
            f"a basis is a direction [feature] or rows [dim, feature]; shape {list(rows.shape)} came."
        )
    if not bool(rows.isfinite().all()):
        raise SettingError("a basis holds finite numbers.")
    if rows.ndim == 1:
        length = float(rows.norm())
        if length == 0 or not math.isfinite(length):
            raise SettingError(f"a direction has a length above 0; {length} came.")
        # What has length 1 already stays as it is, so that a saved direction is read back to the bit.
        rows = (rows if abs(length - 1) < _ROUNDING else rows / length).unsqueeze(0)
    error = float((rows @ rows.T - torch.eye(len(rows), dtype=torch.float64)).abs().max())
    if error > _UNIT:
        raise SettingError(
            f"the rows of a basis are orthonormal; their products are off by {error:.2g}. "
            f"Make them so with torch.linalg.qr(rows.T).Q.T."
        )
    return tuple(tuple(row) for row in rows.tolist())


def _length(components: Tensor) -> Tensor:
    """The length along the last axis, which is kept, with a gradient of 0 where it is 0."""
    squared = components.square().sum(dim=-1, keepdim=True)
    nothing = squared == 0
    return squared.masked_fill(nothing, 1).sqrt().masked_fill(nothing, 0)
