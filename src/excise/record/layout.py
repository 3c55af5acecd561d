"""What `results.json` and `sweep.json` hold, so that a damaged file is told from a good one when it is read.

A number that was not finite is null in the file, None here. Keys that are not listed here are kept.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Discriminator, Tag, ValidationError, model_validator

from excise.errors import RunError

__all__ = ["EnvironmentFile", "ResultsFile", "StatusFile", "SweepFile", "TableFile", "check_layout"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)


class _Condition(_Part):
    max_mse: float | None
    median_mse: float | None
    named_colors: dict[str, float | None]
    selectivity: float | None = None


class _Verdict(_Part):
    claim: str
    measured: float | None
    passed: bool
    holds: str
    threshold: float | None
    threshold_is: str
    details: dict[str, float | None]


class _Shape(_Part):
    """What an intervention does at some angles, in degrees, to the concept's direction."""

    measures: str
    by_degrees: dict[str, float | None]


class _Spread(_Part):
    median: float | None
    min: float | None
    max: float | None
    sd: float | None


class _Failed(_Part):
    seed: int
    failed: str


class _Ran(_Part):
    """A seed that ran; its other keys, "<condition>.<number>", hold numbers."""

    model_config = ConfigDict(frozen=True, strict=True, extra="allow")

    seed: int
    run: str
    passed: bool
    failed_claims: list[str]


_Row = Annotated[
    Annotated[_Failed, Tag("failed")] | Annotated[_Ran, Tag("ran")],
    Discriminator(lambda row: "failed" if "failed" in row else "ran"),
]


class _Tally(_Part):
    claim: str
    passed: int
    seeds: int
    measured: _Spread


class StatusFile(_Part):
    """`status.json`: "started", "finished", "failed" or "cancelled", with times."""

    format: int
    status: Literal["started", "finished", "failed", "cancelled"]
    started: str


class TableFile(_Part):
    """`spec.json`: any JSON object."""


class EnvironmentFile(_Part):
    """`env.json`: what the run ran on, with its seed or, of a sweep, its seeds."""

    packages: dict[str, str | None] = {}
    seed: int = 0
    seeds: list[int] = []


class ResultsFile(_Part):
    """`results.json`: the numbers of one run."""

    recipe: str
    seed: int
    conditions: dict[str, _Condition]
    claims: list[_Verdict]
    validation: dict[str, float | None] = {}
    shapes: dict[str, _Shape] = {}


class SweepFile(_Part):
    """`sweep.json`: a row a seed, and what they add up to."""

    recipe: str
    rows: list[_Row]
    summary: dict[str, _Spread]
    claims: list[_Tally]
    passed: int
    chosen: int | None
    front: list[int] = []
    best: int | None = None
    worst: int | None = None

    @model_validator(mode="after")
    def _rows_have_every_number(self) -> "SweepFile":
        for row in self.rows:
            if not isinstance(row, _Ran):
                continue
            numbers = row.model_extra or {}
            for name in self.summary:
                if not isinstance(numbers.get(name, ""), float | int | None):
                    raise ValueError(f"seed {row.seed} has no number {name!r}")
        return self


def check_layout(content: object, layout: type[BaseModel], path: Path) -> dict[str, Any]:
    """`content`, unchanged, when it has the layout.

    Raises:
        RunError: it has not; the message names the first place that is wrong.
    """
    try:
        layout.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the whole file"
        raise RunError(f"{path} is damaged: {place}: {first['msg']}.") from error
    return cast(dict[str, Any], content)
