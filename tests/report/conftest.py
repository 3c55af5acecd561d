"""A finished run and a sweep of experiment 2.6 made tiny, and a report taken apart."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from excise.errors import NonFiniteError
from excise.experiments import chunk
from excise.experiments.pipeline import Trained, run_recipe, train
from excise.experiments.sweep import run_sweep
from excise.report import page
from excise.report.page import build_report
from tiny_recipe import make_tiny

SEED = 3
CRASHED = 5
VOID = {"meta", "link", "img", "source", "br"}


class Page(HTMLParser):
    """What a browser would find in a page.

    Attributes:
        elements: every tag with its attributes, in order.
        tables: by the label of the region around each, its rows, each a list of the cells' texts.
        pres: the text of every preformatted block.
        text: all that can be read, with single spaces.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.pres: list[str] = []
        self.text = ""
        self._open: list[str] = []
        self._label = ""
        self.feed(self.source)
        self.close()
        assert not self._open, f"{self._open} were not closed"
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        self.elements.append((tag, attributes))
        if tag not in VOID:
            self._open.append(tag)
        self._label = attributes.get("aria-label", self._label)
        if tag == "table":
            self.tables[self._label] = []
        elif tag == "tr":
            self.tables[self._label].append([])
        elif tag in ("td", "th"):
            self.tables[self._label][-1].append("")
        elif tag == "pre":
            self.pres.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag
        if tag in ("td", "th"):
            row = self.tables[self._label][-1]
            row[-1] = " ".join(row[-1].split())

    def handle_data(self, data: str) -> None:
        if "style" in self._open:
            return
        self.text += data
        if "pre" in self._open:
            self.pres[-1] += data
        elif "td" in self._open or "th" in self._open:
            self.tables[self._label][-1][-1] += data

    def all(self, tag: str) -> list[dict[str, str]]:
        """The attributes of every element with this tag."""
        return [attributes for name, attributes in self.elements if name == tag]


def edit(path: Path, change: Callable[[Any], object]) -> None:
    """Change the content of a JSON file."""
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of one finished run with its report; not to be changed."""
    path = tmp_path_factory.mktemp("runs") / "run"
    run_recipe(make_tiny(), SEED, path, then=build_report)
    return path


@pytest.fixture(scope="session")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a sweep over three seeds with its report; the last of them crashed; not to be changed."""
    path = tmp_path_factory.mktemp("runs") / "sweep"

    error = NonFiniteError("reg-unit", 7, float("nan"))

    def diverge(*args: Any, **settings: Any) -> list[Trained]:
        return [
            replace(each, outcome=replace(each.outcome, error=error)) if each.seed == CRASHED else each
            for each in train(*args, **settings)
        ]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunk, "train", diverge)
        run_sweep(make_tiny(), [SEED, SEED + 1, CRASHED], path, then=build_report)
    return path


@pytest.fixture(scope="session")
def read_page() -> Callable[[Path], Page]:
    """Takes a report apart."""
    return Page


@pytest.fixture(scope="session")
def change() -> Callable[[Path, Callable[[Any], object]], None]:
    """Changes the content of a JSON file."""
    return edit


@pytest.fixture
def copy(tmp_path: Path) -> Callable[[Path], Path]:
    """Copies a run directory to where a test may change it; reports and figures are left behind."""

    def make(path: Path) -> Path:
        left = shutil.ignore_patterns("figures", "report.html")
        return Path(shutil.copytree(path, tmp_path / path.name, ignore=left))

    return make


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves the figures out of reports, which most tests of the page do not look at."""
    monkeypatch.setattr(page, "pictures_of_run", lambda recipe, run: [])
    monkeypatch.setattr(page, "pictures_of_sweep", lambda recipe, sweep, run: [])
