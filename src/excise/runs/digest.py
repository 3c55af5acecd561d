"""A run in one line: what a list or an index of many of them shows, read without loading torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

from excise.errors import RunError
from excise.record.files import read_json
from excise.runs.activity import state_of
from excise.runs.finding import Unreadable, find
from excise.runs.saved import Kind, SavedRun
from excise.runs.seeds import directories_of

__all__ = ["Digest", "Verdict", "digest_of", "digests_in"]

_BASELINE = "baseline"


@dataclass(frozen=True)
class Verdict:
    """One claim.

    Attributes:
        claim: what was claimed.
        passed: whether it holds; of a sweep, in how many seeds.
        of: 1; of a sweep, how many seeds were run.
        measured: what was measured; of a sweep, the median.
    """

    claim: str
    passed: int
    of: int
    measured: float | None


@dataclass(frozen=True)
class Digest:
    """A run in short.

    Attributes:
        run: the run itself.
        state: "finished", "failed", "cancelled", "running" or "stopped?".
        asked: how many seeds were asked for; 0 of what has no seeds.
        ran: how many of them ran.
        passed: how many `units` passed.
        of: out of how many.
        units: what is counted: "claims", of a sweep "seeds" (in which every claim holds), of a reproduction "rows".
        before: the largest error of the trained model; of a sweep the median over seeds, as are all numbers.
        after: the largest error after the first edit.
        selectivity: of the first condition that has one.
        seconds: how long it took; None where it did not end, or was interrupted in between.
        numbers: every number, by "<condition>.<number>".
        verdicts: every claim.
    """

    run: SavedRun
    state: str
    asked: int
    ran: int
    passed: int = 0
    of: int = 0
    units: str = "claims"
    before: float | None = None
    after: float | None = None
    selectivity: float | None = None
    seconds: float | None = None
    numbers: Mapping[str, float | None] = field(default_factory=dict)
    verdicts: tuple[Verdict, ...] = ()

    @property
    def path(self) -> Path:
        """The run's directory."""
        return self.run.path

    @property
    def kind(self) -> Kind:
        """What the directory holds."""
        return self.run.kind

    @property
    def edited(self) -> str | None:
        """The condition that `after` is of."""
        conditions = (key.partition(".")[0] for key in self.numbers if key.endswith(".max_mse"))
        return next((name for name in conditions if name != _BASELINE), None)


def digests_in(folder: str | PathLike[str]) -> tuple[list[Digest], list[Unreadable]]:
    """Every run in a folder in short, by path; and what could not be read.

    Raises:
        RunError: there is no such folder.
    """
    digests: list[Digest] = []
    unreadable: list[Unreadable] = []
    for found in find(folder):
        if isinstance(found, Unreadable):
            unreadable.append(found)
            continue
        try:
            digests.append(digest_of(found))
        except RunError as error:
            unreadable.append(Unreadable(found.path, str(error)))
    return digests, unreadable


def digest_of(run: SavedRun) -> Digest:
    """A run in short; of one that is not finished, what there is.

    Raises:
        RunError: its files are damaged.
    """
    seconds = None
    if run.ended is not None and "continued" not in run.record.status:
        took = (run.ended - run.started).total_seconds()
        seconds = took if took >= 0 else None  # A clock that was set back in between tells nothing.
    asked = {"sweep": len(run.environment.get("seeds", [])), "run": 1}.get(run.kind, 0)
    state = state_of(run.record)
    finished = run.status == "finished"
    if run.kind == "sweep":
        written = run.record.sweep()
        if written is None:
            return Digest(run, state, asked, len(directories_of(run.path)), units="seeds", seconds=seconds)
        return _of_sweep(run, written, state, asked, seconds)
    if run.kind == "reproduction":
        passed, of = _comparisons(run.path / "reproduction.json") if finished else (0, 0)
        return Digest(run, state, 0, 0, passed, of, "rows", seconds=seconds)
    if not finished and not (run.path / "results.json").exists():
        return Digest(run, state, asked, 0, seconds=seconds)
    return _of_run(run, state, asked, seconds)


def _of_run(run: SavedRun, state: str, asked: int, seconds: float | None) -> Digest:
    results = run.record.results()
    numbers: dict[str, float | None] = {}
    for condition, measured in results["conditions"].items():
        numbers |= {
            f"{condition}.{name}": value for name, value in measured.items() if name != "named_colors"
        }
        numbers |= {f"{condition}.{color}": error for color, error in measured["named_colors"].items()}
    verdicts = tuple(
        Verdict(claim["claim"], int(claim["passed"]), 1, claim["measured"]) for claim in results["claims"]
    )
    passed = sum(verdict.passed for verdict in verdicts)
    return Digest(
        run,
        state,
        asked,
        asked,
        passed,
        len(verdicts),
        "claims",
        *_three(numbers),
        seconds,
        numbers,
        verdicts,
    )


def _of_sweep(
    run: SavedRun, sweep: Mapping[str, Any], state: str, asked: int, seconds: float | None
) -> Digest:
    numbers = {
        key.replace(".named_colors.", "."): spread["median"] for key, spread in sweep["summary"].items()
    }
    verdicts = tuple(
        Verdict(claim["claim"], claim["passed"], claim["seeds"], claim["measured"]["median"])
        for claim in sweep["claims"]
    )
    ran = len(sweep["rows"])
    return Digest(
        run, state, asked, ran, sweep["passed"], ran, "seeds", *_three(numbers), seconds, numbers, verdicts
    )


def _three(numbers: Mapping[str, float | None]) -> tuple[float | None, float | None, float | None]:
    """The largest error before and after the first edit, and the first selectivity."""
    largest = {
        key.removesuffix(".max_mse"): value for key, value in numbers.items() if key.endswith(".max_mse")
    }
    before = largest.pop(_BASELINE, None)
    selectivity = (value for key, value in numbers.items() if key.endswith(".selectivity"))
    return before, next(iter(largest.values()), None), next(selectivity, None)


def _comparisons(path: Path) -> tuple[int, int]:
    """How many rows of a reproduction agree with what was published, and how many were judged."""
    try:
        verdicts = [row["verdict"] for section in read_json(path)["sections"] for row in section["rows"]]
    except (KeyError, TypeError) as error:
        raise RunError(f"{path} is damaged: it has no rows with verdicts.") from error
    agreeing = verdicts.count("agrees")
    return agreeing, agreeing + verdicts.count("differs")
