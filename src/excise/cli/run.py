"""The command that runs a recipe, with one seed or as a sweep over many."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional, UseAppendAction, arg

from excise.cli.executing import opened_executor
from excise.cli.statuses import FAILED
from excise.cli.telling import say, saying_what_is_kept
from excise.errors import ExciseError, SettingError

if TYPE_CHECKING:
    from excise.experiments.recipe import Recipe
    from excise.experiments.shapes import ShapesRecipe

__all__ = ["run"]

_MOST_SEEDS = 100_000


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
    engine: Annotated[tuple[str, ...], arg(metavar="KEY=VALUE")] = (),
    track: Annotated[UseAppendAction[tuple[tuple[str, ...], ...]], arg(metavar="NAME ...")] = (),
    trainer: Literal["excise", "lightning"] = "excise",
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
        engine: settings of the executor, such as partition=gpu time=30 for Slurm.
        track: show the run elsewhere too: any of wandb, tensorboard and mlflow.
        trainer: whose loop trains: ours, or PyTorch Lightning's, which takes about five times as long.
    """
    from excise.experiments.catalogue import RECIPES, find_recipe
    from excise.trackers import TRACKERS, make_trackers

    if not all(track):
        raise SettingError(f"--track names no tracker. Known: {', '.join(TRACKERS)}.")
    trackers = tuple(name for names in track for name in names)
    make_trackers(trackers)  # One that cannot begin is refused before anything is made.
    names = list(RECIPES) if recipe == "all" else [find_recipe(recipe).name]
    how = _How(
        seed=seed,
        seeds=seeds,
        out=out,
        fresh=fresh,
        workers=workers,
        executor=executor,
        address=address,
        engine=engine,
        trackers=trackers,
        trainer=trainer,
    )
    how.check(recipe)
    failed = []
    for name in names:
        try:
            finished = how.run(name)
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


@dataclass(frozen=True, kw_only=True)
class _How:
    """How recipes are to be run: the arguments of the command."""

    seed: int
    seeds: int | None
    out: Path
    fresh: bool
    workers: int | None
    executor: str | None
    address: str | None
    engine: tuple[str, ...]
    trackers: tuple[str, ...]
    trainer: Literal["excise", "lightning"]

    def check(self, recipe: str) -> None:
        """Refuse what does not go together, before anything is made.

        Raises:
            SettingError: a value outside its range, or one that would be ignored.
        """
        if self.seed < 0:
            raise SettingError(f"--seed is a whole number of at least 0; {self.seed} came.")
        if self.seeds is not None and not 1 <= self.seeds <= _MOST_SEEDS:
            raise SettingError(f"--seeds is a whole number from 1 to {_MOST_SEEDS}; {self.seeds} came.")
        if recipe != "all":
            self._check_shapes(recipe)
        if self.seeds is None and (self.executor or self.address or self.engine):
            raise SettingError(
                "an executor is for sweeps, and one seed is none: add --seeds N, or leave --executor out."
            )
        if self.seeds is not None and self.trainer != "excise":
            raise SettingError(
                f"--seeds trains all seeds as one batch, which --trainer {self.trainer} cannot; run one seed, with "
                f"--seed."
            )

    def _check_shapes(self, recipe: str) -> None:
        from excise.experiments.catalogue import find_recipe
        from excise.experiments.shapes import ShapesRecipe

        if not isinstance(find_recipe(recipe), ShapesRecipe):
            return
        if self.seed or self.seeds is not None:
            raise SettingError(
                f"recipe {recipe} trains nothing and draws nothing at random: every seed gives the same run, so that "
                f"there is nothing to repeat. Run it without --seed and --seeds."
            )
        if self.trackers:
            raise SettingError(
                f"recipe {recipe} trains nothing that could be tracked; run it without --track."
            )
        if self.trainer != "excise":
            raise SettingError(f"recipe {recipe} trains nothing; run it without --trainer.")

    def run(self, name: str) -> bool:
        """Run one recipe; whether it, or any of its seeds, finished."""
        from excise.experiments.catalogue import find_recipe
        from excise.experiments.shapes import ShapesRecipe

        recipe = find_recipe(name)
        if isinstance(recipe, ShapesRecipe):
            return _run_shapes(recipe, self.out)
        return self._run_once(recipe) if self.seeds is None else self._run_sweep(recipe, self.seeds)

    def _run_once(self, recipe: "Recipe") -> bool:
        from excise.experiments.pipeline import run_recipe
        from excise.record import new_run_path
        from excise.report.page import build_report
        from excise.report.tables import print_run
        from excise.training.progress import progress_for

        path = new_run_path(self.out, recipe.name, f"seed{self.seed}")
        with progress_for(sys.stderr) as progress, saying_what_is_kept(path):
            results = run_recipe(
                recipe,
                self.seed,
                path,
                progress=progress,
                then=build_report,
                trackers=self.trackers,
                trainer=self.trainer,
            )
        print_run(results)
        print(f"\nreport: {path / 'report.html'}")
        return True

    def _run_sweep(self, recipe: "Recipe", count: int) -> bool:
        from excise.experiments.sweep import open_sweep_path, run_sweep
        from excise.report.page import build_report
        from excise.report.tables import print_sweep
        from excise.training.progress import progress_for

        seeds = range(self.seed, self.seed + count)
        with opened_executor(
            self.executor, workers=self.workers, address=self.address, settings=self.engine
        ) as executor:
            path = open_sweep_path(recipe, seeds, self.out, fresh=self.fresh)
            with (
                progress_for(sys.stderr) as progress,
                saying_what_is_kept(path, "the same command goes on from there"),
            ):
                sweep = run_sweep(
                    recipe,
                    seeds,
                    path,
                    progress=progress,
                    then=build_report,
                    workers=self.workers if executor is None else None,
                    executor=executor,
                    trackers=self.trackers,
                )
        print_sweep(sweep)
        print(f"\nreport: {path / 'report.html'}")
        return any("failed" not in row for row in sweep["rows"])


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
