"""The sections of a reproduction: what stands in each, and how it is judged, in words."""

from collections.abc import Mapping, Sequence
from typing import Any

from excise.experiments import published
from excise.experiments.reproduction.criteria import LEVEL
from excise.experiments.reproduction.of_colors import colors_of_sweep
from excise.experiments.reproduction.of_runs import errors_of_runs, several_seeds
from excise.experiments.reproduction.of_sweeps import selectivity_of_sweep, targets_of
from excise.experiments.reproduction.parts import Part
from excise.experiments.reproduction.rows import Row, Section

__all__ = ["sections_of"]


def sections_of(parts: Sequence[Part], sweeps: Mapping[str, Mapping[str, Any]]) -> list[Section]:
    """Every comparison that can be made of these parts.

    Args:
        parts: what was run.
        sweeps: the content of each `sweep.json`, by recipe.
    """
    runs = [part for part in parts if not part.is_sweep]
    several = [part for part in parts if part.is_sweep]
    errors = [
        row
        for part in runs
        for row in errors_of_runs(part.recipe.name, part.recipe.conditions, sweeps[part.recipe.name])
    ]
    over_seeds = [row for part in runs for row in several_seeds(part.recipe.name, sweeps[part.recipe.name])]
    by_colors = [
        section for part in several for section in colors_of_sweep(part.recipe.name, sweeps[part.recipe.name])
    ]
    sources = published.sources()
    made = [
        _section("Targets", _TARGETS, "ours", targets_of(sweeps), sources["targets.csv"]),
        _section(
            "Sweeps",
            _SWEEPS,
            "ours",
            [row for part in several for row in _selectivity(part, sweeps)],
            sources["sweeps.csv"],
        ),
        _section("Single runs", _RUNS, "our seed 0", errors, sources["single_runs.csv"]),
        _section(
            "Single runs over many seeds",
            _MANY,
            "ours",
            over_seeds,
            sources["seeds_2.6.csv"],
            sources["selective_2.6.json"],
        ),
    ]
    return [*(section for section in made if section is not None), *by_colors]


_TARGETS = "How near to the published figures this project set out to bring its sweeps."

_SWEEPS = (
    f"Selectivity over seeds: the squared correlation of each colour's error with its likeness to the concept. Of the "
    f"published sweeps only summary figures are known. Means are compared by Welch's t-test, standard deviations by an "
    f"F-test with degrees of freedom corrected for our kurtosis, which assumes that theirs have the same; p below "
    f"{LEVEL:g} counts as a difference. Sweeps of which nothing is published stand here as measured."
)

_RUNS = (
    f"The largest and the median error over the loss grid. One published run cannot be held against one of ours, since "
    f"another seed gives other figures: so the spread over our seeds stands beside it, and the published figure agrees "
    f"where it lies inside, or could be of one more seed, by Student's t on logarithms with p of at least {LEVEL:g}. "
    f"Where our seeds are too few for that, what lies outside them is not judged."
)

_MANY = (
    f"Quantiles are compared by a sign test, ranges by whether they overlap, the share of selective seeds by a "
    f"binomial test; p below {LEVEL:g} counts as a difference."
)


def _section(title: str, text: str, ours: str, rows: Sequence[Row], *sources: str) -> Section | None:
    return Section(title=title, text=text, sources=sources, ours=ours, rows=tuple(rows)) if rows else None


def _selectivity(part: Part, sweeps: Mapping[str, Mapping[str, Any]]) -> list[Row]:
    name = part.recipe.name
    published_of = published.sweeps()
    if part.recipe.selection is None and name not in published_of:
        return []
    by = part.recipe.selection.by if part.recipe.selection else published_of[name].quantity
    return selectivity_of_sweep(name, by, sweeps[name])
