"""The published figures that a reproduction is held against, each with its source.

They are data, in the folder `published` beside this file; `sources` says where each file's figures come from. Every
figure keeps the digits it was printed with, since a printed 0.0011 may stand for anything from 0.00105 to 0.00115.
"""

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from importlib.resources import files
from typing import Any, Literal

__all__ = [
    "Printed",
    "SelectiveShare",
    "SweepFigures",
    "Target",
    "Times",
    "color_errors",
    "figures_over_seeds",
    "selective_share",
    "single_runs",
    "sources",
    "sweeps",
    "targets",
    "times",
]


@dataclass(frozen=True)
class Printed:
    """A number as it was printed.

    Attributes:
        text: as it stands there.
        value: the number.
        low: the smallest number that is printed so.
        high: the largest.
    """

    text: str
    value: float
    low: float
    high: float

    @classmethod
    def read(cls, text: str) -> "Printed":
        """The number that `text` prints; half a unit of its last digit is its uncertainty."""
        exact = Decimal(text)
        exponent = exact.as_tuple().exponent
        assert isinstance(exponent, int), f"{text} is no number"
        half = Decimal(5).scaleb(exponent - 1)
        return cls(text, float(exact), float(exact - half), float(exact + half))

    def nearest(self, value: float) -> float:
        """The number nearest to `value` that is printed so."""
        return min(max(value, self.low), self.high)


@dataclass(frozen=True)
class SweepFigures:
    """What is published of a sweep.

    Attributes:
        recipe: its name.
        quantity: what the figures are of, as in the rows of a sweep.
        seeds: over how many seeds.
        mean: of the quantity; likewise `sd`, `min` and `max`.
        chosen: the quantity in the chosen run.
        front: how many seeds were on the Pareto front.
        red: the error of red in the chosen run under the edit that the quantity measures.
    """

    recipe: str
    quantity: str
    seeds: int
    mean: Printed
    sd: Printed
    min: Printed
    max: Printed
    chosen: Printed
    front: int
    red: Printed


@dataclass(frozen=True)
class Target:
    """How near to a published figure a sweep is to come.

    Attributes:
        recipe: whose sweep.
        quantity: as in the rows of a sweep.
        statistic: its mean or standard deviation over seeds, or its value in the chosen run.
        holds: "within" the tolerance of the value, or "at least" the value.
        value: the figure itself.
        tolerance: None where the value is a bound.
    """

    recipe: str
    quantity: str
    statistic: Literal["mean", "sd", "chosen"]
    holds: Literal["within", "at least"]
    value: Printed
    tolerance: float | None


@dataclass(frozen=True)
class SelectiveShare:
    """In which share of seeds an edit kept some colours and lost others; the share is printed as a range."""

    recipe: str
    condition: str
    seeds: int
    kept: tuple[str, ...]
    kept_below: float
    lost: tuple[str, ...]
    lost_above: float
    share_low: float
    share_high: float


@dataclass(frozen=True)
class Times:
    """How long the originals took.

    Attributes:
        steps: of a single run.
        single_run: seconds that it took.
        seeds: of a sweep.
        sweep: seconds that it took, at least and at most.
        containers: on up to how many machines of one processor the sweep ran at once.
    """

    steps: int
    single_run: float
    seeds: int
    sweep: tuple[float, float]
    containers: int


def sources() -> dict[str, str]:
    """Where the figures of each file come from, by the file's name."""
    return _json("sources.json")


def single_runs() -> dict[tuple[str, str, str], Printed]:
    """The errors of single runs with seed 0, by recipe, condition and statistic ("max_mse" or "median_mse")."""
    return {
        (row["recipe"], row["condition"], statistic): Printed.read(row[statistic])
        for row in _table("single_runs.csv")
        for statistic in ("max_mse", "median_mse")
        if row[statistic]
    }


def figures_over_seeds(recipe: str) -> dict[str, dict[str, Printed]]:
    """For each quantity of a recipe that was run over many seeds, its "min", "q1", "median", "q3" and "max".

    Only what is published is there; a recipe of which nothing is has no quantity.
    """
    if not _exists(f"seeds_{recipe}.csv"):
        return {}
    return {
        row.pop("quantity"): {name: Printed.read(text) for name, text in row.items() if text}
        for row in _table(f"seeds_{recipe}.csv")
    }


def selective_share() -> SelectiveShare:
    """In which share of seeds experiment 2.6 spared what it should and took what it should."""
    data = _json("selective_2.6.json")
    data.pop("other_seeds")
    return SelectiveShare(**data | {"kept": tuple(data["kept"]), "lost": tuple(data["lost"])})


def sweeps() -> dict[str, SweepFigures]:
    """What is published of sweeps over sixty seeds, by recipe."""
    counts = ("seeds", "front")
    return {
        row["recipe"]: SweepFigures(
            recipe=row.pop("recipe"),
            quantity=row.pop("quantity"),
            **{name: int(text) if name in counts else Printed.read(text) for name, text in row.items()},  # pyright: ignore[reportArgumentType] - pydantic checks what the file holds
        )
        for row in _table("sweeps.csv")
    }


def targets() -> tuple[Target, ...]:
    """How near this project's sweeps are to come to the published figures."""
    return tuple(
        Target(
            recipe=row["recipe"],
            quantity=row["quantity"],
            statistic=row["statistic"],  # pyright: ignore[reportArgumentType] - a test looks at every row
            holds=row["holds"],  # pyright: ignore[reportArgumentType] - pydantic checks what the file holds
            value=Printed.read(row["value"]),
            tolerance=float(row["tolerance"]) if row["tolerance"] else None,
        )
        for row in _table("targets.csv")
    )


def color_errors(recipe: str) -> dict[str, dict[str, Printed]]:
    """For each condition of a sweep's chosen run a figure for each named colour.

    Under "baseline" it is the error, under the others the difference from the baseline's. A recipe of which nothing
    is published has no condition.
    """
    if not _exists(f"colors_{recipe}.csv"):
        return {}
    rows = _table(f"colors_{recipe}.csv")
    return {
        condition: {row["color"]: Printed.read(row[condition]) for row in rows}
        for condition in rows[0]
        if condition != "color"
    }


def times() -> Times:
    """How long the originals took."""
    data: Mapping[str, Any] = _json("times.json")
    sweep = data["sweep"]
    return Times(
        steps=data["single_run"]["steps"],
        single_run=data["single_run"]["seconds"],
        seeds=sweep["seeds"],
        sweep=(sweep["seconds_low"], sweep["seconds_high"]),
        containers=sweep["containers_at_most"],
    )


def _exists(name: str) -> bool:
    return (files("excise.experiments") / "published" / name).is_file()


def _text(name: str) -> str:
    return (files("excise.experiments") / "published" / name).read_text(encoding="utf-8")


def _table(name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(_text(name).splitlines()))


def _json(name: str) -> Any:  # noqa: ANN401 - JSON may hold anything
    return json.loads(_text(name))
