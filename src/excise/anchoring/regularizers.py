"""Losses that shape where concepts lie: one value a sample, on the activations of one layer.

Each regularizer is a frozen description, called with activations `[..., latent]`; it gives `[...]`, one value
a sample. Which samples count, and how much, is the business of `Term`. Any function with that signature can
stand in for one of these.

The formulas are those of *Sparse Concept Anchoring for Interpretable and Controllable Neural Representations*
(arXiv 2512.12469).
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from excise.constants import constant_like
from excise.errors import SettingError, ShapeError

__all__ = [
    "Anchor",
    "AngularAnchor",
    "AntiAnchor",
    "AxisAlignedSubspace",
    "Planarity",
    "Regularizer",
    "Separate",
    "Unitarity",
]

SMALLEST_NORM = 1e-12
"""The floor that torch's `normalize` has, below which a direction is not scaled to length 1."""

TOGETHER = 1.001e-5
"""The tolerance of `torch.isclose(c, 1)`: 1e-8 + 1e-5. (No cosine exceeds 1 by more than rounding.)"""

_NEGLIGIBLE = 64
"""From this power on, 1/2 raised to it is less than rounding even when a whole batch of such pairs is summed."""


class Regularizer(ABC):
    """A per-sample loss on latents, and its slope.

    `__call__` is the definition, differentiable any number of times. `value_and_slope` is what a training step
    needs: the weighted sum of the values and its gradient, written out so that a step builds no graph for it.
    """

    @abstractmethod
    def __call__(self, activations: Float[Tensor, "*batch latent"]) -> Float[Tensor, "*batch"]:
        """The loss of each sample."""

    @abstractmethod
    def value_and_slope(
        self, activations: Float[Tensor, "*models batch latent"], shares: Float[Tensor, "*models batch"]
    ) -> tuple[Float[Tensor, "*models"], Float[Tensor, "*models batch latent"]]:
        """The sum of shares x values over the batch, and its gradient by the activations; neither carries a graph.

        Of a stack of models, `[models, batch, latent]`, each is dealt with as if it were alone.
        """

    def check_width(self, width: int) -> None:  # noqa: B027 - most take any width
        """Refuse a layer of `width` features that this regularizer cannot be used on.

        Raises:
            ShapeError: the widths do not fit.
        """


@dataclass(frozen=True)
class Unitarity(Regularizer):
    """Draws latents towards the unit sphere: (|a| - 1)^2."""

    def __call__(self, activations: Float[Tensor, "*batch latent"]) -> Float[Tensor, "*batch"]:
        """The squared distance of each latent's length from 1."""
        return (torch.linalg.vector_norm(activations, dim=-1) - 1).square()

    def value_and_slope(
        self, activations: Float[Tensor, "*models batch latent"], shares: Float[Tensor, "*models batch"]
    ) -> tuple[Float[Tensor, "*models"], Float[Tensor, "*models batch latent"]]:
        """The weighted sum, and its gradient: 2 (|a| - 1) a / |a|."""
        norms = torch.linalg.vector_norm(activations, dim=-1)
        excess = norms - 1
        pull = shares * excess
        slope = activations * (pull * 2 / norms.clamp_min(SMALLEST_NORM)).unsqueeze(-1)
        return _summed(pull * excess), slope


@dataclass(frozen=True, init=False)
class _Pointed(Regularizer):
    """A regularizer that holds latents against one point of the layer's space."""

    point: tuple[float, ...]

    def __init__(self, point: Sequence[float]) -> None:
        values = tuple(float(value) for value in point)
        if not values or not all(map(math.isfinite, values)):
            raise SettingError(f"{type(self).__name__} takes a point of finite numbers; {values} came.")
        object.__setattr__(self, "point", values)

    def check_width(self, width: int) -> None:
        """Refuse a layer that is not as wide as the point.

        Raises:
            ShapeError: the widths differ.
        """
        if len(self.point) != width:
            raise ShapeError(
                f"{type(self).__name__} has a point of {len(self.point)} coordinates, but the layer has {width}; "
                f"give one coordinate for each feature of the layer."
            )


class Anchor(_Pointed):
    """Draws latents to a point p: |a - p|^2.

    Args:
        point: where the concept shall lie, one coordinate for each feature of the layer.

    Raises:
        SettingError: the point is empty or not finite.
    """

    def __call__(self, activations: Float[Tensor, "*batch latent"]) -> Float[Tensor, "*batch"]:
        """The squared distance of each latent from the point."""
        return (activations - constant_like(self.point, activations)).square().sum(dim=-1)

    def value_and_slope(
        self, activations: Float[Tensor, "*models batch latent"], shares: Float[Tensor, "*models batch"]
    ) -> tuple[Float[Tensor, "*models"], Float[Tensor, "*models batch latent"]]:
        """The weighted sum, and its gradient: 2 (a - p)."""
        offset = activations - constant_like(self.point, activations)
        pull = offset * shares.unsqueeze(-1)
        return _summed((pull * offset).flatten(-2)), pull * 2


class _Directed(_Pointed):
    """A regularizer of the cosine to one direction; only the direction of its point counts."""

    def __init__(self, point: Sequence[float]) -> None:
        super().__init__(point)
        if not any(self.point):
            raise SettingError(f"{type(self).__name__} takes a direction; the zero vector has none.")

    @abstractmethod
    def _of_cosine(self, cosine: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """The loss of each sample as a function of its cosine."""

    @abstractmethod
    def _slope_of_cosine(self, cosine: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """The derivative of that function."""

    def __call__(self, activations: Float[Tensor, "*batch latent"]) -> Float[Tensor, "*batch"]:
        """The loss of each sample, from its cosine to the direction."""
        return self._of_cosine(functional.normalize(activations, dim=-1) @ self._direction(activations))

    def value_and_slope(
        self, activations: Float[Tensor, "*models batch latent"], shares: Float[Tensor, "*models batch"]
    ) -> tuple[Float[Tensor, "*models"], Float[Tensor, "*models batch latent"]]:
        """The weighted sum, and its gradient: the derivative by the cosine times (p - cos(a, p) a/|a|) / |a|."""
        direction = self._direction(activations)
        norms = torch.linalg.vector_norm(activations, dim=-1).clamp_min(SMALLEST_NORM)
        cosine = (activations @ direction) / norms
        pull = shares * self._slope_of_cosine(cosine) / norms
        slope = pull.unsqueeze(-1) * direction - activations * (pull * cosine / norms).unsqueeze(-1)
        return _summed(shares * self._of_cosine(cosine)), slope

    def _direction(self, activations: Tensor) -> Tensor:
        length = math.hypot(*self.point)
        return constant_like(tuple(value / length for value in self.point), activations)


class AngularAnchor(_Directed):
    """Turns latents towards a direction p: 1 - cos(a, p), in [0, 2].

    Args:
        point: a vector of any length in the direction where the concept shall lie.

    Raises:
        SettingError: the vector is empty, zero or not finite.
    """

    def _of_cosine(self, cosine: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        return 1 - cosine

    def _slope_of_cosine(self, cosine: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        return -torch.ones_like(cosine)


@dataclass(frozen=True, init=False)
class AntiAnchor(_Directed):
    """Keeps latents away from a direction p: max(0, cos(a, p)), or (cos(a, p) + 1) / 2; both in [0, 1].

    Args:
        point: a vector of any length in the direction that shall stay empty.
        full: False acts on the hemisphere around the direction only; True on the whole sphere.

    Raises:
        SettingError: the vector is empty, zero or not finite.
    """

    full: bool = False

    def __init__(self, point: Sequence[float], full: bool = False) -> None:
        super().__init__(point)
        object.__setattr__(self, "full", full)

    def _of_cosine(self, cosine: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        return (cosine + 1) / 2 if self.full else cosine.relu()

    def _slope_of_cosine(self, cosine: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        return torch.full_like(cosine, 0.5) if self.full else (cosine > 0).to(cosine.dtype)


@dataclass(frozen=True, init=False)
class AxisAlignedSubspace(Regularizer):
    """Draws latents into the subspace of some axes: the sum of a_i^2 over i not in dims.

    Args:
        dims: the axes that span the subspace, distinct, counted from 0.
        inverted: True keeps latents out of the subspace instead: the sum runs over i in dims.

    Raises:
        SettingError: dims are empty, negative or repeated, or not whole numbers (a mask, for instance).
    """

    dims: tuple[int, ...]
    inverted: bool = False

    def __init__(self, dims: Sequence[int], inverted: bool = False) -> None:
        if any(_is_truth(dim) or int(dim) != dim for dim in dims):
            raise SettingError(f"AxisAlignedSubspace takes whole numbers, not a mask; {tuple(dims)} came.")
        chosen = tuple(int(dim) for dim in dims)
        if not chosen or min(chosen) < 0 or len(set(chosen)) != len(chosen):
            raise SettingError(f"AxisAlignedSubspace takes distinct dims from 0 upward; {chosen} came.")
        object.__setattr__(self, "dims", chosen)
        object.__setattr__(self, "inverted", inverted)

    def __call__(self, activations: Float[Tensor, "*batch latent"]) -> Float[Tensor, "*batch"]:
        """The squared length of each latent's part outside (or, inverted, inside) the subspace."""
        return activations.square() @ self._counted(activations)

    def value_and_slope(
        self, activations: Float[Tensor, "*models batch latent"], shares: Float[Tensor, "*models batch"]
    ) -> tuple[Float[Tensor, "*models"], Float[Tensor, "*models batch latent"]]:
        """The weighted sum, and its gradient: 2 a_i where i counts."""
        pull = activations * self._counted(activations) * shares.unsqueeze(-1)
        return _summed((pull * activations).flatten(-2)), pull * 2

    def check_width(self, width: int) -> None:
        """Refuse a layer that lacks one of the dims.

        Raises:
            ShapeError: a dim lies outside the layer.
        """
        if max(self.dims) >= width:
            raise ShapeError(
                f"{type(self).__name__} has dims {self.dims}, but the layer's run from 0 to {width - 1}."
            )

    def _counted(self, activations: Tensor) -> Tensor:
        width = activations.shape[-1]
        return constant_like(
            tuple(float((dim in self.dims) == self.inverted) for dim in range(width)), activations
        )


class Planarity(AxisAlignedSubspace):
    """Draws latents into the plane of the first two axes: AxisAlignedSubspace((0, 1))."""

    def __init__(self) -> None:
        super().__init__((0, 1))


@dataclass(frozen=True)
class Separate(Regularizer):
    """Pushes the latents of a batch apart: value_i = sum over j of c_ij^power.

    c_ij is the cosine between samples i and j. Pairs that lie together (the sample itself, and duplicates:
    |c_ij - 1| <= 1e-5) are set to 0 and carry no gradient; with `shift`, every c becomes (c + 1) / 2. Of all
    regularizers only this one's cost grows with the square of the batch.

    Args:
        power: at least 1, and whole unless shifted; a high power acts on close neighbours only.
        shift: True counts opposite directions as furthest apart; False counts orthogonal ones so
            (for an even power).

    Raises:
        SettingError: the power is below 1, or broken without `shift` (a negative cosine has no broken power).
    """

    power: float = 1.0
    shift: bool = True

    def __post_init__(self) -> None:
        if not (math.isfinite(self.power) and self.power >= 1):
            raise SettingError(f"Separate takes a power of at least 1; {self.power} came.")
        if not self.shift and self.power != int(self.power):
            raise SettingError(f"without shift, Separate takes a whole power; {self.power} came.")

    def __call__(self, activations: Float[Tensor, "*batch latent"]) -> Float[Tensor, "*batch"]:
        """How crowded each latent is by the others of the batch; all leading axes are one batch."""
        directions = functional.normalize(activations.reshape(-1, activations.shape[-1]), dim=-1)
        cosines = directions @ directions.T
        apart = cosines.masked_fill(cosines >= 1 - TOGETHER, 0.0)
        if self.shift:
            apart = ((apart + 1) / 2).clamp_min(0)
        return apart.pow(self.power).sum(dim=-1).reshape(activations.shape[:-1])

    def value_and_slope(
        self, activations: Float[Tensor, "*models batch latent"], shares: Float[Tensor, "*models batch"]
    ) -> tuple[Float[Tensor, "*models"], Float[Tensor, "*models batch latent"]]:
        """The weighted sum, and its gradient by way of the directions a/|a|."""
        norms = torch.linalg.vector_norm(activations, dim=-1, keepdim=True).clamp_min_(SMALLEST_NORM)
        directions = activations / norms
        apart, together = self._apart(directions)
        slopes = power_of(apart, self.power - 1)
        crowding = apart.mul_(slopes).sum(dim=-1)
        if together is not None:
            slopes.masked_fill_(together, 0.0)
        factor = self.power / 2 if self.shift else self.power
        column = (shares * factor).unsqueeze(-1)
        # The slopes are symmetric; few rows times many columns is several times as fast as the transposed product.
        rows = torch.cat([directions.mT, (directions * column).mT], dim=-2) @ slopes
        plain, weighted = (part.mT for part in rows.split(directions.shape[-1], dim=-2))
        to_directions = torch.addcmul(weighted, plain, column)
        along = (to_directions * directions).sum(dim=-1, keepdim=True)
        slope = torch.addcmul(to_directions, directions, along, value=-1).div_(norms)
        return _summed(crowding * shares), slope

    def _apart(self, directions: Tensor) -> tuple[Tensor, Tensor | None]:
        """The cosines as they are raised to the power, and where pairs lie together, if that still matters then.

        Such a pair counts as a cosine of 0, which with `shift` becomes 1/2. From a high power on, that is as good as
        0, and setting it to 0 takes it out of value and slope alike.
        """
        if self.shift and self.power >= _NEGLIGIBLE:
            # Minus half of each cosine, so that `threshold`, which keeps what is above, is all that the mask takes.
            halves = directions @ (directions * -0.5).mT
            apart = torch.threshold_(halves, -(1 - TOGETHER) / 2, 0.5).neg_().add_(0.5)
            together = None
        else:
            cosines = directions @ directions.mT
            together = cosines >= 1 - TOGETHER
            apart = cosines.masked_fill_(together, 0.0)
            if self.shift:
                apart = apart.add_(1).mul_(0.5)
        if self.power % 1:  # The cosine of opposite directions can round to below -1.
            apart = apart.clamp_min_(0)
        return apart, together


def power_of(base: Tensor, exponent: float) -> Tensor:
    """`base` to a power, in a new tensor; a whole exponent by squaring, several times as fast as torch's `pow`."""
    if exponent != int(exponent) or not 1 <= exponent <= 1024:
        return base.pow(exponent)
    power = base
    for digit in bin(int(exponent))[3:]:
        power = power.square() if power is base else power.square_()
        if digit == "1":
            power.mul_(base)
    return power.clone() if power is base else power


def _summed(products: Tensor) -> Tensor:
    return products.sum(dim=-1)


def _is_truth(value: object) -> bool:
    """Whether a value is True or False, also as an element of an array or a tensor."""
    return isinstance(value, bool) or str(getattr(value, "dtype", "")) in ("bool", "torch.bool")
