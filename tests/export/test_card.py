"""The model card of an export: what the Hub reads of it, what a reader sees, and that names stay text."""

import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCard
from markdown_it import MarkdownIt

from excise.experiments.recipe import ErrorClaim
from excise.export import export_run, run_folder
from excise.export.card import escaped
from excise.record.files import read_json
from tiny_recipe import make_tiny

HOSTILE = (
    'a: "b" # <script>alert(1)</script> | *c* _d_ `e` [f](https://g.example) \\ ~~h~~ $i$ &amp; {j} ![k](l)'
)


class Page(HTMLParser):
    """The text of a rendered card, its tags, and the rows of its tables."""

    def __init__(self, markdown: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.rows: list[list[str]] = []
        self.text = ""
        self._in_cell = False
        self.feed(
            MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(markdown)
        )

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
            self._in_cell = True

    def handle_endtag(self, tag: str) -> None:
        self._in_cell = self._in_cell and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._in_cell:
            self.rows[-1][-1] += data


def card_of(folder: Path) -> tuple[ModelCard, Page]:
    card = ModelCard.load(folder / "README.md")
    return card, Page(card.text)


@pytest.fixture(scope="module")
def card(run: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[ModelCard, Page]:
    folder = tmp_path_factory.mktemp("exports") / "out"
    export_run(run, folder)
    return card_of(folder)


def test_the_hub_reads_licence_tags_and_library(card: tuple[ModelCard, Page]):
    data = card[0].data.to_dict()
    assert data["license"] == "mit"
    assert data["library_name"] == "excise"
    assert {"pytorch", "concept-erasure"} <= set(data["tags"])
    assert data["excise_recipe"] == "2.6"


def test_the_table_has_every_number_before_and_after(run: Path, card: tuple[ModelCard, Page]):
    measured = read_json(run / "results.json")["conditions"]
    head, *rows = card[1].rows
    assert head == ["", "baseline", "ablated", "pruned"]
    table = {
        row[0]: [float(cell) for cell in row[1:]]
        for row in rows
        if row[0] in measured["baseline"]["named_colors"]
    }
    for color, errors in table.items():
        wanted = [measured[condition]["named_colors"][color] for condition in head[1:]]
        assert errors == pytest.approx(wanted, rel=0.01), color
    assert len(table) == 17


def test_every_claim_has_its_verdict_and_those_that_fail_come_first(run: Path, card: tuple[ModelCard, Page]):
    claims = read_json(run / "results.json")["claims"]
    verdicts = {row[1]: row[0] for row in card[1].rows if row[0] in ("holds", "does not hold")}
    assert verdicts == {claim["claim"]: "holds" if claim["passed"] else "does not hold" for claim in claims}
    failed = [claim["claim"] for claim in claims if not claim["passed"]]
    assert failed, "a training without a step keeps no claim about what was learned"
    for claim in failed:
        assert card[1].text.index(claim) < card[1].text.index("What was asked")


def test_it_says_what_was_removed_how_to_load_it_and_whom_to_cite(card: tuple[ModelCard, Page]):
    text = card[1].text
    assert "feature 0 (counted from 0) of the layer bottleneck" in text
    assert "from load import load" in text
    assert "2512.12469" in text
    assert "LICENSE" in text


def test_the_code_of_the_card_runs_in_the_folder(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    export_run(run, tmp_path / "out")
    text = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    code = text.split("```python\n")[1].split("```")[0]
    monkeypatch.syspath_prepend(tmp_path / "out")
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    monkeypatch.delitem(sys.modules, "load", raising=False)
    namespace: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), namespace)
    assert namespace["before"] is not None


def test_names_with_markup_show_as_they_are(run_of: Callable[..., Path], tmp_path: Path):
    plain = make_tiny()
    first = plain.claims[0]
    assert isinstance(first, ErrorClaim)
    hostile = first.model_copy(update={"claim": f"1. {HOSTILE}"})
    run = run_of(
        plain, name=HOSTILE, title=f"{HOSTILE}\n---\nlicense: none", question=f"- {HOSTILE}\n\n# not a heading",
        method=f"# {HOSTILE}", claims=(hostile, *plain.claims[1:]),
    )  # fmt: skip
    export_run(run, tmp_path / "out")
    card, page = card_of(tmp_path / "out")
    data = card.data.to_dict()
    assert data["license"] == "mit"
    assert data["model_name"] == f"{HOSTILE}\n---\nlicense: none"
    assert data["excise_recipe"] == HOSTILE
    assert not {"script", "img", "s", "del"} & set(page.tags)
    assert page.tags.count("h1") == 1
    assert page.tags.count("a") == 1, "the paper's address, and no other"
    shown = " ".join(page.text.split())
    assert shown.count(HOSTILE) >= 4
    assert "# not a heading" in shown
    assert f"1. {HOSTILE}" in [row[1] for row in page.rows if len(row) > 1]


@pytest.mark.parametrize(
    "text", [HOSTILE, "1. one", "- one", "+ one", "== two", "# three", "2.6", "> quoted", "www.a.b"]
)
def test_escaped_text_is_one_paragraph_of_that_text(text: str):
    page = Page(escaped(text))
    assert page.tags == ["p"]
    assert page.text.strip() == text


def test_the_control_of_it_is_markup():
    assert {"em", "code", "a", "img", "script"} <= set(Page(HOSTILE).tags)


def test_on_the_hub_the_code_fetches_the_folder_first(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(run_folder, "check_upload", lambda repository: None)
    monkeypatch.setattr(run_folder, "upload", lambda folder, repository, private: "address")
    export_run(run, tmp_path / "out", repository="lab/warmth")
    assert 'snapshot_download("lab/warmth")' in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")


def test_the_citation_names_the_paper():
    cited = yaml.safe_load((run_folder.TEXTS / "CITATION.cff").read_text(encoding="utf-8"))
    assert cited["cff-version"] == "1.2.0"
    assert cited["preferred-citation"]["url"].endswith("2512.12469")
    assert {"message", "title", "authors"} <= cited.keys()
