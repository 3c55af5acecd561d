"""Runs a recipe over several seeds, one after the other, and sums up what held in how many of them.

Each seed is a run directory of its own inside the sweep's. A sweep that was interrupted goes on where it stopped:
finished seeds are kept, unfinished ones are run again beside what they left.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from excise.errors import ExciseError, RunError, SettingError
from excise.experiments.pipeline import run_recipe
from excise.experiments.recipe import Recipe
from excise.runs import Record, Run, new_run_path, open_run
from excise.runs.environment import describe_environment
from excise.runs.files import write_json
from excise.training.progress import SilentProgress

__all__ = ["open_sweep_path", "run_sweep", "summarise_sweep"]


def run_sweep(
    recipe: Recipe,
    seeds: Sequence[int],
    path: Path,
    *,
    progress: SilentProgress | None = None,
    then: Callable[[Path], object] | None = None,
) -> dict[str, Any]:
    """Run the recipe once for each seed, into the directory `path`, which may hold an unfinished sweep of it.

    Args:
        recipe: what to run.
        seeds: distinct, at least one.
        path: the sweep's directory.
        progress: shows how each seed goes.
        then: what else belongs to the sweep, such as its report; called with `path` at the end.

    Returns:
        The content of `sweep.json`. A seed that failed is a row with its error; the others go on.

    Raises:
        SettingError: no seeds, or one twice.
        RunError: the directory cannot be written, or holds a run of another recipe.
    """
    if not seeds or len(set(seeds)) != len(seeds):
        raise SettingError(f"a sweep takes at least one seed, each once; {list(seeds)} came.")
    progress = progress or SilentProgress()
    spec = recipe.spec()
    environment = {**describe_environment(), "seeds": list(seeds)}
    resume = (path / "status.json").exists()
    if resume and open_run(path).spec != spec:
        raise RunError(f"{path} holds a run of another recipe; choose another directory.")
    with Record(path, spec, environment, resume=resume):
        failures: dict[int, str] = {}
        for index, seed in enumerate(seeds):
            if _finished_run(path, seed) is not None:
                continue
            progress.stage(f"seed {seed} ({index + 1} of {len(seeds)})")
            try:
                run_recipe(recipe, seed, _free_path(path, seed), progress=progress)
            except RunError:
                raise
            except ExciseError as error:
                failures[seed] = f"{type(error).__name__}: {error}"
            write_json(path / "sweep.json", summarise_sweep(recipe, seeds, path, failures))
        sweep = summarise_sweep(recipe, seeds, path, failures)
        write_json(path / "sweep.json", sweep)
        if then is not None:
            then(path)
    return sweep


def summarise_sweep(
    recipe: Recipe, seeds: Sequence[int], path: Path, failures: dict[int, str]
) -> dict[str, Any]:
    """The content of `sweep.json`: a row a seed, the spread of each number, and how often each claim held."""
    rows: list[dict[str, Any]] = []
    verdicts: list[list[dict[str, Any]]] = []
    for seed in seeds:
        run = _finished_run(path, seed)
        if run is None:
            if seed in failures:
                rows.append({"seed": seed, "failed": failures[seed]})
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
    keys = [key for key in finished[0] if "." in key] if finished else []
    summary = {key: _spread([row[key] for row in finished]) for key in keys}
    claims = [
        {
            "claim": spec.claim,
            "passed": sum(bool(judged[index]["passed"]) for judged in verdicts),
            "seeds": len(rows),
            "measured": _spread([judged[index]["measured"] for judged in verdicts]),
        }
        for index, spec in enumerate(recipe.claims)
        if verdicts
    ]
    return {
        "recipe": recipe.name,
        "seeds": list(seeds),
        "rows": rows,
        "summary": summary,
        "claims": claims,
        "passed": sum(row.get("passed", False) for row in rows),
        "chosen": _typical(finished, recipe.conditions[1 if recipe.edits else 0]),
        "chosen_is": "the seed whose largest error after the first edit is the median",
    }


def open_sweep_path(recipe: Recipe, seeds: Sequence[int], out: Path) -> Path:
    """Where a sweep goes: on in the newest unfinished one of this recipe and these seeds, or in a new directory."""
    for directory in sorted((out / recipe.name).glob("*-seeds*"), reverse=True):
        try:
            run = open_run(directory)
        except RunError:
            continue
        same = run.spec == recipe.spec() and run.environment.get("seeds") == list(seeds)
        if same and run.status["status"] != "finished":
            return directory
    return new_run_path(out, recipe.name, f"seeds{seeds[0]}-{seeds[-1]}")


def _numbers(results: dict[str, Any]) -> dict[str, float | None]:
    numbers: dict[str, float | None] = {}
    for condition, measured in results["conditions"].items():
        numbers[f"{condition}.max_mse"] = measured["max_mse"]
        numbers[f"{condition}.median_mse"] = measured["median_mse"]
        for color, error in measured["named_colors"].items():
            numbers[f"{condition}.named_colors.{color}"] = error
    return numbers


def _spread(values: list[float | None]) -> dict[str, float | None]:
    finite = [value for value in values if value is not None]
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


def _typical(rows: list[dict[str, Any]], condition: str) -> int | None:
    if not rows:
        return None
    ordered = sorted(rows, key=lambda row: _or_infinity(row[f"{condition}.max_mse"]))
    return ordered[(len(ordered) - 1) // 2]["seed"]


def _or_infinity(value: float | None) -> float:
    return math.inf if value is None else value


def _finished_run(path: Path, seed: int) -> Run | None:
    """The finished run of a seed whose results can be read."""
    for directory in sorted(path.glob(f"seed-{seed}*")):
        if directory.name != f"seed-{seed}" and not directory.name.startswith(f"seed-{seed}-again-"):
            continue
        try:
            run = open_run(directory)
            if run.status["status"] == "finished" and run.results():
                return run
        except RunError:
            continue
    return None


def _free_path(path: Path, seed: int) -> Path:
    candidate, count = path / f"seed-{seed}", 2
    while candidate.exists():
        candidate, count = path / f"seed-{seed}-again-{count}", count + 1
    return candidate
