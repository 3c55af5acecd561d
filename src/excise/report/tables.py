"""Tables for the terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

__all__ = ["number", "print_doctor", "print_recipes", "print_run", "print_sweep"]


def number(value: float | None) -> str:
    """A measured value with two or three significant digits."""
    if value is None:
        return "n/a"
    if value == 0:
        return "0"
    return f"{value:.3f}" if 0.01 <= abs(value) < 1000 else f"{value:.1e}"


def print_recipes(recipes: Sequence[Any], console: Console | None = None) -> None:
    """Each recipe with its title and question."""
    console = console or Console()
    for recipe in recipes:
        console.print(f"[bold]{recipe.name}[/bold]  {recipe.title}")
        console.print(f"     {recipe.question}", style="dim", soft_wrap=False)


def print_run(results: dict[str, Any], console: Console | None = None) -> None:
    """A run's errors by condition, and its verdicts."""
    console = console or Console()
    conditions = results["conditions"]
    table = _table(f"recipe {results['recipe']}, seed {results['seed']}: reconstruction error", "", *conditions)
    for key, label in (("max_mse", "largest"), ("median_mse", "median")):
        table.add_row(label, *[number(condition[key]) for condition in conditions.values()])
    table.add_section()
    for color in next(iter(conditions.values()))["named_colors"]:
        table.add_row(color, *[number(condition["named_colors"][color]) for condition in conditions.values()])
    console.print(table)
    claims = _table("claims", "verdict", "claim", "measured", "threshold")
    for claim in results["claims"]:
        claims.add_row(_verdict(claim["passed"]), claim["claim"], number(claim["measured"]), _threshold(claim))
    console.print(claims)


def print_sweep(sweep: dict[str, Any], console: Console | None = None) -> None:
    """A sweep's medians and spread, in how many seeds each claim held, and which seeds failed."""
    console = console or Console()
    table = _table(f"recipe {sweep['recipe']}, {len(sweep['rows'])} seeds", "", "median", "min", "max", "sd")
    for key, spread in sweep["summary"].items():
        if key.endswith("_mse"):
            table.add_row(key, *[number(spread[field]) for field in ("median", "min", "max", "sd")])
    console.print(table)
    claims = _table("claims", "held in", "claim", "measured: median", "min", "max")
    for claim in sweep["claims"]:
        share = f"{claim['passed']} of {claim['seeds']}"
        spread = claim["measured"]
        color = "green" if claim["passed"] == claim["seeds"] else "yellow"
        claims.add_row(
            f"[{color}]{share}[/{color}]",
            claim["claim"],
            *[number(spread[field]) for field in ("median", "min", "max")],
        )
    console.print(claims)
    console.print(f"{sweep['passed']} of {len(sweep['rows'])} seeds pass every claim.")
    for row in sweep["rows"]:
        if "failed" in row:
            console.print(f"[red]seed {row['seed']} failed:[/red] {row['failed']}", highlight=False)
        elif not row["passed"]:
            console.print(f"[yellow]seed {row['seed']}:[/yellow] not so: {'; '.join(row['failed_claims'])}")


def print_doctor(facts: Mapping[str, str], console: Console | None = None) -> None:
    """Facts about this machine."""
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, fact in facts.items():
        table.add_row(f"[dim]{name}[/dim]", escape(fact))
    (console or Console()).print(table)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", header_style="dim", box=None, pad_edge=False)
    for index, column in enumerate(columns):
        text = column in ("", "claim", "verdict", "threshold", "held in")
        table.add_column(column, justify="left" if text and index < 4 else "right", overflow="fold")
    return table


def _verdict(passed: bool) -> str:
    return "[green]passed[/green]" if passed else "[red]FAILED[/red]"


def _threshold(claim: dict[str, Any]) -> str:
    return f"{claim['holds']} {number(claim['threshold'])} ({claim['threshold_is']})"
