"""The shapes of interventions, and what is claimed of them: each claim names what is measured, and its threshold."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, PlainSerializer, PlainValidator

from excise.errors import ExciseError, UnknownNameError
from excise.experiments.frozen import Frozen
from excise.interventions import (
    BoundedFalloff,
    Mapper,
    Repulsion,
    Suppression,
    as_spec,
    from_spec,
)

__all__ = ["DIRECTION", "KinkClaim", "Shape", "ShapeClaim", "edit_by"]

DIRECTION = (1.0, 0.0)
"""The concept's direction in the plane in which shapes are drawn."""

Profile = BoundedFalloff | Mapper


def _load_profile(value: object) -> Profile:
    if isinstance(value, Profile):
        return value
    if not isinstance(value, Mapping):
        raise ValueError(f"a falloff or a mapper is a table with a `kind`; {value!r} came.")
    try:
        loaded = from_spec(value)
    except UnknownNameError:
        raise
    except ExciseError as error:
        raise ValueError(str(error)) from error
    if not isinstance(loaded, Profile):
        raise ValueError(f"a shape is a falloff or a mapper; {value!r} came.")
    return loaded


class Shape(Frozen):
    """A falloff, drawn by the suppression that it makes, or a mapper, drawn by the repulsion."""

    name: str
    profile: Annotated[Profile, PlainValidator(_load_profile), PlainSerializer(as_spec)]

    @property
    def intervention(self) -> Suppression | Repulsion:
        """The edit of latents `[..., 2]` along `DIRECTION`."""
        return edit_by(self.profile)


class ShapeClaim(Frozen):
    """A claim that something, measured on every shape that it is about, is at most the threshold."""

    kind: Literal["shape"] = "shape"
    claim: str
    measure: Literal[
        "touched away",
        "touched below start",
        "touched at no strength",
        "length gained",
        "strength lost on the way",
        "strength missed at the end",
        "length changed",
        "alignment above end",
        "end slope missed",
    ]
    threshold: float = Field(default=0.0, ge=0)


class KinkClaim(Frozen):
    """A claim that Bezier mappers leave the identity smoothly.

    Where they start, their slope jumps by at most `times` the smallest jump of a linear mapper of the recipe.
    """

    kind: Literal["kink"] = "kink"
    claim: str
    times: float = Field(gt=0, lt=1)


def edit_by(profile: Profile) -> Suppression | Repulsion:
    """The edit of latents `[..., 2]` along `DIRECTION` that has this profile."""
    if isinstance(profile, Mapper):
        return Repulsion(DIRECTION, profile)
    return Suppression(DIRECTION, profile)
