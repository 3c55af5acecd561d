"""Commands about recipes: list, table, reproduce; `run` has a file of its own."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional, arg

from excise.cli.executing import opened_executor
from excise.cli.run import run
from excise.cli.statuses import FAILED
from excise.cli.telling import saying_what_is_kept

if TYPE_CHECKING:
    pass


def list_recipes() -> None:
    """List the recipes, each with its question."""
    from excise.experiments.catalogue import RECIPES
    from excise.report.tables import print_recipes

    print_recipes([make() for make in RECIPES.values()])


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
    engine: Annotated[tuple[str, ...], arg(metavar="KEY=VALUE")] = (),
) -> None:
    """Show our figures beside the published ones, row by row, with a verdict; run what they are of first.

    Args:
        quick: of some recipes and with few seeds, which finds gross differences only.
        out: where run directories are made; sweeps that lie there finished are not run again.
        write_docs: also write docs/reproduction.md; a whole reproduction in a checkout of excise does so anyway.
        executor: where the sweeps train: processes (of this machine), inline (this process), ray, slurm or modal.
        address: of the Ray cluster, such as auto or ray://host:10001; without one, Ray is started here.
        engine: settings of the executor, such as partition=gpu time=30 for Slurm.
    """
    from excise.experiments.reproduction import open_reproduction_path, parts_of
    from excise.experiments.reproduction import reproduce as carry_out
    from excise.report.reproduction import build_reproduction, print_reproduction
    from excise.report.reproduction_markdown import docs_of_checkout, write_markdown
    from excise.training.progress import progress_for

    parts = parts_of(quick=quick)
    path = open_reproduction_path(parts, out, quick=quick)
    with (
        opened_executor(executor, address=address, settings=engine) as where,
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
