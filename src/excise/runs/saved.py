"""One saved run, with all that it holds: read when it is asked for, kept once it is read."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from excise.errors import RunError
from excise.record import Run, open_run
from excise.runs.figures import SavedFigure, figures_in
from excise.runs.frames import (
    claims_of_run,
    claims_of_sweep,
    metrics_frame,
    metrics_over_seeds,
    numbers_of_reproduction,
    numbers_of_run,
    numbers_of_sweep,
)
from excise.runs.seeds import Seeds

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from torch import nn

    from excise.experiments.recipe import Recipe
    from excise.experiments.shapes import ShapesRecipe

__all__ = ["Kind", "SavedRun", "open_saved"]

Kind = Literal["run", "sweep", "shapes", "reproduction"]
"""What a run directory holds: one seed, many, drawn shapes, or a comparison with what was published."""


class SavedRun:
    """A run directory as a reader wants it.

    Everything but the status is read at first use. It shows the run as it was then: open it again to see what another
    process has written since.

    Args:
        record: the directory, opened.

    Attributes:
        record: the files as they are.
        path: the directory.
    """

    def __init__(self, record: Run) -> None:
        self.record = record
        self.path = record.path
        if self.kind != "reproduction" and not isinstance(record.spec.get("name"), str):
            raise RunError(f"{self.path / 'spec.json'} is no recipe: it has no name.")

    def __repr__(self) -> str:
        return f"<{self.kind} of {self.recipe}, {self.status}: {self.path}>"

    def _repr_html_(self) -> str:
        from excise.runs.notebook import over_seeds, run_as_html

        def frames() -> "list[pd.DataFrame]":
            if self.kind == "reproduction":
                return [self.table()]
            return [self.claims, over_seeds(self.table()) if self.kind == "sweep" else self.table()]

        return run_as_html(
            f"{self.kind} of {self.recipe}: {self.status}",
            [f"{self.started:%Y-%m-%d %H:%M} UTC", *([self.error] if self.error else [])],
            frames,
            self.figures,
        )

    @property
    def kind(self) -> Kind:
        """What the directory holds."""
        kind = self.record.spec.get("kind")
        if kind in ("shapes", "reproduction"):
            return kind
        return "sweep" if self.record.environment.get("seeds") else "run"

    @property
    def recipe(self) -> str:
        """The recipe's name; of a reproduction, "reproduction"."""
        return self.record.spec["name"] if self.kind != "reproduction" else "reproduction"

    @property
    def status(self) -> str:
        """As it was when the run was opened: "started", "finished", "failed" or "cancelled"."""
        return self.record.status["status"]

    @property
    def error(self) -> str | None:
        """Why the run failed; None where it did not."""
        error = self.record.status.get("error")
        return None if error is None else str(error)

    @property
    def started(self) -> datetime:
        """When the run began, in UTC."""
        return self._time("started")

    @property
    def ended(self) -> datetime | None:
        """When the run ended; None while it has not."""
        return self._time("ended") if "ended" in self.record.status else None

    @property
    def environment(self) -> dict[str, Any]:
        """What it ran on: versions, platform, commit, and its seed or seeds."""
        return self.record.environment

    @cached_property
    def spec(self) -> "Recipe | ShapesRecipe | dict[str, Any]":
        """The frozen recipe as it was run; of a reproduction the table of its parts.

        Raises:
            RunError: it is no recipe of this version of excise.
        """
        from excise.experiments.restore import recipe_of
        from excise.experiments.shapes import shapes_of

        if self.kind == "reproduction":
            return self.record.spec
        return shapes_of(self.record) or recipe_of(self.record)

    @cached_property
    def metrics(self) -> "pd.DataFrame":
        """What was logged, indexed by step; of a sweep, by seed and step. A last line half written is left out.

        Raises:
            RunError: nothing was logged, or the log is damaged.
        """
        if self.kind == "sweep":
            return metrics_over_seeds({seed: run.metrics for seed, run in self.seeds.items()})
        return metrics_frame(self.record.metrics())

    @cached_property
    def numbers(self) -> dict[str, Any]:
        """The content of `results.json`.

        Raises:
            RunError: there is none, because the run did not finish or is a sweep.
        """
        return self.record.results()

    @cached_property
    def results(self) -> "xr.Dataset":
        """The labelled arrays: of a run those that its figures are drawn from, of a sweep every number over `seed`.

        A seed of a sweep keeps no arrays; they are made from its weights, and not written.

        Raises:
            RunError: there are none yet, or they are damaged.
        """
        from excise.runs.over_seeds import arrays_over_seeds

        if (sweep := self.sweep) is not None:
            return arrays_over_seeds(sweep)
        if self.kind != "run" or self.status != "finished" or (self.path / "results.nc").exists():
            return self.record.arrays()
        from excise.experiments.measure import picture_arrays

        return picture_arrays(self._trained("results"), self.conditions())

    @cached_property
    def sweep(self) -> dict[str, Any] | None:
        """The rows of a sweep and what they add up to; None of anything else.

        Of a sweep under way they are summed up here, from the seeds that are finished.

        Raises:
            RunError: the summary is damaged.
        """
        if self.kind != "sweep":
            return None
        if (written := self.record.sweep()) is not None:
            return written
        from excise.experiments.summary import summarise_sweep

        return summarise_sweep(self._trained("rows"), self.environment["seeds"], self.path)

    @cached_property
    def seeds(self) -> "Seeds[SavedRun]":
        """The runs of a sweep by their seed; empty of anything else."""
        return Seeds(self.path, open_saved)

    @cached_property
    def model(self) -> "nn.Module":
        """The trained model, restored.

        Raises:
            RunError: there are no weights, they are damaged, or this is no run of one seed.
        """
        from excise.experiments.restore import restore_model

        recipe = self._trained("model")
        if self.kind == "sweep":
            raise RunError(
                f"{self.path} is a sweep, with a model for each seed: take .seeds[N].model; {self.seeds.in_words()}."
            )
        return restore_model(recipe, self.record)

    def conditions(self) -> "dict[str, nn.Module]":
        """The model under each edit of its recipe, by the condition's name; "baseline" is `model` itself.

        Raises:
            RunError: there is no model.
            SurgeryError: an edit cannot be made.
        """
        from excise.experiments.conditions import conditions_of

        return conditions_of(self._trained("model"), self.model)

    @cached_property
    def claims(self) -> "pd.DataFrame":
        """A row a claim: of a run whether it holds, of a sweep in how many seeds.

        Raises:
            RunError: the run did not finish, or is a reproduction: its comparisons are in `table()`.
        """
        if (sweep := self.sweep) is not None:
            return claims_of_sweep(sweep["claims"])
        return claims_of_run(self.numbers["claims"])

    def table(self) -> "pd.DataFrame":
        """The numbers: of a run errors by condition, of a sweep a row a seed, of a reproduction a row a comparison.

        Raises:
            RunError: the run did not finish, or its numbers are damaged.
        """
        if self.kind == "reproduction":
            from excise.experiments.reproduction import read_reproduction

            return numbers_of_reproduction(read_reproduction(self.path))
        if (sweep := self.sweep) is not None:
            return numbers_of_sweep(sweep["rows"])
        return numbers_of_run(self.numbers)

    @cached_property
    def figures(self) -> Mapping[str, SavedFigure]:
        """The figures by their names, each with its files and, where there is a report, its alternative text."""
        return figures_in(self.path)

    @property
    def report(self) -> Path | None:
        """The HTML page of the run; None where there is none."""
        page = self.path / ("reproduction.html" if self.kind == "reproduction" else "report.html")
        return page if page.is_file() else None

    def _trained(self, what: str) -> "Recipe":
        from excise.experiments.recipe import Recipe

        if not isinstance(self.spec, Recipe):
            raise RunError(f"{self.path} holds a {self.kind}, which trains nothing and has no {what}.")
        return self.spec

    def _time(self, name: str) -> datetime:
        try:
            time = datetime.fromisoformat(self.record.status[name])
            return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
        except (TypeError, ValueError, OverflowError) as error:
            raise RunError(f"{self.path / 'status.json'} is damaged: {name}: {error}.") from error


def open_saved(path: str | PathLike[str]) -> SavedRun:
    """Open a run directory: of a recipe, of shapes, of a sweep or a seed inside it, or of a reproduction.

    Raises:
        RunError: there is no run at that path, it cannot be read, or its layout is of another version.
    """
    return SavedRun(open_run(Path(path)))
