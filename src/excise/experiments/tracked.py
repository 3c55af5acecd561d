"""What trackers are told of a recipe's run: how it begins, and what its run directory holds when it has ended."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from excise.experiments.recipe import Recipe
from excise.trackers import Figure, Table, Tracked, Tracking
from excise.trackers.base import flat

__all__ = ["figures_of", "hand_over_run", "tracked"]


def tracked(recipe: Recipe, seeds: Sequence[int], path: Path, environment: Mapping[str, Any]) -> Tracked:
    """How a run of the recipe, or a sweep, begins."""
    timeline = recipe.schedule().timeline()
    columns = [
        np.arange(timeline.num_steps).tolist(),
        *(values.tolist() for values in timeline.table.values()),
    ]
    return Tracked(
        name=f"{recipe.name} {path.name}",
        recipe=recipe.name,
        path=path.resolve(),
        shared=(path.parent.parent if path.parent.name == recipe.name else path).resolve(),
        seeds=tuple(seeds),
        config=recipe.spec(),
        environment=environment,
        dopesheet=recipe.dopesheet,
        schedule=Table("schedule", ("step", *timeline.table), tuple(zip(*columns, strict=True))),
    )


def hand_over_run(tracking: Tracking, results: Mapping[str, Any], path: Path) -> None:
    """Give trackers what one seed's run has found: errors by condition, claims, figures."""
    conditions = results["conditions"]
    measured = flat({**conditions, "validation": results.get("validation", {})})
    numbers = {name: value for name, value in measured.items() if isinstance(value, float)}
    names = dict.fromkeys(
        name
        for measured in conditions.values()
        for name in ("max_mse", "median_mse", *measured["named_colors"])
    )
    errors = tuple(
        (name, *(measured.get(name, measured["named_colors"].get(name)) for measured in conditions.values()))
        for name in names
    )
    verdict = ("claim", "measured", "holds", "threshold", "passed")
    claims = tuple(tuple(claim[key] for key in verdict) for claim in results["claims"])
    passed = [claim["passed"] for claim in results["claims"]]
    tracking.hand_over(
        numbers={**numbers, "claims.passed": sum(passed), "claims.all": len(passed)},
        tables=[Table("errors", ("error", *conditions), errors), Table("claims", verdict, claims)],
        figures=figures_of(path),
    )


def figures_of(path: Path) -> list[Figure]:
    """The figures in the run directory, with the alternative texts that the report has left beside them."""
    folder = path / "figures"
    try:
        told = json.loads((folder / "figures.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        told = {}  # No report was drawn, and the figures are someone else's.
    figures = []
    for light in sorted(folder.glob("*.png")):
        if light.name.endswith(".dark.png"):
            continue
        dark = light.with_suffix(".dark.png")
        alt = told.get(light.stem, {}).get("alt", light.stem)
        figures.append(Figure(light.stem, alt, light.resolve(), dark.resolve() if dark.exists() else None))
    return figures
