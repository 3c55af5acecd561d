"""The command line: parses, calls, prints."""

import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional, arg
from tyro.extras import SubcommandApp

from excise.errors import ExciseError, ExciseWarning

if TYPE_CHECKING:
    from excise.experiments.recipe import Recipe
    from excise.experiments.shapes import ShapesRecipe

__all__ = ["main"]

app = SubcommandApp()

FAILED = 1
USER_ERROR = 2
BY_SIGNAL = 128
"""The exit status of a command that a signal ended is this plus the signal's number, as shells have it."""

IMPORT_PAUSE = 0.05
"""After so many seconds a signal that came in the middle of an import is given again."""

MOST_SEEDS = 100_000


class Ended(KeyboardInterrupt):
    """A signal asked the command to end: Ctrl-C, `kill`, a batch system, a terminal that closes.

    Each ends a run as Ctrl-C does, so that the run directory says cancelled instead of started for ever.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__()


@app.command(name="list")
def list_recipes() -> None:
    """List the recipes, each with its question."""
    from excise.experiments.catalogue import RECIPES
    from excise.report.tables import print_recipes

    print_recipes([make() for make in RECIPES.values()])


@app.command(name="run")
def run(
    recipe: Annotated[Positional[str], arg(metavar="RECIPE")],
    *,
    seed: int = 0,
    seeds: Annotated[int | None, arg(metavar="N")] = None,
    out: Path = Path("runs"),
    fresh: bool = False,
    workers: Annotated[int | None, arg(metavar="N")] = None,
) -> None:
    """Run a recipe: train, edit, evaluate, report.

    Args:
        recipe: the recipe's name, as `excise list` shows it, or "all" for every one of them.
        seed: fixes every random draw; with --seeds, the first of them.
        seeds: run this many seeds as one batch and report how often each claim held; the same command continues an
            interrupted sweep.
        out: where run directories are made.
        fresh: start a sweep anew, whatever unfinished one there is.
        workers: how many processes a sweep trains in; one a processor if not given.
    """
    from excise.errors import SettingError
    from excise.experiments.catalogue import RECIPES, find_recipe
    from excise.experiments.shapes import ShapesRecipe

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
    failed = []
    for name in names:
        try:
            found = find_recipe(name)
            if isinstance(found, ShapesRecipe):
                finished = _run_shapes(found, out)
            elif seeds is None:
                finished = _run_once(found, seed, out)
            else:
                finished = _run_sweep(found, range(seed, seed + seeds), out, fresh=fresh, workers=workers)
        except ExciseError as error:
            if len(names) == 1:
                raise
            _say(f"error: recipe {name}: {error}", error)
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
    from excise.report.page import build_report
    from excise.report.tables import print_run
    from excise.runs import new_run_path

    path = new_run_path(out, recipe.name, "shapes")
    with _saying_what_is_kept(path):
        results = run_shapes(recipe, path, then=build_report)
    print_run(results)
    print(f"\nreport: {path / 'report.html'}")
    return True


def _run_once(recipe: "Recipe", seed: int, out: Path) -> bool:
    """Run a recipe with one seed; whether it finished."""
    from excise.experiments.pipeline import run_recipe
    from excise.report.page import build_report
    from excise.report.tables import print_run
    from excise.runs import new_run_path
    from excise.training.progress import progress_for

    path = new_run_path(out, recipe.name, f"seed{seed}")
    with progress_for(sys.stderr) as progress, _saying_what_is_kept(path):
        results = run_recipe(recipe, seed, path, progress=progress, then=build_report)
    print_run(results)
    print(f"\nreport: {path / 'report.html'}")
    return True


def _run_sweep(recipe: "Recipe", seeds: range, out: Path, *, fresh: bool, workers: int | None) -> bool:
    """Run a recipe over several seeds; whether any of them finished."""
    from excise.experiments.sweep import open_sweep_path, run_sweep
    from excise.report.page import build_report
    from excise.report.tables import print_sweep
    from excise.training.progress import progress_for

    path = open_sweep_path(recipe, seeds, out, fresh=fresh)
    with (
        progress_for(sys.stderr) as progress,
        _saying_what_is_kept(path, "the same command goes on from there"),
    ):
        sweep = run_sweep(recipe, seeds, path, progress=progress, then=build_report, workers=workers)
    print_sweep(sweep)
    print(f"\nreport: {path / 'report.html'}")
    return any("failed" not in row for row in sweep["rows"])


@app.command(name="table")
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


@app.command(name="reproduce")
def reproduce(*, quick: bool = False, out: Path = Path("runs"), write_docs: bool = False) -> None:
    """Show our figures beside the published ones, row by row, with a verdict; run what they are of first.

    Args:
        quick: of some recipes and with few seeds, which finds gross differences only.
        out: where run directories are made; sweeps that lie there finished are not run again.
        write_docs: also write docs/reproduction.md; a whole reproduction in a checkout of excise does so anyway.
    """
    from excise.experiments.reproduction import open_reproduction_path, parts_of
    from excise.experiments.reproduction import reproduce as carry_out
    from excise.report.reproduction import build_reproduction, print_reproduction
    from excise.report.reproduction_markdown import docs_of_checkout, write_markdown
    from excise.training.progress import progress_for

    parts = parts_of(quick=quick)
    path = open_reproduction_path(parts, out, quick=quick)
    with (
        progress_for(sys.stderr) as progress,
        _saying_what_is_kept(path, "the same command goes on from there"),
    ):
        made = carry_out(parts, out, path, quick=quick, progress=progress, then=build_reproduction)
    print_reproduction(made)
    print(f"\nreport: {path / 'reproduction.html'}")
    docs = Path("docs") if write_docs else None if quick else docs_of_checkout(Path())
    if docs is not None:
        print(f"written: {write_markdown(path, docs / 'reproduction.md')}")
    if any(part.finished == 0 for part in made.carried):
        sys.exit(FAILED)


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
    print(f"\nreport: {path}")
    if not webbrowser.open(path.resolve().as_uri()):
        print("no browser was found; open that file in one.")


@app.command(name="prune")
def prune(
    build: Annotated[Positional[str], arg(metavar="MODULE:FUNCTION")],
    *,
    layer: str,
    dims: Annotated[list[int], arg(metavar="N [N ...]")],
    weights: Annotated[Path | None, arg(metavar="FILE")] = None,
    example: Annotated[Path | None, arg(metavar="FILE")] = None,
    out: Path = Path("cut"),
    axis: Annotated[int | None, arg(metavar="N")] = None,
    may_change_output: bool = False,
    dry_run: bool = False,
) -> None:
    """Remove features of a layer from a model of your own: what writes them and what reads them.

    Args:
        build: a function without arguments that gives the model, such as toy.models:build; the current directory is
            searched too.
        layer: the module whose output holds the features, such as encoder.4; or "path:operation".
        dims: the features to remove, counted from 0.
        weights: a safetensors file, or the folder of a former cut; if not given, the weights are those that the
            function gives.
        example: what the model is called with: .npy for one argument, .npz or .safetensors for arguments by name;
            guessed if not given.
        out: where model.safetensors and plan.json are written.
        axis: where the features lie in the layer's output; the channels behind a convolution, else the last one.
        may_change_output: allow that features leave the model as outputs, which then get narrower.
        dry_run: show the report and write nothing.
    """
    from excise.surgery.jobs import cut_model

    edit = cut_model(
        build, layer, dims, "prune", weights=weights, example=example, out=None if dry_run else out, axis=axis,
        may_change_output=may_change_output,
    )  # fmt: skip
    print(edit.report)
    _say_where(None if dry_run else out)


@app.command(name="ablate")
def ablate(
    build: Annotated[Positional[str], arg(metavar="MODULE:FUNCTION")],
    *,
    layer: str,
    dims: Annotated[list[int], arg(metavar="N [N ...]")],
    weights: Annotated[Path | None, arg(metavar="FILE")] = None,
    example: Annotated[Path | None, arg(metavar="FILE")] = None,
    out: Path = Path("cut"),
    axis: Annotated[int | None, arg(metavar="N")] = None,
    strength: float = 1.0,
    dry_run: bool = False,
) -> None:
    """Zero the weights that write or read features of a layer, in a model of your own; shapes stay.

    Args:
        build: a function without arguments that gives the model, such as toy.models:build; the current directory is
            searched too.
        layer: the module whose output holds the features, such as encoder.4; or "path:operation".
        dims: the features to remove, counted from 0.
        weights: a safetensors file, or the folder of a former cut; if not given, the weights are those that the
            function gives.
        example: what the model is called with: .npy for one argument, .npz or .safetensors for arguments by name;
            guessed if not given.
        out: where model.safetensors and plan.json are written.
        axis: where the features lie in the layer's output; the channels behind a convolution, else the last one.
        strength: the share of the features that is taken away, above 0 and at most 1.
        dry_run: show the report and write nothing.
    """
    from excise.surgery.jobs import cut_model

    edit = cut_model(
        build, layer, dims, "ablate", weights=weights, example=example, out=None if dry_run else out, axis=axis,
        strength=strength,
    )  # fmt: skip
    print(edit.report)
    _say_where(None if dry_run else out)


@app.command(name="trace")
def trace(
    build: Annotated[Positional[str], arg(metavar="MODULE:FUNCTION")],
    *,
    layer: str,
    weights: Annotated[Path | None, arg(metavar="FILE")] = None,
    example: Annotated[Path | None, arg(metavar="FILE")] = None,
    axis: Annotated[int | None, arg(metavar="N")] = None,
) -> None:
    """Show who writes, who carries and who reads the features of a layer, in a model of your own.

    Args:
        build: a function without arguments that gives the model, such as toy.models:build; the current directory is
            searched too.
        layer: the module whose output holds the features, such as encoder.4; or "path:operation".
        weights: a safetensors file, or the folder of a former cut; the data flow seldom depends on weights.
        example: what the model is called with: .npy for one argument, .npz or .safetensors for arguments by name;
            guessed if not given.
        axis: where the features lie in the layer's output; the channels behind a convolution, else the last one.
    """
    from excise.surgery.jobs import trace_model

    print(trace_model(build, layer, weights=weights, example=example, axis=axis))


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
        with _ending_on_signals():
            app.cli(
                prog="excise",
                description="Put a concept where you can find it, cut it out, prove it is gone.",
            )
            if sys.stdout is not None:  # None where it was closed before the start.
                sys.stdout.flush()
    except ExciseError as error:
        _say(f"error: {error}", error)
        sys.exit(USER_ERROR)
    except KeyboardInterrupt as interrupt:
        _say("cancelled.", interrupt)
        sys.exit(BY_SIGNAL + (interrupt.number if isinstance(interrupt, Ended) else signal.SIGINT))
    except BrokenPipeError:
        _silence_output()
        sys.exit(FAILED)
    except OSError as error:
        _silence_output()
        _say(f"error: {error}", error)
        sys.exit(USER_ERROR)


@contextmanager
def _ending_on_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the block as Ctrl-C does; one that is ignored (nohup) stays so."""
    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    caught = [number for number in numbers if before[number] in (signal.SIG_DFL, signal.default_int_handler)]
    if threading.current_thread() is not threading.main_thread():
        caught = []  # only the main thread may set handlers

    def end(number: int, frame: FrameType | None) -> None:
        if not _is_importing(frame):
            raise Ended(number)
        # A library that is interrupted as it is imported may swallow that, or stay half imported: ask again later.
        later = threading.Timer(IMPORT_PAUSE, signal.raise_signal, [number])
        later.daemon = True
        later.start()

    for number in caught:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in caught:
            signal.signal(number, before[number])


def _is_importing(frame: FrameType | None) -> bool:
    """Whether an import that this command began is under way."""
    while frame is not None and frame.f_code is not main.__code__:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


def _say_where(out: Path | None) -> None:
    if out is None:
        print("\ndry run: nothing was written")
    else:
        print(f"\nwritten: {out / 'model.safetensors'} and {out / 'plan.json'}")


@contextmanager
def _saying_what_is_kept(path: Path, advice: str = "") -> Iterator[None]:
    """Tell the user, when a run ends early, where what it had written is."""
    try:
        yield
    except (ExciseError, KeyboardInterrupt) as error:
        if (path / "status.json").exists():
            error.add_note(f"What was finished is kept in {path}{f'; {advice}' if advice else ''}.")
        raise


def _say(message: str, error: BaseException) -> None:
    print(message, *getattr(error, "__notes__", ()), sep="\n", file=sys.stderr)


def _silence_output() -> None:
    """Drop what could not be written, so that Python does not complain of it once more as it exits."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in filter(None, (sys.stdout, sys.stderr)):
        try:
            stream.flush()
        except OSError:
            os.dup2(nowhere, stream.fileno())


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    *_file_and_line: object,
) -> None:
    where = "" if issubclass(category, ExciseWarning) else f" ({filename}:{lineno}, {category.__name__})"
    print(f"warning: {message}{where}", file=sys.stderr)


if __name__ == "__main__":
    main()
