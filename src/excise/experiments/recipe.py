"""A recipe: everything that defines an experiment, as a frozen description that is saved with each run.

A recipe holds no code. Whoever has its JSON can run it again: the schedule is inside as text, and every threshold
of a claim is written where the claim is. What a recipe names (keys, conditions, colours, concepts, regularizers) must
exist when it is built, not when a training of it has ended: an unknown name is an `UnknownNameError`, whatever else
does not fit is pydantic's `ValidationError`, a ValueError that says where.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, model_validator

from excise import color
from excise.anchoring import Anchoring
from excise.experiments.claims import (
    BASELINE,
    REFERENCE_LEVEL,
    Agreement,
    Claim,
    ErrorClaim,
    SelectivityClaim,
)
from excise.experiments.frozen import Frozen, require_name
from excise.experiments.parts import (
    Data,
    Edit,
    Grids,
    HeldOut,
    Intervene,
    Model,
    Selection,
    Selectivity,
    TermSpec,
)
from excise.schedule import Dopesheet

__all__ = [
    "BASELINE",
    "REFERENCE_LEVEL",
    "Agreement",
    "Claim",
    "Data",
    "Edit",
    "ErrorClaim",
    "Grids",
    "HeldOut",
    "Intervene",
    "Model",
    "Recipe",
    "Selection",
    "Selectivity",
    "SelectivityClaim",
    "TermSpec",
]


class Recipe(Frozen):
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
    edits: tuple[Annotated[Edit | Intervene, Field(discriminator="mode")], ...]
    views: dict[str, tuple[tuple[int, int, int], ...]]
    claims: tuple[Claim, ...]
    grids: Grids = Grids()
    validation: HeldOut | None = None
    selectivity: tuple[Selectivity, ...] = ()
    selection: Selection | None = None

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
            require_name(condition, self.conditions, "for the views")
        for claim in self.claims:
            where = f"for the claim {claim.claim!r}"
            for condition in claim.conditions if isinstance(claim, Agreement) else (claim.condition,):
                require_name(condition, self.conditions, where)
            for name in claim.colors if isinstance(claim, ErrorClaim) else ():
                require_name(name, color.NAMES, where)
        measured = [selectivity.condition for selectivity in self.selectivity]
        for condition in measured:
            require_name(condition, self.conditions, "for the selectivity")
        if len(set(measured)) != len(measured):
            raise ValueError("the selectivity of a condition is measured in one way; a condition came twice")
        for claim in self.claims:
            if isinstance(claim, SelectivityClaim):
                require_name(claim.condition, measured, f"with a selectivity for the claim {claim.claim!r}")
        if self.selection is not None:
            for name in (*self.selection.low, *self.selection.high):
                require_name(name, self._numbers(), "among the numbers of a run")
        return self

    @property
    def conditions(self) -> tuple[str, ...]:
        """Under which names the model is measured: the baseline, then each edit."""
        return (BASELINE, *(edit.condition for edit in self.edits))

    def _numbers(self) -> tuple[str, ...]:
        """What a selection can be by."""
        validation = ("objective", *(term.name for term in self.terms)) if self.validation else ()
        return (
            *(f"validation.{name}" for name in validation),
            *(f"{selectivity.condition}.selectivity" for selectivity in self.selectivity),
            *(f"{condition}.{loss}" for condition in self.conditions for loss in ("max_mse", "median_mse")),
        )

    def anchoring(self) -> Anchoring:
        """The terms with their schedule."""
        return Anchoring([term.build() for term in self.terms], self.schedule())

    def schedule(self) -> Dopesheet:
        """The dopesheet, parsed."""
        return Dopesheet.parse(self.dopesheet, source=f"the dopesheet of recipe {self.name}")

    def spec(self) -> Mapping[str, Any]:
        """The whole recipe as JSON-ready data."""
        return self.model_dump(mode="json")
