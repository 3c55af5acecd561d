"""The command line: parses, calls, prints."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TextIO

from tyro.conf import Positional, arg
from tyro.extras import SubcommandApp

from excise.errors import ExciseError, ExciseWarning

__all__ = ["main"]

app = SubcommandApp()

USER_ERROR = 2
INTERRUPTED = 130


@app.command(name="list")
def list_recipes() -> None:
    """List the recipes, each with its question."""
    from excise.experiments.catalogue import RECIPES
    from excise.report.tables import print_recipes

    print_recipes([make() for make in RECIPES.values()])


@app.command(name="run")
def run(
    recipe: Positional[str],
    seed: int = 0,
    seeds: Annotated[int | None, arg(metavar="N")] = None,
    out: Path = Path("runs"),
) -> None:
    """Run a recipe: train, edit, evaluate, report.

    Args:
        recipe: the recipe's name, as `excise list` shows it.
        seed: fixes every random draw; with --seeds, the first of them.
        seeds: run this many seeds, one after the other, and report how often each claim held. Interrupted, the
            same command goes on with the seeds that are not finished.
        out: where run directories are made.
    """
    from excise.errors import SettingError
    from excise.experiments.catalogue import find_recipe
    from excise.experiments.pipeline import run_recipe
    from excise.experiments.sweep import open_sweep_path, run_sweep
    from excise.report.page import build_report
    from excise.report.tables import print_run, print_sweep
    from excise.runs import new_run_path
    from excise.training.progress import progress_for

    chosen = find_recipe(recipe)
    if seed < 0 or (seeds is not None and seeds < 1):
        raise SettingError(f"--seed is at least 0 and --seeds at least 1; --seed {seed} --seeds {seeds} came.")
    if seeds is None:
        path = new_run_path(out, chosen.name, f"seed{seed}")
    else:
        path = open_sweep_path(chosen, range(seed, seed + seeds), out)
    with progress_for(sys.stderr) as progress, _explaining_interrupts(path):
        if seeds is None:
            results = run_recipe(chosen, seed, path, progress=progress, then=build_report)
        else:
            sweep = run_sweep(chosen, range(seed, seed + seeds), path, progress=progress, then=build_report)
    if seeds is None:
        print_run(results)
    else:
        print_sweep(sweep)
    print(f"report: {path / 'report.html'}")


@app.command(name="report")
def report(run: Positional[Path]) -> None:
    """Draw the figures of a finished run again and rewrite its report.

    Args:
        run: a run directory, such as runs/2.6/<run id>.
    """
    from excise.report.page import build_report

    print(f"report: {build_report(run)}")


@app.command(name="show")
def show(run: Positional[Path]) -> None:
    """Print a run's numbers and open its report in the browser.

    Args:
        run: a run directory, such as runs/2.6/<run id>.
    """
    import webbrowser

    from excise.report.page import find_report
    from excise.report.tables import print_run, print_sweep
    from excise.runs import open_run

    opened = open_run(run)
    sweep = opened.sweep()
    if sweep is None:
        print_run(opened.results())
    else:
        print_sweep(sweep)
    path = find_report(run)
    print(f"report: {path}")
    if not webbrowser.open(path.resolve().as_uri()):
        print("no browser was found; open that file in one.")


@app.command(name="doctor")
def doctor() -> None:
    """Say what this machine has, and what is missing."""
    from excise.report.tables import print_doctor
    from excise.runs.environment import examine

    print_doctor(examine())


def main() -> None:
    """Run the command line; a user's mistake ends it with a message and status 2."""
    warnings.showwarning = _show_warning
    try:
        app.cli(prog="excise", description="Put a concept where you can find it, cut it out, prove it is gone.")
    except ExciseError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(USER_ERROR)
    except KeyboardInterrupt as interrupt:
        print(f"cancelled{f'; {interrupt}' if interrupt.args else ''}.", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()


@contextmanager
def _explaining_interrupts(path: Path) -> Iterator[None]:
    """Say, when the user interrupts, where what is finished was kept."""
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"what was finished is kept in {path}") from None


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    where = "" if issubclass(category, ExciseWarning) else f" ({filename}:{lineno}, {category.__name__})"
    print(f"warning: {message}{where}", file=file or sys.stderr)


if __name__ == "__main__":
    main()
