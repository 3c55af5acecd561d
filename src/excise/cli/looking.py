"""Commands that look at what lies there: runs, index, report, show."""

from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg


def runs(
    folder: Positional[Path] = Path("runs"),
    *,
    recipe: Annotated[str | None, arg(metavar="NAME")] = None,
    status: Literal["any", "finished", "failed", "cancelled", "running", "stopped", "unreadable"] = "any",
    sort: Literal[
        "recipe", "run", "status", "seeds", "claims", "before", "after", "selectivity", "started", "took"
    ] = "started",
    limit: Annotated[int | None, arg(metavar="N")] = None,
) -> None:
    """List the runs in a folder, a line each: claims, errors before and after the edit, when, how long.

    Args:
        folder: where the runs are, at any depth.
        recipe: only runs of this recipe.
        status: only runs that stand so; stopped ones never said that they ended, and nothing has been written since.
        sort: by which column; claims, selectivity and started begin with the largest.
        limit: how many to show; 30 in a terminal and all in a pipe if not given.
    """
    from excise.report.listing import list_runs

    list_runs(folder, recipe=recipe, status=None if status == "any" else status, sort=sort, limit=limit)


def index(folder: Positional[Path] = Path("runs"), *, out: Path | None = None) -> None:
    """Make one page over the runs in a folder, to filter, sort and compare them in a browser.

    Args:
        folder: where the runs are, at any depth.
        out: the page; index.html in the folder if not given.
    """
    from excise.report.index import build_index

    made = build_index(folder, out)
    left = f", {made.unreadable} unreadable" if made.unreadable else ""
    print(f"index: {made.path} ({made.runs} run{'' if made.runs == 1 else 's'}{left})")


def report(run: Positional[Path]) -> None:
    """Draw the figures of a finished run again and rewrite its report.

    Args:
        run: a run directory, such as runs/2.6/<run id>.
    """
    from excise.report.page import build_report

    print(f"report: {build_report(run)}")


def show(run: Positional[Path]) -> None:
    """Print a run's numbers and open its report in the browser.

    Args:
        run: a run directory, such as runs/2.6/<run id>.
    """
    import webbrowser

    from excise.record import open_run
    from excise.report.page import find_report
    from excise.report.tables import print_run, print_sweep

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


LOOKING = {"runs": runs, "index": index, "report": report, "show": show}
"""Command names and what they call, in the order of the help."""
