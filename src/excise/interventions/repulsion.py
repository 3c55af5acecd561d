"""Repulsion: turn activations away from a concept's direction, keeping their length and all else that they say."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from excise.constants import constant_like
from excise.errors import SettingError
from excise.interventions.base import Intervention
from excise.interventions.checks import whole, widened
from excise.interventions.falloff import Mapper
from excise.interventions.suppression import rows_of
from excise.seeding import generator

__all__ = ["Repulsion"]

_PARALLEL = 1e-6
"""Of a latent whose remainder is a smaller share of it than this, the remainder's direction is only rounding."""


@dataclass(frozen=True, init=False)
class Repulsion(Intervention):
    """Rotates each activation that points along a direction, in the plane of both, to another alignment.

    With alpha the cosine between z and the direction v, z becomes |z| (m(alpha) v + sqrt(1 - m(alpha)^2) u), u being
    the unit vector at right angles to v that z leans to. Where alpha is at most the mapper's start, z is untouched,
    to the bit. A latent parallel to v leans nowhere and takes an orthogonal direction that `seed` draws.

    Args:
        direction: the concept's direction `[feature]`; scaled to length 1 here.
        mapper: the new alignment, by the old one.
        seed: draws the direction that a parallel latent takes.

    Raises:
        SettingError: a direction of length 0 or of fewer than two features, a mapper that is none, or a seed
            that is no whole number of at least 0.
        ShapeError: the direction is no vector.
    """

    direction: tuple[float, ...]
    mapper: Mapper
    seed: int
    _rows: tuple[tuple[float, ...], ...] = field(repr=False, compare=False)

    def __init__(self, direction: Sequence[float] | Tensor, mapper: Mapper, seed: int = 0) -> None:
        rows = rows_of(direction)
        if len(rows) != 1 or len(rows[0]) < 2:
            raise SettingError(
                "a repulsion turns activations of at least two features away from one direction."
            )
        if not isinstance(mapper, Mapper):
            raise SettingError(
                f"a repulsion takes a mapper, such as LinearMapper(start, end); {mapper!r} came."
            )
        object.__setattr__(self, "direction", rows[0])
        object.__setattr__(self, "mapper", mapper)
        object.__setattr__(self, "seed", whole(seed, "the seeds of a Repulsion"))
        object.__setattr__(self, "_rows", (rows[0], _orthogonal_to(rows[0], self.seed)))

    def check_width(self, width: int) -> None:
        """Refuse activations of another width."""
        self._refuse_other_width(len(self.direction), width)

    def edit(self, activations: Float[Tensor, "*batch feature"]) -> Float[Tensor, "*batch feature"]:
        """The activations, turned."""
        wide = widened(activations)
        direction, aside = constant_like(self._rows, wide).unbind()
        squared = wide.square().sum(dim=-1, keepdim=True)
        still = squared == 0
        length = squared.masked_fill(still, 1).sqrt()
        along = (wide @ direction).unsqueeze(-1)
        remainder = wide - along * direction
        # Near the direction, rounding leaves a part of it in a small remainder; the second time removes that.
        remainder = remainder - (remainder @ direction).unsqueeze(-1) * direction
        rest = remainder.square().sum(dim=-1, keepdim=True)
        parallel = rest <= (_PARALLEL * length) ** 2
        lean = torch.where(parallel, aside, remainder / rest.masked_fill(parallel, 1).sqrt())
        alignment = (along / length).clamp(0, 1)
        mapped = self.mapper(alignment)
        # The root of nothing has an infinite slope.
        across = (1 - mapped.square()).clamp_min(torch.finfo(mapped.dtype).tiny).sqrt()
        turned = (length * (mapped * direction + across * lean)).to(activations.dtype)
        return torch.where(along / length > self.mapper.start, turned, activations)


def _orthogonal_to(direction: tuple[float, ...], seed: int) -> tuple[float, ...]:
    axis = torch.tensor(direction, dtype=torch.float64)
    drawn = torch.randn(len(direction), dtype=torch.float64, generator=generator(seed, "repulsion"))
    for _ in range(2):  # The second time removes what rounding left.
        drawn = drawn - (drawn @ axis) * axis
    return tuple((drawn / drawn.norm()).tolist())
