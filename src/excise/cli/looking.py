"""Commands that look at what lies there: report, show."""

from pathlib import Path

from tyro.conf import Positional


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


LOOKING = {"report": report, "show": show}
"""Command names and what they call, in the order of the help."""
