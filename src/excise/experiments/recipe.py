"""A recipe: everything that defines an experiment, as a frozen description that is saved with each run.

A recipe holds no code. Whoever has its JSON can run it again: the schedule is inside as text, and every threshold
of a claim is written where the claim is. What a recipe names (keys, conditions, colours, concepts, regularizers) must
exist when it is built, not when a training of it has ended: an unknown name is an `UnknownNameError`, whatever else
does not fit is pydantic's `ValidationError`, a ValueError that says where.
"""

import inspect
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, PlainValidator, model_validator

from excise import anchoring, color
from excise.anchoring import Anchoring, Regularizer, Term
from excise.errors import ExciseError, UnknownNameError
from excise.schedule import Dopesheet
from excise.stream import TensorStream

__all__ = [
    "BASELINE",
    "REFERENCE_LEVEL",
    "Agreement",
    "Claim",
    "Data",
    "Edit",
    "ErrorClaim",
    "Grids",
    "Model",
    "Recipe",
    "TermSpec",
]

BASELINE = "baseline"
"""The condition of the model as it was trained."""

REFERENCE_LEVEL = 1 / 3
"""The expected squared error, a channel, of red against a uniformly random colour."""

_REGULARIZERS: dict[str, type[Regularizer]] = {
    name: getattr(anchoring, name)
    for name in (
        "Anchor",
        "AngularAnchor",
        "AntiAnchor",
        "AxisAlignedSubspace",
        "Planarity",
        "Separate",
        "Unitarity",
    )
}


def _load_regularizer(value: object) -> Regularizer:
    if isinstance(value, Regularizer):
        return value
    if not isinstance(value, dict) or "kind" not in value:
        raise ValueError(f"a regularizer is a table with a `kind`; {value!r} came")
    settings = dict(value)
    kind = settings.pop("kind")
    if kind not in _REGULARIZERS:
        raise UnknownNameError(str(kind), _REGULARIZERS, "among the regularizers")
    try:
        return _REGULARIZERS[kind](**settings)
    except (TypeError, ExciseError) as error:
        raise ValueError(str(error)) from error


def _dump_regularizer(value: Regularizer) -> dict[str, Any]:
    settings = inspect.signature(type(value)).parameters
    return {"kind": type(value).__name__, **{name: getattr(value, name) for name in settings}}


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _keys_are_known(cls, data: object) -> object:
        for key in data if isinstance(data, dict) else ():
            if key not in cls.model_fields:
                raise UnknownNameError(str(key), cls.model_fields, f"in the {cls.__name__} of a recipe")
        return data


class Model(_Frozen):
    """Which autoencoder is trained."""

    kind: Literal["NormalizedMLP", "PlainMLP"] = "NormalizedMLP"
    latent_dim: int = 4
    hidden: int = 16
    depth: int = 1
    sigmoid: bool = False

    def build(self, generator: torch.Generator) -> color.NormalizedMLP | color.PlainMLP:
        """The untrained model, its weights drawn from `generator`."""
        if self.kind == "PlainMLP":
            return color.PlainMLP(self.latent_dim, hidden=self.hidden, generator=generator)
        return color.NormalizedMLP(
            self.latent_dim, hidden=self.hidden, depth=self.depth, sigmoid=self.sigmoid, generator=generator
        )


class Data(_Frozen):
    """Which colours it sees, and how weakly they are labelled: an HSV grid with the weighted sampler."""

    hues: int = 36
    saturations: int = 10
    values: int = 10
    batch_size: int = 64
    labels: dict[str, color.WeakLabel]

    def build(self) -> TensorStream:
        """The stream of batches."""
        return color.hsv_stream(
            self.labels,
            batch_size=self.batch_size,
            hues=self.hues,
            saturations=self.saturations,
            values=self.values,
        )


class TermSpec(_Frozen):
    """One term of the anchoring."""

    name: str
    regularizer: Annotated[Regularizer, PlainValidator(_load_regularizer), PlainSerializer(_dump_regularizer)]
    layer: str
    affinities: dict[str, float] = {}

    def build(self) -> Term:
        """The term itself."""
        return Term(self.name, self.regularizer, layer=self.layer, affinities=self.affinities)


class Edit(_Frozen):
    """One edit of the trained model, and the name of the condition that it makes."""

    condition: str
    mode: Literal["ablate", "prune"]
    layer: str
    dims: tuple[int, ...]


class Grids(_Frozen):
    """On which colours it is measured and drawn: hues, saturations, values; and the edge of an RGB cube."""

    loss: tuple[int, int, int] = (240, 48, 48)
    display: tuple[int, int, int] = (24, 4, 8)
    lines: tuple[int, int, int] = (61, 10, 10)
    latent: int = 20


class ErrorClaim(_Frozen):
    """A claim about reconstruction errors: the threshold is `times` the level `of`.

    Levels: "reference" is 1/3, the expected error of red against a random colour; "baseline" is the largest error
    over the loss grid before any edit. Without `colors` the claim is about the largest error over the loss grid.
    """

    kind: Literal["error"] = "error"
    claim: str
    condition: str
    colors: tuple[str, ...] = ()
    holds: Literal["at least", "at most"]
    times: float
    of: Literal["reference", "baseline"] = "reference"


class Agreement(_Frozen):
    """A claim that two conditions compute the same function, judged on the loss grid in float64."""

    kind: Literal["agreement"] = "agreement"
    claim: str
    conditions: tuple[str, str]
    tolerance: float


Claim = Annotated[ErrorClaim | Agreement, Field(discriminator="kind")]


class Recipe(_Frozen):
    """One experiment."""

    name: str
    title: str
    question: str
    method: str
    model: Model
    data: Data
    terms: tuple[TermSpec, ...]
    dopesheet: str
    latent_layer: str
    edits: tuple[Edit, ...]
    views: dict[str, tuple[tuple[int, int, int], ...]]
    claims: tuple[Claim, ...]
    grids: Grids = Grids()

    @model_validator(mode="after")
    def _conditions_are_distinct(self) -> "Recipe":
        conditions = self.conditions
        if len(set(conditions)) != len(conditions):
            twice = sorted({name for name in conditions if conditions.count(name) > 1})
            raise ValueError(
                f"each edit makes a condition of its own, and the unedited model is {BASELINE!r}; {twice} came twice"
            )
        for claim in self.claims:
            if isinstance(claim, Agreement) and len(set(claim.conditions)) == 1:
                raise ValueError(f"the claim {claim.claim!r} compares {claim.conditions[0]!r} with itself")
        return self

    @model_validator(mode="after")
    def _names_exist(self) -> "Recipe":
        for condition in self.views:
            _require(condition, self.conditions, "for the views")
        for claim in self.claims:
            where = f"for the claim {claim.claim!r}"
            for condition in claim.conditions if isinstance(claim, Agreement) else (claim.condition,):
                _require(condition, self.conditions, where)
            for name in claim.colors if isinstance(claim, ErrorClaim) else ():
                _require(name, color.NAMES, where)
        return self

    @property
    def conditions(self) -> tuple[str, ...]:
        """Under which names the model is measured: the baseline, then each edit."""
        return (BASELINE, *(edit.condition for edit in self.edits))

    def anchoring(self) -> Anchoring:
        """The terms with their schedule."""
        return Anchoring([term.build() for term in self.terms], self.schedule())

    def schedule(self) -> Dopesheet:
        """The dopesheet, parsed."""
        return Dopesheet.parse(self.dopesheet, source=f"the dopesheet of recipe {self.name}")

    def spec(self) -> Mapping[str, Any]:
        """The whole recipe as JSON-ready data."""
        return self.model_dump(mode="json")


def _require(name: str, known: tuple[str, ...], where: str) -> None:
    if name not in known:
        raise UnknownNameError(name, known, where)
