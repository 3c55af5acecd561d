"""A reproduction as a page and as tables for the terminal: our figures beside the published ones, row by row.

The page is self-contained, and made from the reproduction's directory alone.
"""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from excise import numerals
from excise.experiments import published
from excise.experiments.reproduction import Reproduction, Row, Section, Verdict, read_reproduction
from excise.record import open_run
from excise.record.files import write_atomically
from excise.report.resources import resource, template
from excise.report.tables import plain_console

__all__ = [
    "COMMAND",
    "build_reproduction",
    "cells_of",
    "facts_of",
    "headings_of",
    "in_one_line",
    "originals",
    "print_reproduction",
    "summary_of",
]

COMMAND = {False: "excise reproduce", True: "excise reproduce --quick"}
"""The command that makes a whole or a quick reproduction."""

_STYLES = {Verdict.AGREES: "green", Verdict.DIFFERS: "bold red"}
_CLASSES = {Verdict.AGREES: "passed", Verdict.DIFFERS: "failed"}

_FEWEST_DIGITS, _MOST_DIGITS = 3, 4


def build_reproduction(path: Path) -> Path:
    """Write the `reproduction.html` of a reproduction.

    Args:
        path: its directory, with the comparison written.

    Returns:
        The path of the page.

    Raises:
        RunError: there is no comparison, it is damaged, or the page cannot be written.
    """
    made, run = read_reproduction(path), open_run(path)
    page = template("reproduction.html.j2")
    text = page.render(
        made=made,
        date=run.status["started"][:10],
        summary=summary_of(made),
        command=COMMAND[made.quick],
        originals=originals(),
        facts=facts_of(run.environment),
        headings_of=headings_of,
        cells_of=cells_of,
        in_one_line=in_one_line,
        classes={verdict.value: name for verdict, name in _CLASSES.items()},
        style=resource("page.css"),
    )
    report = path / "reproduction.html"
    write_atomically(report, lambda temporary: temporary.write_text(text, encoding="utf-8"))
    return report


def print_reproduction(made: Reproduction, console: Console | None = None) -> None:
    """Every section as a table, and at the end what it comes to."""
    console = console or plain_console()
    for section in made.sections:
        headings = headings_of(section)
        table = Table(
            title=Text(section.title), header_style="dim", box=None, pad_edge=False, title_justify="left"
        )
        for heading, is_number in headings:
            table.add_column(Text(heading), justify="right" if is_number else "left", overflow="fold")
        for row in section.rows:
            *cells, verdict, finding = cells_of(section, row)
            style = _STYLES.get(row.verdict, "dim")
            table.add_row(*map(Text, cells), Text(verdict, style), Text(finding, "dim"))
        console.print(table)
        console.print()
    for line in summary_of(made):
        console.print(Text(line))
    for section, row in made.differing:
        console.print(Text.assemble(("differs: ", _STYLES[Verdict.DIFFERS]), in_one_line(section, row)))


def summary_of(made: Reproduction) -> list[str]:
    """What it comes to, a sentence an entry."""
    counts = {verdict: made.count(verdict) for verdict in Verdict}
    judged = counts[Verdict.AGREES] + counts[Verdict.DIFFERS]
    said = [f"{counts[Verdict.DIFFERS]} of {judged} comparisons differ, {counts[Verdict.AGREES]} agree."]
    if few := counts[Verdict.NOT_JUDGED]:
        said.append(f"{few} could not be judged with so few seeds.")
    if alone := counts[Verdict.NOT_PUBLISHED]:
        said.append(f"Beside {alone} of our figures nothing is published.")
    if made.quick:
        said.append(
            "This is a quick reproduction, of some recipes and with few seeds: it can find gross differences only."
        )
    missing = [part for part in made.carried if part.finished < part.seeds]
    said += [
        f"Of {part.recipe}, {part.seeds - part.finished} of {part.seeds} seeds did not finish."
        for part in missing
    ]
    return said


def headings_of(section: Section) -> list[tuple[str, bool]]:
    """The headings of a section's table, each with whether numbers stand below it."""
    first = [("experiment", False)] if _is_mixed(section) else []
    spread = [("median", True), ("min", True), ("max", True)] if _has_spread(section) else []
    figures = [("published", True), (section.ours, True), *spread]
    return [*first, ("what", False), *figures, ("verdict", False), ("finding", False)]


def cells_of(section: Section, row: Row) -> list[str]:
    """The cells of a row, in the order of the headings."""
    first = [row.recipe] if _is_mixed(section) else []
    spread = [_shown(value, row) for value in row.seeds or ("", "", "")] if _has_spread(section) else []
    ours = " to ".join(_shown(value, row) for value in row.ours)
    finding = row.finding or (row.criterion if row.verdict is not Verdict.NOT_PUBLISHED else "")
    return [*first, row.what, " to ".join(row.published), ours, *spread, row.verdict.value, finding]


def in_one_line(section: Section, row: Row) -> str:
    """A row that differs, for a list: where it stands, both figures, and what the criterion found."""
    ours = " to ".join(_shown(value, row) for value in row.ours)
    theirs = f"published {' to '.join(row.published)}, " if row.published else ""
    place = section.title if row.recipe in section.title else f"{section.title}, {row.recipe}"
    return f"{place}: {row.what}: {theirs}ours {ours} ({row.finding or row.criterion})"


def facts_of(environment: dict[str, Any]) -> dict[str, str]:
    """What matters most of what it ran on; what was not recorded is left out."""
    packages = environment.get("packages", {})
    facts = {
        "excise": packages.get("excise"),
        "commit": environment.get("git_commit"),
        "torch": packages.get("torch"),
        "Python": environment.get("python"),
        "platform": environment.get("platform"),
        "processors": environment.get("cpus"),
    }
    return {name: str(fact) for name, fact in facts.items() if fact}


def originals() -> str:
    """How long the published runs took, in a sentence."""
    times = published.times()
    low, high = times.sweep
    return (
        f"The originals took {low:g} to {high:g} s for {times.seeds} seeds on up to {times.containers} containers of "
        f"one processor, and {times.single_run:g} s for a single run of {times.steps:,} steps."
    )


def _is_mixed(section: Section) -> bool:
    return any(row.recipe not in section.title for row in section.rows)


def _has_spread(section: Section) -> bool:
    return any(row.seeds for row in section.rows)


def _shown(value: float | str | None, row: Row) -> str:
    """A figure of ours in as many digits as the published one has, within reason."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value == 0:
        return "0"
    if row.published and row.published[0].isdigit():
        return numerals.number(value) if value is None else f"{value:.0f}"
    printed = row.published[0].lower().partition("e")[0] if row.published else ""
    digits = len(printed.replace(".", "").lstrip("-0"))
    return numerals.number(value, min(max(digits, _FEWEST_DIGITS), _MOST_DIGITS), padded=True)
