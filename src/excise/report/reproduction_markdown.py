"""A reproduction as Markdown, for the documentation: it is written by the command, never by hand."""

import re
import tomllib
from collections.abc import Sequence
from pathlib import Path

from excise.errors import RunError
from excise.experiments.reproduction import read_reproduction
from excise.record import open_run
from excise.record.files import write_atomically
from excise.report.reproduction import (
    COMMAND,
    cells_of,
    facts_of,
    headings_of,
    in_one_line,
    originals,
    summary_of,
)

__all__ = ["as_markdown", "docs_of_checkout", "write_markdown"]


def write_markdown(path: Path, file: Path) -> Path:
    """Write the Markdown of a reproduction.

    Args:
        path: the reproduction's directory, with the comparison written.
        file: where to; its folder is made.

    Returns:
        The file.

    Raises:
        RunError: there is no comparison, it is damaged, or the file cannot be written.
    """
    text = as_markdown(path)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"cannot make {file.parent}: {error.strerror or error}.") from error
    write_atomically(file, lambda temporary: temporary.write_text(text, encoding="utf-8"))
    return file


def docs_of_checkout(directory: Path) -> Path | None:
    """The `docs` folder of a checkout of excise's own source; None where `directory` is not one."""
    project, docs = directory / "pyproject.toml", directory / "docs"
    if not docs.is_dir():
        return None
    try:
        table = tomllib.loads(project.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return docs if table.get("project", {}).get("name") == "excise" else None


def as_markdown(path: Path) -> str:
    """The Markdown of a reproduction.

    Raises:
        RunError: there is no comparison, or it is damaged.
    """
    made, run = read_reproduction(path), open_run(path)
    blocks = [
        "# Our figures beside the published ones",
        f"Written by `{COMMAND[made.quick]}` on {run.status['started'][:10]}. Do not edit it: run the command again.",
        *map(_escaped, summary_of(made)),
    ]
    if made.differing:
        listed = [f"- {_escaped(in_one_line(section, row))}" for section, row in made.differing]
        blocks += ["Where they differ:", "\n".join(listed)]
    for section in made.sections:
        headings = headings_of(section)
        rows = [cells_of(section, row) for row in section.rows]
        blocks += [f"## {_escaped(section.title)}", _escaped(section.text)]
        blocks += [f"Source: {_escaped(source)}." for source in section.sources]
        blocks += [_table(headings, rows)]
    ran = [
        [
            part.recipe,
            part.title,
            str(part.seeds),
            str(part.finished),
            "in parts" if part.seconds is None else f"{part.seconds:.0f}",
        ]
        for part in made.carried
    ]
    columns = [
        ("experiment", False),
        ("title", False),
        ("seeds", True),
        ("finished", True),
        ("seconds", True),
    ]
    facts = [[name, fact] for name, fact in facts_of(run.environment).items()]
    blocks += [
        "## What was run",
        _table(columns, ran),
        _escaped(f"Several sweeps ran at once, each for its seconds on this machine. {originals()}"),
        _table([("environment", False), ("", False)], facts),
    ]
    return "\n\n".join(blocks) + "\n"


def _table(headings: Sequence[tuple[str, bool]], rows: Sequence[Sequence[str]]) -> str:
    """A GitHub table; each heading comes with whether numbers stand below it."""
    lines = [
        [_escaped(heading) for heading, _ in headings],
        ["--:" if is_number else ":--" for _, is_number in headings],
        *([_escaped(cell) for cell in row] for row in rows),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _escaped(text: str) -> str:
    """Text that Markdown shows as it is."""
    marked = re.sub(r"([\\`*_\[\]|~$#])", r"\\\1", " ".join(text.split()))
    return marked.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
