"""The parts of a recipe: its model, data, terms, edits and grids, each of which builds what it describes."""

import inspect
from typing import Annotated, Any, Literal

import numpy as np
import torch
import xarray as xr
from pydantic import Field, PlainSerializer, PlainValidator, model_validator

from excise import anchoring, color
from excise.anchoring import Regularizer, Term
from excise.errors import ExciseError, UnknownNameError
from excise.experiments.frozen import Frozen, require_name
from excise.interventions import Intervention, as_spec, from_spec
from excise.stream import Batch, TensorStream
from excise.training import Validation

__all__ = ["Data", "Edit", "Grids", "HeldOut", "Intervene", "Model", "Selection", "Selectivity", "TermSpec"]

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


def _load_intervention(value: object) -> Intervention:
    if isinstance(value, Intervention):
        return value
    try:
        loaded = from_spec(value)  # pyright: ignore[reportArgumentType] - it says itself what is no table
    except UnknownNameError:
        raise
    except ExciseError as error:
        raise ValueError(str(error)) from error
    if not isinstance(loaded, Intervention):
        raise ValueError(f"an intervention edits activations; {value!r} came.")
    return loaded


class Model(Frozen):
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


class Data(Frozen):
    """Which colours it sees, and how weakly they are labelled.

    "hsv" is an HSV grid with the weighted sampler; "rgb" is an RGB cube with `edge` colours along each edge, drawn
    uniformly.
    """

    space: Literal["hsv", "rgb"] = "hsv"
    hues: int = 36
    saturations: int = 10
    values: int = 10
    edge: int = 8
    batch_size: int = 64
    labels: dict[str, color.WeakLabel]

    def build(self) -> TensorStream:
        """The stream of batches."""
        if self.space == "rgb":
            return color.rgb_stream(self.labels, batch_size=self.batch_size, steps=self.edge)
        return color.hsv_stream(
            self.labels,
            batch_size=self.batch_size,
            hues=self.hues,
            saturations=self.saturations,
            values=self.values,
        )


class TermSpec(Frozen):
    """One term of the anchoring."""

    name: str
    regularizer: Annotated[Regularizer, PlainValidator(_load_regularizer), PlainSerializer(_dump_regularizer)]
    layer: str
    affinities: dict[str, float] = Field(default_factory=dict)

    def build(self) -> Term:
        """The term itself."""
        return Term(self.name, self.regularizer, layer=self.layer, affinities=self.affinities)


class HeldOut(Frozen):
    """What is measured while it trains, and never trained on: a coarser RGB cube with its corners, labelled exactly.

    A colour carries a label when it has the label's concept to the full degree of 1.
    """

    edge: int = 7
    low: float = 1 / 16
    high: float = 15 / 16
    every: int = 150
    labels: dict[str, str]

    @model_validator(mode="after")
    def _concepts_exist(self) -> "HeldOut":
        for concept in self.labels.values():
            require_name(concept, color.CONCEPTS, "among the concepts of colour")
        return self

    def build(self) -> Validation:
        """The validation batch, and how often it is measured."""
        axes = [np.linspace(self.low, self.high, self.edge), np.array([0.0, 1.0])]
        cubes = [
            np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3) for axis in axes
        ]
        rgb = np.concatenate(cubes)
        colors = torch.from_numpy(rgb).to(torch.float32)
        labels = {
            label: torch.from_numpy(color.CONCEPTS[concept](rgb) >= 1).to(torch.float32)
            for label, concept in self.labels.items()
        }
        return Validation(Batch(colors, colors, labels), every=self.every)


class Edit(Frozen):
    """One edit of the trained weights, and the name of the condition that it makes."""

    condition: str
    mode: Literal["ablate", "prune"]
    layer: str
    dims: tuple[int, ...]


class Intervene(Frozen):
    """One edit of the running model's activations, and the name of the condition that it makes."""

    condition: str
    mode: Literal["intervene"] = "intervene"
    layer: str
    intervention: Annotated[Intervention, PlainValidator(_load_intervention), PlainSerializer(as_spec)]


class Selectivity(Frozen):
    """How well a condition's errors follow the likeness to a concept: the squared correlation with likeness^power.

    The likeness of a colour is its similarity to the named colour `similar_to`, or its degree of a `concept`;
    measured on an RGB cube with `edge` colours along each edge.
    """

    condition: str
    similar_to: str | None = None
    concept: str | None = None
    power: float = Field(gt=0)
    edge: int = Field(default=8, ge=2)

    @model_validator(mode="after")
    def _likeness_is_given_once(self) -> "Selectivity":
        if (self.similar_to is None) == (self.concept is None):
            raise ValueError("a selectivity is measured against `similar_to` or against `concept`: give one.")
        if self.similar_to is not None:
            require_name(self.similar_to, color.NAMES, "among the named colours")
        if self.concept is not None:
            require_name(self.concept, color.CONCEPTS, "among the concepts of colour")
        return self

    def likeness(self, rgb: np.ndarray) -> np.ndarray:
        """The likeness of each colour `[..., 3]`, in [0, 1]."""
        if self.concept is not None:
            return color.CONCEPTS[self.concept](rgb)
        named = color.named_colors().sel(color=self.similar_to).to_numpy()
        return color.rgb_similarity(rgb, named)


class Selection(Frozen):
    """Which of many seeds is shown: on the Pareto front of some numbers, the best by one of them.

    Numbers are named as in the rows of a sweep, such as "validation.objective" or "ablated.selectivity".
    """

    low: tuple[str, ...] = ()
    high: tuple[str, ...] = ()
    by: str

    @model_validator(mode="after")
    def _chosen_by_one_of_them(self) -> "Selection":
        require_name(self.by, (*self.low, *self.high), "among the numbers of the selection")
        return self


class Grids(Frozen):
    """On which colours it is measured and drawn: hues, saturations, values; and the edge of an RGB cube.

    `loss_hues` spreads the hues of the loss grid evenly from one to another, in turns, both included; None spreads
    them around the circle.
    """

    loss: tuple[int, int, int] = (240, 48, 48)
    loss_hues: tuple[float, float] | None = None
    display: tuple[int, int, int] = (24, 4, 8)
    lines: tuple[int, int, int] = (61, 10, 10)
    latent: int = 20

    def loss_grid(self) -> xr.DataArray:
        """The colours on which the largest and the median error are taken: sRGB, dims (h, s, v, channel)."""
        hues, saturations, values = self.loss
        if self.loss_hues is None:
            return color.hsv_grid(hues, saturations, values)
        return color.hsv_grid(np.linspace(*self.loss_hues, hues), saturations, values)
