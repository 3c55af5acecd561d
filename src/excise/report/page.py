"""The report: one self-contained HTML file that opens from disk and asks nothing of the network.

It is made from the run directory alone, so it can be made again at any time.
"""

import base64
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from excise.errors import RunError
from excise.experiments import catalogue
from excise.experiments.pictures import pictures_of_run, pictures_of_sweep
from excise.experiments.pictures_of_shapes import pictures_of_shapes
from excise.experiments.recipe import BASELINE, Recipe
from excise.experiments.restore import recipe_of
from excise.experiments.shapes import ShapesRecipe, shapes_of
from excise.experiments.verdict import threshold_in_words
from excise.figures import Picture
from excise.record import Run, open_run
from excise.record.files import write_atomically, write_json
from excise.report.resources import resource, template
from excise.report.tables import number

__all__ = ["build_report", "find_report"]


def build_report(path: Path) -> Path:
    """Draw the figures of a run or a sweep and write its `report.html`.

    Args:
        path: the directory of a run whose results are written, or of a sweep.

    Returns:
        The path of the report.

    Raises:
        RunError: there is no run, it has no results yet, or the report cannot be written.
    """
    run = open_run(path)
    shapes = shapes_of(run)
    recipe = shapes or recipe_of(run)
    sweep = run.sweep()
    try:
        if isinstance(recipe, ShapesRecipe):
            pictures = pictures_of_shapes(run.arrays())
            content = {"sweep": None, "results": run.results(), "rows": []}
        elif sweep is not None:
            _report_chosen(run, sweep)
            pictures = pictures_of_sweep(recipe, sweep, run)
            content = {"sweep": _Sweep.of(sweep, run, recipe), "results": None, "rows": []}
        else:
            results = run.results()
            pictures = pictures_of_run(recipe, run)
            content = {"sweep": None, "results": results, "rows": _color_rows(run)}
    except KeyError as error:
        raise RunError(
            f"the results in {path} are of another version of excise: they lack {error}."
        ) from error
    shown = [_Shown.of(picture, *_saved(picture, path / "figures")) for picture in pictures]
    if pictures:
        told = {picture.name: {"title": picture.title, "alt": picture.alt} for picture in pictures}
        write_json(path / "figures" / "figures.json", told)
    page = template("page.html.j2").render(
        style=resource("page.css"),
        recipe=recipe,
        run=run,
        pictures=shown,
        spec=_as_text(run.spec),
        environment=_as_text(run.environment),
        facts=_facts(run.environment),
        commands=_commands(recipe, run),
        number=number,
        pieces=_pieces,
        **content,
    )
    report = path / "report.html"
    write_atomically(report, lambda temporary: temporary.write_text(page, encoding="utf-8"))
    return report


def find_report(path: Path) -> Path:
    """The report of a run, built first when it is missing.

    Raises:
        RunError: there is no run, or it has no results yet.
    """
    report = path / "report.html"
    return report if report.exists() else build_report(path)


def _report_chosen(run: Run, sweep: dict[str, Any]) -> None:
    """The full report of the seed that stands for the sweep, in its own directory."""
    chosen = sweep.get("chosen")
    for row in sweep["rows"]:
        if row["seed"] != chosen:
            continue
        directory = run.path / row["run"]
        if directory.exists() and not (directory / "report.html").exists():
            build_report(directory)


@dataclass(frozen=True)
class _Shown:
    """A picture as the page holds it: its files as data, its size in pixels."""

    name: str
    title: str
    alt: str
    caption: str
    light: str
    dark: str
    width: int
    height: int

    @classmethod
    def of(cls, picture: Picture, light: Path, dark: Path) -> "_Shown":
        content = light.read_bytes()
        # A PNG's header holds width and height as big-endian integers at bytes 16 to 24.
        width, height = (int.from_bytes(content[start : start + 4], "big") for start in (16, 20))
        return cls(
            picture.name, picture.title, picture.alt, picture.caption, _as_data(content), _as_data(dark.read_bytes()),
            width, height,
        )  # fmt: skip


@dataclass(frozen=True)
class _Sweep:
    """A sweep as the page tells it: seeds that finished, and beside them plainly those that did not.

    Attributes:
        asked: how many seeds the sweep was asked for.
        rows: those that were run, in their order.
        crashed: of these, the ones that ended in an error.
        claims: each with its `threshold`, and `fails`, the seeds in which it did not hold, those that crashed among
            them.
        keys: the numbers shown for every seed, with their headings.
    """

    asked: int
    rows: list[dict[str, Any]]
    passed: int
    crashed: list[dict[str, Any]]
    claims: list[dict[str, Any]]
    keys: dict[str, str]
    summary: dict[str, dict[str, Any]]
    chosen: int | None
    chosen_is: str
    chosen_run: str
    front: list[int]
    best: int | None
    worst: int | None

    @classmethod
    def of(cls, sweep: dict[str, Any], run: Run, recipe: Recipe) -> "_Sweep":
        rows = sweep["rows"]
        thresholds = {claim.claim: threshold_in_words(claim) for claim in recipe.claims}
        claims = [
            {
                **claim,
                "threshold": thresholds[claim["claim"]],
                "fails": [row["seed"] for row in rows if _fails(row, claim["claim"])],
            }
            for claim in sweep["claims"]
        ]
        headings = {".selectivity": "selectivity", ".max_mse": "largest", ".median_mse": "median"}
        runs = {row["seed"]: row.get("run", "") for row in rows}
        keys = {
            key: f"{key.removesuffix(end)}, {heading}"
            for key in sweep["summary"]
            for end, heading in headings.items()
            if key.endswith(end)
        }
        return cls(
            asked=len(run.environment.get("seeds", rows)),
            rows=rows,
            passed=sweep["passed"],
            crashed=[row for row in rows if "failed" in row],
            claims=claims,
            keys=keys,
            summary=sweep["summary"],
            chosen=sweep["chosen"],
            chosen_is=sweep.get("chosen_is", ""),
            chosen_run=runs.get(sweep["chosen"], ""),
            front=sweep.get("front", []),
            best=sweep.get("best"),
            worst=sweep.get("worst"),
        )


def _fails(row: dict[str, Any], claim: str) -> bool:
    return "failed" in row or claim in row["failed_claims"]


def _as_text(content: object) -> str:
    return json.dumps(content, indent=1, ensure_ascii=False)


def _as_data(content: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(content).decode("ascii")


def _saved(picture: Picture, folder: Path) -> tuple[Path, Path]:
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise RunError(f"cannot make {folder}: {error.strerror or error}.") from error
    return picture.save(folder)


def _color_rows(run: Run) -> list[dict[str, Any]]:
    """For each named colour: itself, and what each condition draws, as CSS colours with the error."""
    arrays, results = run.arrays(), run.results()
    rows = []
    for color in arrays["named_color"].to_numpy():
        here = arrays.sel(named_color=color)
        cells = [
            {
                "css": _css(here["named_output"].sel(condition=condition).to_numpy()),
                "error": measured["named_colors"][str(color)],
                "difference": _difference(results["conditions"], condition, str(color)),
            }
            for condition, measured in results["conditions"].items()
        ]
        rows.append({"name": str(color), "css": _css(here["named_input"].to_numpy()), "cells": cells})
    return rows


def _difference(conditions: dict[str, Any], condition: str, color: str) -> float | None:
    """How much more of an error a colour has than in the baseline; None in the baseline itself."""
    here, before = (conditions[name]["named_colors"][color] for name in (condition, BASELINE))
    return None if condition == BASELINE or None in (here, before) else here - before


def _css(rgb: np.ndarray) -> str:
    red, green, blue = (round(255 * min(max(float(value), 0), 1)) for value in rgb)
    return f"rgb({red} {green} {blue})"


def _commands(recipe: Recipe | ShapesRecipe, run: Run) -> tuple[str | None, str]:
    """How to run it again: from the catalogue, where it holds this very recipe, and from the files of the run."""
    seeds, seed = run.environment.get("seeds"), run.environment.get("seed", 0)
    if isinstance(recipe, ShapesRecipe):
        options, imports, start = "", ("shapes import ShapesRecipe, run_shapes",), "run_shapes(recipe"
    elif seeds:
        options = f" --seed {seeds[0]} --seeds {len(seeds)}"
        imports, start = ("recipe import Recipe", "sweep import run_sweep"), f"run_sweep(recipe, {seeds}"
    else:
        options = f" --seed {seed}"
        imports, start = ("pipeline import run_recipe", "recipe import Recipe"), f"run_recipe(recipe, {seed}"
    known = recipe.name in catalogue.RECIPES and catalogue.RECIPES[recipe.name]().spec() == run.spec
    kind = type(recipe).__name__
    lines = (
        "from pathlib import Path",
        *(f"from excise.experiments.{imported}" for imported in imports),
        "from excise.report.page import build_report",
        "",
        f'recipe = {kind}.model_validate_json(Path("spec.json").read_text(encoding="utf-8"))',
        f'{start}, Path("again"), then=build_report)',
    )
    return f"excise run {recipe.name}{options}" if known else None, "\n".join(lines)


def _facts(environment: dict[str, Any]) -> dict[str, str]:
    """What matters most of the environment: a fact a line; what the run did not record is left out."""
    packages = environment.get("packages", {})
    facts = {
        "excise": packages.get("excise"),
        "commit": environment.get("git_commit"),
        "torch": packages.get("torch"),
        "Python": environment.get("python"),
        "platform": environment.get("platform"),
        "processors": environment.get("cpus"),
    }
    return {name: str(fact) for name, fact in facts.items() if fact}


def _pieces(text: str) -> list[str]:
    """The text in pieces, every second one a number that a browser would break after its hyphen, such as "3e-5"."""
    return re.split(r"([\d.]+e-\d+)", text)
