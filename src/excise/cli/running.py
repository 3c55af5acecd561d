"""Commands that run recipes: list, run, table, reproduce."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional, arg

from excise.cli.executing import opened_executor
from excise.cli.statuses import FAILED
from excise.cli.telling import say, saying_what_is_kept
from excise.errors import ExciseError

if TYPE_CHECKING:
    from excise.experiments.recipe import Recipe
    from excise.experiments.shapes import ShapesRecipe

MOST_SEEDS = 100_000


def list_recipes() -> None:
    """List the recipes, each with its question."""
    from excise.experiments.catalogue import RECIPES
    from excise.report.tables import print_recipes

    print_recipes([make() for make in RECIPES.values()])


def run(
    recipe: Annotated[Positional[str], arg(metavar="RECIPE")],
    *,
    seed: int = 0,
    seeds: Annotated[int | None, arg(metavar="N")] = None,
    out: Path = Path("runs"),
    fresh: bool = False,
    workers: Annotated[int | None, arg(metavar="N")] = None,
    executor: Annotated[str | None, arg(metavar="NAME")] = None,
    address: Annotated[str | None, arg(metavar="ADDRESS")] = None,
    track: Annotated[tuple[str, ...], arg(metavar="NAME")] = (),
) -> None:
    """Run a recipe: train, edit, evaluate, report.

    Args:
        recipe: the recipe's name, as `excise list` shows it, or "all" for every one of them.
        seed: fixes every random draw; with --seeds, the first of them.
        seeds: run this many seeds as one batch and report how often each claim held; the same command continues an
            interrupted sweep.
        out: where run directories are made.
        fresh: start a sweep anew, whatever unfinished one there is.
        workers: how many processes a sweep trains in, or functions an executor runs at once; one a processor if not
            given.
        executor: where a sweep trains: processes (of this machine), inline (this process), ray, slurm or modal.
        address: of the Ray cluster, such as auto or ray://host:10001; without one, Ray is started here.
        track: show the run elsewhere too: any of wandb, tensorboard and mlflow.
    """
    from excise.errors import SettingError
    from excise.experiments.catalogue import RECIPES, find_recipe
    from excise.experiments.shapes import ShapesRecipe
    from excise.trackers import make_trackers

    make_trackers(track)  # One that cannot begin is refused before anything is made.
    names = list(RECIPES) if recipe == "all" else [find_recipe(recipe).name]
    if seed < 0:
        raise SettingError(f"--seed is a whole number of at least 0; {seed} came.")
    if seeds is not None and not 1 <= seeds <= MOST_SEEDS:
        raise SettingError(f"--seeds is a whole number from 1 to {MOST_SEEDS}; {seeds} came.")
    if recipe != "all" and isinstance(find_recipe(recipe), ShapesRecipe) and (seed or seeds is not None):
        raise SettingError(
            f"recipe {recipe} trains nothing and draws nothing at random: every seed gives the same run, so that "
            f"there is nothing to repeat. Run it without --seed and --seeds."
        )
    if seeds is None and (executor or address):
        raise SettingError(
            "an executor is for sweeps, and one seed is none: add --seeds N, or leave --executor out."
        )
    failed = []
    for name in names:
        try:
            found = find_recipe(name)
            if isinstance(found, ShapesRecipe):
                finished = _run_shapes(found, out)
            elif seeds is None:
                finished = _run_once(found, seed, out, track)
            else:
                with opened_executor(executor, workers=workers, address=address) as where:
                    finished = _run_sweep(
                        found,
                        range(seed, seed + seeds),
                        out,
                        fresh=fresh,
                        where=workers if where is None else where,
                    )
        except ExciseError as error:
            if len(names) == 1:
                raise
            say(f"error: recipe {name}: {error}", error)
            finished = False
        if not finished:
            failed.append(name)
    if failed:
        if len(names) > 1:
            print(f"\n{len(failed)} of {len(names)} recipes failed: {', '.join(failed)}", file=sys.stderr)
        sys.exit(FAILED)


def _run_shapes(recipe: "ShapesRecipe", out: Path) -> bool:
    """Draw the shapes of a recipe that trains nothing; whether it finished."""
    from excise.experiments.shapes import run_shapes
    from excise.record import new_run_path
    from excise.report.page import build_report
    from excise.report.tables import print_run

    path = new_run_path(out, recipe.name, "shapes")
    with saying_what_is_kept(path):
        results = run_shapes(recipe, path, then=build_report)
    print_run(results)
    print(f"\nreport: {path / 'report.html'}")
    return True


def _run_once(recipe: "Recipe", seed: int, out: Path, track: tuple[str, ...]) -> bool:
    """Run a recipe with one seed; whether it finished."""
    from excise.experiments.pipeline import run_recipe
    from excise.record import new_run_path
    from excise.report.page import build_report
    from excise.report.tables import print_run
    from excise.training.progress import progress_for

    path = new_run_path(out, recipe.name, f"seed{seed}")
    with progress_for(sys.stderr) as progress, saying_what_is_kept(path):
        results = run_recipe(recipe, seed, path, progress=progress, then=build_report, trackers=track)
    print_run(results)
    print(f"\nreport: {path / 'report.html'}")
    return True


def _run_sweep(
    recipe: "Recipe", seeds: range, out: Path, *, fresh: bool, where: "Executor | int | None"
) -> bool:
    """Run a recipe over several seeds, on an executor or in so many processes; whether any of them finished."""
    from excise.experiments.sweep import open_sweep_path, run_sweep
    from excise.report.page import build_report
    from excise.report.tables import print_sweep
    from excise.training.progress import progress_for

    path = open_sweep_path(recipe, seeds, out, fresh=fresh)
    with (
        progress_for(sys.stderr) as progress,
        saying_what_is_kept(path, "the same command goes on from there"),
    ):
        sweep = run_sweep(recipe, seeds, path, progress=progress, then=build_report, **_placed(where))
    print_sweep(sweep)
    print(f"\nreport: {path / 'report.html'}")
    return any("failed" not in row for row in sweep["rows"])


def _placed(where: "Executor | int | None") -> "_Placed":
    return {"workers": where} if isinstance(where, int | None) else {"executor": where}


def table(
    run: Positional[Path],
    form: Annotated[Literal["terminal", "markdown", "html", "latex"], arg(name="format")] = "terminal",
    differences: bool = False,
) -> None:
    """Print a run's errors colour by colour, with swatches.

    Args:
        run: a run directory, such as runs/2.6/<run id>, or a seed's inside a sweep.
        form: for reading here, or to be put into a document.
        differences: show differences from the baseline only.
    """
    from excise.report.colors_of_run import color_table_of, print_colors

    print_colors(color_table_of(run), form, differences_only=differences)


def reproduce(
    *,
    quick: bool = False,
    out: Path = Path("runs"),
    write_docs: bool = False,
    executor: Annotated[str | None, arg(metavar="NAME")] = None,
    address: Annotated[str | None, arg(metavar="ADDRESS")] = None,
) -> None:
    """Show our figures beside the published ones, row by row, with a verdict; run what they are of first.

    Args:
        quick: of some recipes and with few seeds, which finds gross differences only.
        out: where run directories are made; sweeps that lie there finished are not run again.
        write_docs: also write docs/reproduction.md; a whole reproduction in a checkout of excise does so anyway.
        executor: where the sweeps train: processes (of this machine), inline (this process), ray, slurm or modal.
        address: of the Ray cluster, such as auto or ray://host:10001; without one, Ray is started here.
    """
    from excise.experiments.reproduction import open_reproduction_path, parts_of
    from excise.experiments.reproduction import reproduce as carry_out
    from excise.report.reproduction import build_reproduction, print_reproduction
    from excise.report.reproduction_markdown import docs_of_checkout, write_markdown
    from excise.training.progress import progress_for

    parts = parts_of(quick=quick)
    path = open_reproduction_path(parts, out, quick=quick)
    with (
        opened_executor(executor, address=address) as where,
        progress_for(sys.stderr) as progress,
        saying_what_is_kept(path, "the same command goes on from there"),
    ):
        made = carry_out(
            parts, out, path, quick=quick, progress=progress, then=build_reproduction, executor=where
        )
    print_reproduction(made)
    print(f"\nreport: {path / 'reproduction.html'}")
    docs = Path("docs") if write_docs else None if quick else docs_of_checkout(Path())
    if docs is not None:
        print(f"written: {write_markdown(path, docs / 'reproduction.md')}")
    if any(part.finished == 0 for part in made.carried):
        sys.exit(FAILED)


RUNNING = {"list": list_recipes, "run": run, "table": table, "reproduce": reproduce}
"""Command names and what they call, in the order of the help."""
