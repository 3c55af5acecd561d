"""A notebook is exported with its outputs, as a page without network and as a notebook that runs in plain Python."""

import contextlib
import importlib.util
import io
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import nbformat
import pytest
import torch

from browsing import SIZES, THEMES, Opened, chromium

ROOT = Path(__file__).parent.parent.parent
NOTEBOOKS = ROOT / "notebooks"
SMALL = """import marimo

app = marimo.App()


@app.cell
def _():
    import marimo as mo

    return (mo,)


@app.cell
def _(mo):
    mo.md(f"# {{1 + 1}} stories & <b>more</b>")
    return


@app.cell
def _():
    print("printed", {number})
    return


if __name__ == "__main__":
    app.run()
"""


@pytest.fixture(scope="module")
def export() -> ModuleType:
    spec = importlib.util.spec_from_file_location("export_of_notebooks", NOTEBOOKS / "export.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """What the command writes, of a training that is cut short."""
    out = tmp_path_factory.mktemp("exported")
    command = [sys.executable, str(NOTEBOOKS / "export.py"), "your_own_model", "--out", str(out)]
    printed = subprocess.run(
        [*command, "--", "--steps", "20"], capture_output=True, text=True, check=True
    ).stdout.split()
    page, copy = map(Path, printed)
    assert sorted(out.iterdir()) == [page, copy]
    return page, copy


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("size", SIZES)
def test_the_page_opens_without_network_fits_the_screen_and_has_the_theme_of_the_reader(
    size: str, theme: str, browser: Any, exported: tuple[Path, Path]
):
    page = browser.new_page(viewport=SIZES[size], color_scheme=theme)
    opened = Opened(page, theme).open(exported[0])
    assert opened.problems == []
    assert opened.network() == []
    assert opened.overflow() <= 0
    assert page.locator("h1").inner_text() == "Your own model"
    assert page.locator("svg[role=img][aria-label]").count() == page.locator("svg").count() > 0
    assert page.get_by_text("How much of each topic is recognised", exact=True).is_visible()
    page.close()


def test_text_that_is_made_from_values_shows_without_its_code(exported: tuple[Path, Path]):
    page = re.sub(r"<[^>]*>", "", exported[0].read_text(encoding="utf-8"))
    assert "mo.cli_args(" in page, "other code is shown"
    assert "mo.md(" not in page
    assert re.search(r"After the cut the anchored model recognises [\d.]+% of the concept", page)


def test_the_notebook_is_valid_has_its_outputs_and_installs_what_it_needs_first(exported: tuple[Path, Path]):
    copy = nbformat.read(exported[1], as_version=4)
    nbformat.validate(copy)
    assert "%pip install" in copy.cells[0].source
    assert copy.cells[1].source.startswith("# Your own model")
    assert copy.metadata.kernelspec.name == "python3"
    shown = [output for cell in copy.cells[1:] for output in cell.get("outputs", ())]
    assert sum("text/html" in output.get("data", {}) for output in shown) >= 5


def test_the_notebook_runs_in_plain_python_from_top_to_bottom(
    exported: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("PYTEST_CURRENT_TEST")  # By which marimo would know that it is tested.
    namespace: dict[str, Any] = {"__name__": "__main__"}
    threads = torch.get_num_threads()
    with contextlib.redirect_stderr(io.StringIO()), torch.random.fork_rng(devices=[]):
        for cell in nbformat.read(exported[1], as_version=4).cells[1:]:
            if cell.cell_type == "code":
                # The size that a reader would write there: a whole training is for the tests of the stories.
                source = cell.source.replace('arguments.get("steps", 500)', '"20"')
                exec(compile(source, "your_own_model.ipynb", "exec"), namespace)
    torch.set_num_threads(threads)
    assert namespace["num_steps"] == 20
    assert namespace["cut"].latent.out_features == 7


def test_a_cell_that_fails_is_named_and_nothing_is_written(export: ModuleType, tmp_path: Path):
    (tmp_path / "story.py").write_text(SMALL.format(number="1 / 0"), encoding="utf-8")
    with pytest.raises(RuntimeError, match=r"(?s)story.*ZeroDivisionError"):
        export.export(tmp_path / "story.py", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_markup_in_values_is_text_on_the_page(export: ModuleType, tmp_path: Path):
    (tmp_path / "story.py").write_text(SMALL.format(number=7), encoding="utf-8")
    page, _ = export.export(tmp_path / "story.py", tmp_path / "out")
    text = page.read_text(encoding="utf-8")
    assert "<b>" not in text
    assert "2 stories &amp; &lt;b&gt;more&lt;/b&gt;" in text
    assert "printed 7" in text


def test_a_notebook_that_is_not_there_is_refused_with_those_that_are():
    ended = subprocess.run(
        [sys.executable, str(NOTEBOOKS / "export.py"), "warmth"], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert "there is no notebook 'warmth'; there are delete_warmth, intervene_on_red" in ended.stderr


def test_every_story_is_exported_by_default_and_is_as_marimo_writes_it(export: ModuleType):
    assert {f"{name}.py" for name in export.STORIES} == {path.name for path in NOTEBOOKS.glob("*_*.py")}
    checked = subprocess.run(
        [sys.executable, "-m", "marimo", "check", "--strict", *map(str, NOTEBOOKS.glob("*_*.py"))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
