"""What a notebook is given: escaped, short, with an alternative text, and fit for a light and a dark page."""

import base64
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import excise as ex
from excise import showing
from excise.color import NormalizedMLP
from excise.experiments.pipeline import run_recipe
from excise.experiments.sweep import run_sweep
from excise.figures import training_curves
from excise.showing import Frame, Html, block, curve, curves, frame_table, picture, table
from excise.surgery import plan
from tiny_recipe import make_tiny

NASTY = '<img src=x onerror="alert(1)">'


class Page(HTMLParser):
    """Counts tags, and checks that they are closed in their order."""

    VOID = frozenset({"img", "path", "meta", "br"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.alts: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        named = dict(attrs)
        if tag == "img":
            self.alts.append(named["alt"] or "")
        if tag == "svg":
            assert named["role"] == "img"
            self.alts.append(named["aria-label"] or "")
        assert not any(name.startswith("on") for name in named)
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self._open.pop() == tag


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Everything that shows itself."""
    recipe, path = make_tiny(steps=8), tmp_path_factory.mktemp("runs")
    model = NormalizedMLP(generator=torch.Generator().manual_seed(0))
    edit = plan(model, "bottleneck", [0], example_inputs=torch.rand(4, 3))
    run_recipe(recipe, 0, path / "run", log_every=2)
    (path / "run" / "figures").mkdir()
    for name in ("error-pruned.png", "error-pruned.dark.png", "schedule.png"):
        (path / "run" / "figures" / name).write_bytes(b"not really a picture")
    run_sweep(recipe, [0, 1], path / "sweep", workers=1)
    run = ex.runs.open(path / "run")
    history = ex.fit(model, recipe.data.build(), recipe.anchoring(), log_every=2)
    outcome = ex.fit_lockstep([model], recipe.data.build(), recipe.anchoring(), seeds=[0], steps=4)[0]
    return {
        "dopesheet": recipe.schedule(),
        "timeline": recipe.schedule().timeline(),
        "edit": edit,
        "report of the edit": edit.report,
        "history": history,
        "outcome": outcome,
        "run": run,
        "sweep": ex.runs.open(path / "sweep"),
        "figure": run.figures["error-pruned"],
        "frame": Frame(pd.DataFrame({"error": [1.23456e-9, 0.5]}, index=["red", NASTY]), NASTY),
    }


NAMES = [
    "dopesheet", "timeline", "edit", "report of the edit", "history", "outcome", "run", "sweep", "figure",
    "frame",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_each_shows_itself_as_whole_html_in_the_colours_of_the_page_and_short(
    shown: dict[str, Any], name: str
):
    text = shown[name]._repr_html_()
    page = Page(text)
    assert all(page.alts)
    body = re.sub(r"<style>.*?</style>", "", text, flags=re.DOTALL)
    assert not re.search(r"#[0-9a-f]{3,6}\b|rgb\(", body), "no colour of its own"
    assert len(text) < 30_000
    assert len(repr(shown[name])) < 300


def test_curves_tell_their_ends_and_a_run_its_claims_and_most_telling_figure(shown: dict[str, Any]):
    (alt, *_) = Page(shown["timeline"]._repr_html_()).alts
    assert re.fullmatch(r"lr goes from \S+ to \S+, between \S+ and \S+, over step 0 to \d+\.", alt)
    text = shown["run"]._repr_html_()
    assert "red and cyan lose their colour" in text
    assert Page(text).alts == ["figure error-pruned"] * 2, "for a light page and for a dark one"
    assert "Other figures, as .figures[name]: schedule" in text
    assert "over seeds" in shown["sweep"]._repr_html_()
    assert "4 × 16" in shown["edit"]._repr_html_()


def test_text_is_escaped_wherever_it_stands():
    text = block(
        NASTY, NASTY, table([NASTY], [[NASTY, NASTY]]), curve([1, 2], NASTY), picture(b"", b"", NASTY)
    )
    page = Page(text)
    assert page.tags.count("img") == 2, "the two of the picture"
    assert "&lt;img" in text
    assert "i" in Page(block("", Html("<i>HTML stays</i>"))).tags


def test_a_name_with_markup_in_a_schedule_and_a_run_is_escaped(tmp_path: Path):
    sheet = ex.Dopesheet.from_keyframes({"lr": {0: 0.1, 5: 0.2}, "<b>x</b>": {0: 1.0, 5: 0.0}})
    assert "<b>" not in sheet._repr_html_()
    recipe = make_tiny(steps=4, name="<script>x</script>")
    run_recipe(recipe, 0, tmp_path / "run")
    assert "<script" not in ex.runs.open(tmp_path / "run")._repr_html_()


def test_a_long_table_folds_and_a_short_one_does_not():
    rows = [(str(index), "x") for index in range(40)]
    page = Page(table(["a", "b"], rows))
    assert "details" in page.tags
    assert "28 more" in table(["a", "b"], rows)
    assert "details" not in Page(table(["a", "b"], rows[:12])).tags


@pytest.mark.parametrize(
    "values", [[], [1.0], [2.0, 2.0], [np.nan, 1.0, np.inf, 2.0], [0.0, -1.0], list(range(5000))], ids=len
)
@pytest.mark.parametrize("log", [False, True])
def test_any_numbers_can_be_drawn(values: list[float], log: bool):
    text = curve(values, "alt", log=log)
    drawn = re.findall(r"[ML]([\d.]+) ([\d.]+)", text)
    assert all(0 <= float(x) <= 200 and 0 <= float(y) <= 32 for x, y in drawn)
    assert len(drawn) <= showing._POINTS
    Page(curves([("name", np.array(values, dtype=float), log)], "steps"))


def test_a_gap_is_not_bridged():
    assert curve([1, np.nan, 2, 3], "alt").count("M") == 2
    assert curve([1, 1.5, 2, 3], "alt").count("M") == 1


def test_a_run_under_way_or_damaged_shows_what_there_is(tmp_path: Path):
    recipe = make_tiny(steps=4)
    run_recipe(recipe, 0, tmp_path / "run")
    (tmp_path / "run" / "results.json").unlink()
    text = ex.runs.open(tmp_path / "run")._repr_html_()
    assert "run of 2.6: finished" in text
    assert "claim" not in text


def test_a_frame_has_its_index_first_short_numbers_words_for_truth_and_room_for_sentences():
    claim = "before any edit every colour is drawn faithfully"
    values = pd.DataFrame(
        {"measured": [1.23456e-9, None], "holds": [True, False], "what": ["short", claim]},
        index=pd.Index(["red", "cyan"], name="color"),
    )
    text = frame_table(values, truth=("passed", "failed"))
    assert re.findall(r"<th(?: class=n)?>(.*?)</th>", text) == [
        "color",
        "measured",
        "holds",
        "what",
        "red",
        "cyan",
    ]
    assert "<td class=n>1.2e-9</td><td>passed</td><td>short</td>" in text
    assert f"<td class=n></td><td>failed</td><td class=sentence>{claim}</td>" in text
    counted = frame_table(values.reset_index(drop=True))
    assert ">red<" not in counted, "an index of numbers without a name says nothing"
    assert "<td>yes</td>" in counted


def test_a_picture_shows_what_it_would_save_for_both_pages_with_its_text(tmp_path: Path):
    steps = np.arange(0, 100, 10)
    drawn = training_curves({"step": steps, "objective": 1 / (1 + steps)}, name="training", title="Training")
    text = drawn._repr_html_()
    assert Page(text).alts == [drawn.alt] * 2
    assert drawn.caption in text
    for file in drawn.save(tmp_path):
        assert base64.b64encode(file.read_bytes()).decode("ascii") in text
