"""Export the notebooks with their outputs: for each an HTML page that needs no network, and an `.ipynb` for Colab.

    python notebooks/export.py                                        all of them, into build/notebooks/
    python notebooks/export.py delete_warmth -- --steps 3000 --seeds 20

marimo runs a notebook and writes it as `.ipynb`. From that file, which has the code, the text and the outputs, comes
the page: marimo's own HTML fetches its scripts when it is opened, and shows nothing where there is no network.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import nbformat
from jinja2 import Environment, FileSystemLoader
from markdown_it import MarkdownIt
from markupsafe import Markup
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

__all__ = ["export", "main", "page_of", "run"]

HERE = Path(__file__).parent
STORIES = ("delete_warmth", "intervene_on_red", "your_own_model", "read_a_sweep")
STYLES = {"light": "default", "dark": "github-dark"}

_INSTALL = """\
# On Colab, or wherever excise is not installed yet. In a checkout of excise: %pip install -e ".[notebooks]"
try:
    import excise
except ImportError:
    %pip install --quiet "excise[notebooks]"
"""

_MARKDOWN = MarkdownIt("commonmark").enable("table").disable(["html_block", "html_inline"])


def main() -> None:
    """Export what is asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("names", nargs="*", help=f"of {', '.join(STORIES)}; none means all")
    parser.add_argument("--out", type=Path, default=HERE.parent / "build" / "notebooks")
    given, _, arguments = _split(sys.argv[1:])
    asked = parser.parse_args(given)
    for name in asked.names or STORIES:
        if name not in STORIES:
            parser.error(f"there is no notebook {name!r}; there are {', '.join(STORIES)}.")
        for path in export(HERE / f"{name}.py", asked.out, arguments):
            print(path)


def export(notebook: Path, out: Path, arguments: Sequence[str] = ()) -> tuple[Path, Path]:
    """Run a notebook and write `NAME.html` and `NAME.ipynb` into `out`, which is made where it is missing.

    Args:
        notebook: a marimo file.
        out: where the two files go.
        arguments: what the notebook is given, such as `["--seeds", "20"]`.

    Raises:
        RuntimeError: a cell of the notebook failed.
    """
    ran = run(notebook, arguments)
    out.mkdir(parents=True, exist_ok=True)
    page, copy = out / f"{notebook.stem}.html", out / f"{notebook.stem}.ipynb"
    page.write_text(page_of(ran), encoding="utf-8")
    ran.cells.insert(0, nbformat.v4.new_code_cell(_INSTALL, id="install"))
    nbformat.validate(ran)
    nbformat.write(ran, copy)
    return page, copy


def run(notebook: Path, arguments: Sequence[str] = ()) -> nbformat.NotebookNode:
    """The notebook as `.ipynb`, run from top to bottom, with its outputs."""
    with tempfile.TemporaryDirectory() as folder:  # marimo leaves a folder of its own beside what it runs.
        source, made = Path(folder) / notebook.name, Path(folder) / "made.ipynb"
        shutil.copy(notebook, source)
        command = [
            sys.executable,
            "-m",
            "marimo",
            "--yes",
            "export",
            "ipynb",
            str(source),
            "--output",
            str(made),
        ]
        command += ["--include-outputs", "--sort", "top-down", "--", *arguments]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        if not made.exists():
            raise RuntimeError(f"{notebook} did not run:\n{ended.stderr[-3000:]}")
        ran = nbformat.read(made, as_version=4)
    for cell in ran.cells:
        for output in cell.get("outputs", ()):
            if output.output_type == "error":
                raise RuntimeError(f"{notebook}: {output.ename}: {output.evalue}\nin\n{cell.source}")
    if ended.returncode:
        raise RuntimeError(f"{notebook} did not run whole:\n{ended.stderr[-3000:]}")
    ran.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return ran


def page_of(ran: nbformat.NotebookNode) -> str:
    """A notebook that has run, as one HTML file for a light and a dark screen."""
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    cells = [_cell(cell) for cell in ran.cells]
    headings = (cell.source.partition("\n")[0] for cell in ran.cells if cell.cell_type == "markdown")
    title = next((line.removeprefix("# ") for line in headings if line.startswith("# ")), "Notebook")
    ink = {theme: Markup(HtmlFormatter(style=style).get_style_defs("pre")) for theme, style in STYLES.items()}
    return environment.get_template("page.html.j2").render(title=title, cells=cells, ink=ink)


def _cell(cell: nbformat.NotebookNode) -> Mapping[str, Any]:
    """What the page shows of a cell; of text that is made from values, only the text."""
    if cell.cell_type == "markdown":
        return {"text": Markup(_MARKDOWN.render(cell.source))}
    shown = [Markup(_output(output)) for output in cell.outputs]
    if cell.source.startswith("mo.md("):
        return {"text": Markup("").join(shown)}
    code = highlight(cell.source, PythonLexer(), HtmlFormatter(nowrap=True))
    return {"code": Markup(code), "imports": cell.source.startswith("import "), "outputs": shown}


def _output(output: nbformat.NotebookNode) -> str:
    if output.output_type == "stream":
        return f"<pre>{escape(output.text)}</pre>"
    data = output.data
    if "text/html" in data:
        return data["text/html"]
    if "text/markdown" in data:
        return _MARKDOWN.render(data["text/markdown"])
    return f"<pre>{escape(data.get('text/plain', ''))}</pre>"


def _split(words: Sequence[str]) -> tuple[list[str], bool, list[str]]:
    """What stands before "--", whether it is there, and what stands behind it."""
    words = list(words)
    if "--" not in words:
        return words, False, []
    at = words.index("--")
    return words[:at], True, words[at + 1 :]


if __name__ == "__main__":
    main()
