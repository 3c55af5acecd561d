"""The per-colour table of a run, from its directory."""

from pathlib import Path
from typing import Literal

from rich.console import Console

from excise.errors import RunError
from excise.experiments.restore import arrays_of, recipe_of
from excise.experiments.shapes import shapes_of
from excise.record import open_run
from excise.report.colors import ColorTable, as_html, as_latex, as_markdown, as_rich
from excise.report.tables import plain_console

__all__ = ["color_table_of", "print_colors"]


def color_table_of(path: Path) -> ColorTable:
    """Each named colour of a run: itself, its errors, and what each condition draws.

    Raises:
        RunError: there is no run, it has no results, or it is a sweep or one of shapes.
    """
    run = open_run(path)
    sweep = run.sweep()
    if sweep is not None:
        raise RunError(
            f"{path} is a sweep: name one of its seeds' directories, such as seed-{sweep['chosen']}."
        )
    if shapes_of(run) is not None:
        raise RunError(f"{path} is a run of shapes, which has no errors of colours.")
    results = run.results()
    arrays = arrays_of(recipe_of(run), run)
    names = [str(name) for name in arrays["named_color"].to_numpy()]
    true = arrays["named_input"].transpose("named_color", "channel").to_numpy()
    outputs = {
        str(condition): dict(
            zip(
                names,
                arrays["named_output"]
                .sel(condition=condition)
                .transpose("named_color", "channel")
                .to_numpy(),
                strict=True,
            )
        )
        for condition in arrays["condition"].to_numpy()
    }
    return ColorTable.of(results, dict(zip(names, true, strict=True)), outputs)


def print_colors(
    table: ColorTable,
    form: Literal["terminal", "markdown", "html", "latex"],
    *,
    differences_only: bool = False,
    console: Console | None = None,
) -> None:
    """A per-colour table: with swatches in the terminal, or as text for a document."""
    if form == "terminal":
        (console or plain_console()).print(as_rich(table, differences_only=differences_only))
        return
    write = {"markdown": as_markdown, "html": as_html, "latex": as_latex}[form]
    print(write(table, differences_only=differences_only))
