"""The report: one self-contained HTML file that opens from disk and asks nothing of the network.

It is made from the run directory alone, so it can be made again at any time.
"""

import base64
import json
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from excise.color import named_colors
from excise.errors import RunError
from excise.experiments.pictures import pictures_of_run, pictures_of_sweep
from excise.experiments.recipe import Recipe
from excise.figures import Picture
from excise.report.tables import number
from excise.runs import Run, open_run
from excise.runs.files import write_atomically

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
    recipe = _recipe(run)
    sweep = run.sweep()
    if sweep is not None:
        pictures = pictures_of_sweep(recipe, sweep)
        content = {"sweep": sweep, "results": None, "rows": []}
    else:
        results = run.results()
        pictures = pictures_of_run(recipe, run)
        content = {"sweep": None, "results": results, "rows": _color_rows(run)}
    shown = [_Shown.of(picture, *_saved(picture, path / "figures")) for picture in pictures]
    page = _template().render(
        recipe=recipe,
        run=run,
        pictures=shown,
        spec=json.dumps(run.spec, indent=1, ensure_ascii=False),
        environment=run.environment,
        command=_command(recipe, run),
        number=number,
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


def _as_data(content: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(content).decode("ascii")


def _saved(picture: Picture, folder: Path) -> tuple[Path, Path]:
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise RunError(f"cannot make {folder}: {error.strerror or error}.") from error
    return picture.save(folder)


def _recipe(run: Run) -> Recipe:
    try:
        return Recipe.model_validate(run.spec)
    except ValueError as error:
        raise RunError(f"{run.path / 'spec.json'} is no recipe of this version of excise: {error}") from error


def _color_rows(run: Run) -> list[dict[str, Any]]:
    """For each named colour: itself, and what each condition draws, as CSS colours with the error."""
    arrays, results = run.arrays(), run.results()
    true = named_colors()
    rows = []
    for index, color in enumerate(true["color"].to_numpy()):
        cells = []
        for condition, measured in results["conditions"].items():
            drawn = arrays["named_output"].sel(condition=condition).isel(named_color=index)
            cells.append({"css": _css(drawn.to_numpy()), "error": measured["named_colors"][str(color)]})
        rows.append({"name": str(color), "css": _css(true.isel(color=index).to_numpy()), "cells": cells})
    return rows


def _css(rgb: Any) -> str:  # noqa: ANN401
    red, green, blue = (round(255 * min(max(float(value), 0), 1)) for value in rgb)
    return f"rgb({red} {green} {blue})"


def _command(recipe: Recipe, run: Run) -> str:
    seeds = run.environment.get("seeds")
    if seeds:
        start = f" --seed {seeds[0]}" if seeds[0] else ""
        return f"excise run {recipe.name}{start} --seeds {len(seeds)}"
    return f"excise run {recipe.name} --seed {run.environment['seed']}"


def _template() -> Any:  # noqa: ANN401
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    source = (files("excise.report") / "page.html.j2").read_text(encoding="utf-8")
    return environment.from_string(source)
