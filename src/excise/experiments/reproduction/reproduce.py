"""Carries a reproduction out, into a run directory of its own: `reproduction.json` holds all that a report shows.

The sweeps lie where `excise run` puts them too, so that each can be looked at by itself. Interrupted, a reproduction
goes on where it stopped.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from excise.errors import RunError
from excise.executors import Executor
from excise.executors.processes import cores
from excise.experiments.frozen import Frozen
from excise.experiments.reproduction.at_once import run_at_once
from excise.experiments.reproduction.criteria import Verdict
from excise.experiments.reproduction.parts import Part, find_sweep, finished_sweep, seconds_of
from excise.experiments.reproduction.rows import Row, Section
from excise.experiments.reproduction.sections import sections_of
from excise.record import Record, new_run_path, open_run
from excise.record.environment import describe_environment
from excise.record.files import read_json, write_json
from excise.training.progress import SilentProgress

__all__ = ["Carried", "Reproduction", "open_reproduction_path", "read_reproduction", "reproduce"]

_FOLDER = "reproduction"


class Carried(Frozen):
    """What was run of one recipe.

    Attributes:
        recipe: its name.
        title: its title.
        seeds: how many seeds were asked for.
        finished: how many of them finished.
        directory: the sweep's, from where run directories are made.
        reused: whether it lay there finished before.
        seconds: how long it took; None where it was interrupted in between.
    """

    recipe: str
    title: str
    seeds: int
    finished: int
    directory: str
    reused: bool
    seconds: float | None


class Reproduction(Frozen):
    """Published figures beside ours.

    Attributes:
        quick: whether it was made with few seeds.
        carried: what was run.
        sections: the comparison.
    """

    quick: bool
    carried: tuple[Carried, ...]
    sections: tuple[Section, ...]

    @property
    def rows(self) -> list[Row]:
        """The rows of all sections."""
        return [row for section in self.sections for row in section.rows]

    def count(self, verdict: Verdict) -> int:
        """How many rows came to that verdict."""
        return sum(row.verdict is verdict for row in self.rows)

    @property
    def differing(self) -> list[tuple[Section, Row]]:
        """The rows that differ, each with the section it stands in."""
        return [
            (section, row)
            for section in self.sections
            for row in section.rows
            if row.verdict is Verdict.DIFFERS
        ]


def reproduce(
    parts: Sequence[Part],
    out: Path,
    path: Path,
    *,
    quick: bool = False,
    progress: SilentProgress | None = None,
    then: Callable[[Path], object] | None = None,
    workers: int | None = None,
    executor: Executor | None = None,
) -> Reproduction:
    """Run what is not finished of `parts`, and compare.

    Args:
        parts: what to run, each recipe once.
        out: where the sweeps lie, and run directories are made.
        path: the reproduction's own directory, which may hold an unfinished one.
        quick: whether the parts have few seeds; the report says so.
        progress: shows how it goes.
        then: what else belongs to it, such as its report; called with `path` when the comparison is written.
        workers: how many processes train at once; None takes one a core.
        executor: where the sweeps train instead, one after the other, such as a cluster; it is left open.

    Raises:
        RunError: a directory cannot be written, or a process died; what was finished is kept.
    """
    progress = progress or SilentProgress()
    environment = json.loads(json.dumps(describe_environment()))
    resume = (path / "status.json").exists()
    with Record(path, _spec(parts, quick=quick), environment, resume=resume):
        places = {part.recipe.name: find_sweep(part, out, environment) for part in parts}
        pending = [part for part in parts if finished_sweep(part, places[part.recipe.name]) is None]
        if len(pending) < len(parts):
            progress.stage(f"{len(parts) - len(pending)} of {len(parts)} sweeps are finished already")
        run_at_once(
            [(part, places[part.recipe.name]) for part in pending],
            processors=cores() if workers is None else workers,
            progress=progress,
            executor=executor,
        )
        sweeps = {name: _sweep(place) for name, place in places.items()}
        carried = tuple(
            _carried(
                part, sweeps[part.recipe.name], out, places[part.recipe.name], reused=part not in pending
            )
            for part in parts
        )
        progress.stage("comparing")
        made = Reproduction(quick=quick, carried=carried, sections=tuple(sections_of(parts, sweeps)))
        write_json(path / "reproduction.json", made.model_dump(mode="json"))
        if then is not None:
            then(path)
    return made


def open_reproduction_path(parts: Sequence[Part], out: Path, *, quick: bool = False) -> Path:
    """Where a reproduction goes: on in the newest unfinished one of these parts, or in a new directory.

    Raises:
        RunError: nothing can be at such a path.
    """
    asked = json.loads(json.dumps(_spec(parts, quick=quick)))
    for directory in sorted((out / _FOLDER).glob("*"), reverse=True):
        try:
            run = open_run(directory)
        except RunError:
            continue
        if run.status["status"] != "finished" and run.spec == asked:
            return directory
    return new_run_path(out, _FOLDER, "quick" if quick else "whole")


def read_reproduction(path: Path) -> Reproduction:
    """The comparison that a reproduction's directory holds.

    Raises:
        RunError: it holds none, because it did not finish, or it is damaged.
    """
    file = path / "reproduction.json"
    try:
        return Reproduction.model_validate(read_json(file))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the whole file"
        raise RunError(f"{file} is damaged: {place}: {first['msg']}.") from error


def _spec(parts: Sequence[Part], *, quick: bool) -> Mapping[str, Any]:
    """What is to be reproduced, as it is saved: each recipe whole, with its seeds."""
    described = {part.recipe.name: {"seeds": part.seeds, "recipe": part.recipe.spec()} for part in parts}
    return {"kind": "reproduction", "quick": quick, "parts": described}


def _sweep(path: Path) -> dict[str, Any]:
    sweep = open_run(path).sweep()
    assert sweep is not None, f"{path} was run as a sweep"
    return sweep


def _carried(part: Part, sweep: Mapping[str, Any], out: Path, place: Path, *, reused: bool) -> Carried:
    return Carried(
        recipe=part.recipe.name,
        title=part.recipe.title,
        seeds=len(part.seeds),
        finished=sum("failed" not in row for row in sweep["rows"]),
        directory=place.relative_to(out).as_posix(),
        reused=reused,
        seconds=seconds_of(place),
    )
