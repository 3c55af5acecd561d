"""Tables for the terminal.

They follow the terminal's width: claims stand in columns where these fit, and below each other where they do not.
Into a file or a pipe nothing is wrapped, so that each row is one line.
"""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich import markup
from rich.console import Console
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table

from excise import numerals

__all__ = ["number", "plain_console", "print_doctor", "print_recipes", "print_run", "print_sweep", "visible"]

_UNWRAPPED = 10_000
"""A width in columns that no row reaches."""

_UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Categories of characters that a terminal obeys or cannot show: controls, marks of direction, halves of a pair."""

_LOSSES = {"max_mse": "largest", "median_mse": "median"}
_SPREAD = ("median", "min", "max", "sd")


def number(value: float | None) -> str:
    """A measured value as tables show it."""
    return numerals.number(value, 3, padded=True)


def visible(text: str) -> str:
    r"""A text that steers no terminal: what is not seen, but for line breaks and tabs, as "\x1b"."""
    return "".join(
        character
        if unicodedata.category(character) not in _UNSEEN or character in "\n\t"
        else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def escape(text: str) -> str:
    """A text in which the terminal finds neither markup nor anything to obey."""
    return markup.escape(visible(text))


def print_recipes(recipes: Sequence[Any], console: Console | None = None) -> None:
    """Each recipe with its title and question."""
    console = console or plain_console()
    for recipe in recipes:
        console.print(f"[bold]{escape(recipe.name)}[/bold]  {escape(recipe.title)}", highlight=False)
        console.print(
            Padding(escape(recipe.question), (0, 0, 0, 5), expand=False), style="dim", highlight=False
        )


def print_run(results: Mapping[str, Any], console: Console | None = None) -> None:
    """A run's errors by condition, or the numbers of the shapes that it drew; and its verdicts."""
    console = console or plain_console()
    if shapes := results.get("shapes"):
        _print_shapes(results["recipe"], shapes, console)
    else:
        _print_errors(results, console)
    rows = [
        (
            "[green]passed[/green]" if claim["passed"] else "[red]FAILED[/red]",
            escape(claim["claim"]),
            number(claim["measured"]),
            escape(f"{claim['holds']} {number(claim['threshold'])} ({claim['threshold_is']})"),
        )
        for claim in results["claims"]
    ]
    console.print()
    _title(console, "claims")
    _print_claims(console, ("verdict", "claim", "measured", "threshold"), rows)


def print_sweep(sweep: Mapping[str, Any], console: Console | None = None) -> None:
    """A sweep's medians and spread, in how many seeds each claim held, and which seeds failed."""
    console = console or plain_console()
    rows = sweep["rows"]
    _title(console, f"recipe {sweep['recipe']}, {_count(len(rows), 'seed')}: reconstruction error")
    if sweep["summary"]:
        table = _table("", *_SPREAD)
        for key, spread in sweep["summary"].items():
            condition, _, loss = key.rpartition(".")
            if loss in _LOSSES:
                label = escape(f"{condition}, {_LOSSES[loss]}")
                table.add_row(label, *[number(spread[field]) for field in _SPREAD])
        console.print(table)
    claims = []
    for claim in sweep["claims"]:
        color = "green" if claim["passed"] == claim["seeds"] else "yellow"
        share = f"[{color}]{claim['passed']} of {claim['seeds']}[/{color}]"
        spread = [number(claim["measured"][field]) for field in _SPREAD[:3]]
        claims.append((share, escape(claim["claim"]), *spread))
    if claims:
        console.print()
        _title(console, "claims, and what they measured")
        _print_claims(console, ("held in", "claim", *_SPREAD[:3]), claims)
    verb = "passes" if len(rows) == 1 else "pass"
    console.print(f"\n{sweep['passed']} of {_count(len(rows), 'seed')} {verb} every claim.", highlight=False)
    asked = len(sweep.get("seeds", rows))
    if asked > len(rows):
        console.print(
            f"[yellow]The sweep is unfinished: {len(rows)} of the {_count(asked, 'seed')} asked for ran.[/yellow]",
            highlight=False,
        )
    for row in rows:
        if "failed" in row:
            notice = f"[red]seed {row['seed']} failed:[/red] {escape(row['failed'])}"
        elif not row["passed"]:
            notice = f"[yellow]seed {row['seed']}:[/yellow] not so: {escape('; '.join(row['failed_claims']))}"
        else:
            continue
        console.print(notice, highlight=False)


def print_doctor(facts: Mapping[str, str], console: Console | None = None) -> None:
    """Facts about this machine."""
    table = Table.grid(padding=(0, 2, 0, 0))
    for name, fact in facts.items():
        table.add_row(f"[dim]{escape(name)}[/dim]", escape(fact))
    (console or plain_console()).print(table)


def _print_errors(results: Mapping[str, Any], console: Console) -> None:
    """The largest and the median error, and that of each named colour, by condition."""
    conditions = results["conditions"]
    table = _table("", *conditions)
    for key, label in _LOSSES.items():
        table.add_row(label, *[number(condition[key]) for condition in conditions.values()])
    for color in next(iter(conditions.values()), {"named_colors": ()})["named_colors"]:
        values = [condition["named_colors"].get(color) for condition in conditions.values()]
        table.add_row(escape(color), *map(number, values))
    _title(console, f"recipe {results['recipe']}, seed {results['seed']}: reconstruction error")
    console.print(table)


def _print_shapes(recipe: str, shapes: Mapping[str, Any], console: Console) -> None:
    """By the angle to the concept's direction, what each shape measures: strengths and new alignments apart."""
    for index, measures in enumerate(dict.fromkeys(shape["measures"] for shape in shapes.values())):
        if index:
            console.print()
        rows = {name: shape["by_degrees"] for name, shape in shapes.items() if shape["measures"] == measures}
        table = _table("", *[f"{angle}°" for angle in next(iter(rows.values()))])
        for name, values in rows.items():
            table.add_row(escape(name), *map(number, values.values()))
        _title(console, f"recipe {recipe}: {measures} by angle to the direction")
        console.print(table)


def plain_console() -> Console:
    """The terminal, or a file or pipe into which nothing is wrapped."""
    console = Console()
    return console if console.is_terminal else Console(width=_UNWRAPPED)


def _title(console: Console, text: str) -> None:
    console.print(f"[bold]{escape(text)}[/bold]", highlight=False)


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _table(*columns: str) -> Table:
    """Words in the first column, numbers in the others."""
    table = Table(header_style="dim", box=None, pad_edge=False)
    for index, column in enumerate(columns):
        table.add_column(escape(column), justify="right" if index else "left", overflow="fold")
    return table


def _print_claims(console: Console, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Rows of verdict, claim and figures: in columns where they fit, else the figures below the claim."""
    wide = Table(header_style="dim", box=None, pad_edge=False)
    for column in columns:
        wide.add_column(
            column, justify="left" if column in ("verdict", "held in", "claim", "threshold") else "right"
        )
    narrow = Table.grid(padding=(0, 2, 0, 0))
    for row in rows:
        wide.add_row(*row)
        figures = ", ".join(f"{name} {figure}" for name, figure in zip(columns[2:], row[2:], strict=True))
        narrow.add_row(row[0], f"{row[1]}\n[dim]{figures}[/dim]")
    natural = Measurement.get(console, console.options.update(max_width=_UNWRAPPED), wide).maximum
    fits = natural <= console.width
    console.print(wide if fits else narrow)
