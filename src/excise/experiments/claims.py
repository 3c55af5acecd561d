"""What an experiment claims: each claim names what is measured and from where on it counts as true."""

from typing import Annotated, Literal

from pydantic import Field

from excise.experiments.frozen import Frozen

__all__ = ["BASELINE", "REFERENCE_LEVEL", "Agreement", "Claim", "ErrorClaim", "SelectivityClaim"]

BASELINE = "baseline"
"""The condition of the model as it was trained."""

REFERENCE_LEVEL = 1 / 3
"""The expected squared error, a channel, of red against a uniformly random colour."""


class ErrorClaim(Frozen):
    """A claim about reconstruction errors: the threshold is `times` the level `of`.

    Levels: "reference" is 1/3, the expected error of red against a random colour; "baseline" is the largest error
    over the loss grid before any edit. Without `colors` the claim is about the loss grid: its largest error, or the
    median.
    """

    kind: Literal["error"] = "error"
    claim: str
    condition: str
    colors: tuple[str, ...] = ()
    statistic: Literal["max", "median"] = "max"
    holds: Literal["at least", "at most"]
    times: float
    of: Literal["reference", "baseline"] = "reference"


class Agreement(Frozen):
    """A claim that two conditions compute the same function, judged on the loss grid in float64."""

    kind: Literal["agreement"] = "agreement"
    claim: str
    conditions: tuple[str, str]
    tolerance: float


class SelectivityClaim(Frozen):
    """A claim that a condition's errors follow the likeness to the concept, as the recipe's selectivity measures it."""

    kind: Literal["selectivity"] = "selectivity"
    claim: str
    condition: str
    holds: Literal["at least", "at most"] = "at least"
    threshold: float = Field(ge=0, le=1)


Claim = Annotated[ErrorClaim | Agreement | SelectivityClaim, Field(discriminator="kind")]
