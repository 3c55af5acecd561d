"""Sums up a sweep from its run directories: a row a seed, the spread of each number, claims, and the chosen seed."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from excise.errors import SettingError
from excise.evaluation import choose, pareto_front
from excise.experiments.chunk import failure_of, finished_run
from excise.experiments.recipe import Recipe

__all__ = ["spread", "summarise_sweep"]

TYPICAL = "the seed whose largest error after the first edit is the median"


def summarise_sweep(recipe: Recipe, seeds: Sequence[int], path: Path) -> dict[str, Any]:
    """The content of `sweep.json`, from what lies in the sweep's directory.

    Seeds that were not run yet have no row. Of those that were, `chosen` is the one to be shown: the best by the
    recipe's selection, or else a typical one; `best` and `worst` bound what a reader may expect.
    """
    rows: list[dict[str, Any]] = []
    verdicts: list[list[dict[str, Any]]] = []
    for seed in seeds:
        run = finished_run(path, seed)
        if run is None:
            failure = failure_of(path, seed)
            if failure is not None:
                rows.append({"seed": seed, "failed": failure})
            continue
        results = run.results()
        verdicts.append(results["claims"])
        rows.append(
            {
                "seed": seed,
                "run": run.path.name,
                "passed": all(claim["passed"] for claim in results["claims"]),
                "failed_claims": [claim["claim"] for claim in results["claims"] if not claim["passed"]],
                **_numbers(results),
            }
        )
    finished = [row for row in rows if "failed" not in row]
    keys = list(dict.fromkeys(key for row in finished for key in row if "." in key))
    for row in finished:
        row |= {key: row.get(key) for key in keys}
    claims = [
        {
            "claim": spec.claim,
            "passed": sum(bool(judged[index]["passed"]) for judged in verdicts),
            "seeds": len(rows),
            "measured": spread([judged[index]["measured"] for judged in verdicts]),
        }
        for index, spec in enumerate(recipe.claims)
        if verdicts
    ]
    return {
        "recipe": recipe.name,
        "seeds": list(seeds),
        "rows": rows,
        "summary": {key: spread([row[key] for row in finished]) for key in keys},
        "claims": claims,
        "passed": sum(row.get("passed", False) for row in rows),
        **_chosen(recipe, finished),
    }


def spread(values: Sequence[float | None]) -> dict[str, float | None]:
    """Median, quartiles, extremes, mean and standard deviation (n - 1) of the values that are finite."""
    finite = [value for value in values if value is not None and math.isfinite(value)]
    if not finite:
        return dict.fromkeys(("median", "min", "q1", "q3", "max", "mean", "sd"))
    low, first, median, third, high = np.percentile(finite, [0, 25, 50, 75, 100]).tolist()
    return {
        "median": median,
        "min": low,
        "q1": first,
        "q3": third,
        "max": high,
        "mean": float(np.mean(finite)),
        "sd": float(np.std(finite, ddof=1)) if len(finite) > 1 else 0.0,
    }


def _chosen(recipe: Recipe, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The chosen seed and why, the Pareto front it comes from, and the best and the worst seed."""
    if not rows:
        return {"chosen": None, "chosen_is": TYPICAL, "front": [], "best": None, "worst": None}
    selection = recipe.selection
    if selection is not None:
        names = (*selection.low, *selection.high)
        metrics = {name: np.array([_number(row.get(name)) for row in rows]) for name in names}
        front = pareto_front(metrics, low=selection.low, high=selection.high)
        try:
            index = choose(metrics, low=selection.low, high=selection.high, by=selection.by)
        except SettingError:
            pass  # No seed has all of these numbers: a typical one is shown instead.
        else:
            ranked = _ranked(metrics[selection.by], ascending=selection.by in selection.low)
            sides = " and ".join(
                f"{side} {', '.join(names)}"
                for side, names in (("low", selection.low), ("high", selection.high))
                if names
            )
            return {
                "chosen": rows[index]["seed"],
                "chosen_is": f"the best by {selection.by} of the Pareto front over {sides}",
                "front": [row["seed"] for row, on in zip(rows, front, strict=True) if on],
                "best": rows[ranked[0]]["seed"],
                "worst": rows[ranked[-1]]["seed"],
            }
    condition = recipe.conditions[1 if recipe.edits else 0]
    errors = np.array([_number(row[f"{condition}.max_mse"]) for row in rows])
    middle = np.argsort(np.where(np.isnan(errors), np.inf, errors), kind="stable")[(len(rows) - 1) // 2]
    failures = np.array([len(row["failed_claims"]) for row in rows], dtype=float)
    ranked = _ranked(failures, ascending=True)
    return {
        "chosen": rows[middle]["seed"],
        "chosen_is": TYPICAL,
        "front": [],
        "best": rows[ranked[0]]["seed"],
        "worst": rows[ranked[-1]]["seed"],
    }


def _ranked(values: np.ndarray, *, ascending: bool) -> list[int]:
    """The indices from the best to the worst; what is not finite comes last."""
    keyed = np.where(np.isfinite(values), values if ascending else -values, np.inf)
    return np.argsort(keyed, kind="stable").tolist()


def _numbers(results: Mapping[str, Any]) -> dict[str, float | None]:
    numbers: dict[str, float | None] = {}
    for condition, measured in results["conditions"].items():
        numbers[f"{condition}.max_mse"] = measured["max_mse"]
        numbers[f"{condition}.median_mse"] = measured["median_mse"]
        if "selectivity" in measured:
            numbers[f"{condition}.selectivity"] = measured["selectivity"]
        for color, error in measured["named_colors"].items():
            numbers[f"{condition}.named_colors.{color}"] = error
    for name, value in results.get("validation", {}).items():
        numbers[f"validation.{name}"] = value
    return numbers


def _number(value: float | None) -> float:
    return math.nan if value is None else value
