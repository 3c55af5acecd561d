"""The command line: parses, calls, prints."""

import sys
import warnings
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import Positional, arg
from tyro.extras import SubcommandApp

app = SubcommandApp()


@app.command(name="list")
def list_recipes() -> None:
    """List the recipes, each with its question."""
    from excise.experiments.catalogue import RECIPES
    from excise.report.tables import print_recipes

    print_recipes([make() for make in RECIPES.values()])


@app.command(name="run")
def run(
    recipe: Positional[str],
    /,
    seed: int = 0,
    seeds: Annotated[int | None, arg(metavar="N")] = None,
    out: Path = Path("runs"),
) -> None:
    """Run a recipe: train, edit, evaluate, report.

    Args:
        recipe: the recipe's name, as `excise list` shows it.
        seed: fixes every random draw (with --seeds: the first of them).
        seeds: run this many seeds, one after the other, and report how often each claim held.
        out: where run directories are made.
    """
    from excise.commands import run_many, run_one

    if seeds is None:
        run_one(recipe, seed, out)
    else:
        run_many(recipe, seed, seeds, out)
