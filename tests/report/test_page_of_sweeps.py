import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from excise.record import open_run
from excise.report.page import build_report
from excise.report.tables import number

Copy = Callable[[Path], Path]
Change = Callable[[Path, Callable[[Any], object]], None]
Read = Callable[[Path], Any]

CONDITIONS = ("baseline", "ablated", "pruned")


@pytest.fixture
def told(sweep: Path) -> dict[str, Any]:
    """The content of the sweep's sweep.json."""
    content = open_run(sweep).sweep()
    assert content is not None
    return content


@pytest.mark.usefixtures("undrawn")
def test_a_sweep_says_which_seeds_failed_which_claim(
    sweep: Path, copy: Copy, change: Change, read_page: Read, told: dict[str, Any]
):
    path = copy(sweep)
    claims = [claim["claim"] for claim in told["claims"]]

    def judge(content: dict[str, Any]):
        first, second, _ = content["rows"]
        first.update(passed=True, failed_claims=[])
        second.update(passed=False, failed_claims=[claims[1], claims[3]])
        for index, claim in enumerate(content["claims"]):
            claim["passed"] = 1 if index in (1, 3) else 2
        content["passed"] = 1

    change(path / "sweep.json", judge)
    parsed = read_page(build_report(path))
    assert "1 of 3 seeds pass every claim." in parsed.text
    header, *rows = parsed.tables["Claims over seeds"]
    assert header[:3] == ["claim", "held in", "not in seeds"]
    assert [row[0] for row in rows] == claims
    assert [row[1:3] for row in rows] == [
        ["1 of 3", "4, 5"] if index in (1, 3) else ["2 of 3", "5"] for index in range(len(claims))
    ]
    judged = open_run(sweep / "seed-3").results()["claims"]
    assert header[-1] == "threshold"
    assert [row[-1] for row in rows] == [f"{row['holds']} {number(row['threshold'])}" for row in judged]
    seeds = {row[0].split()[0]: row[1] for row in parsed.tables["Numbers"][1:4]}
    assert seeds == {"3": "all hold", "4": "2 failed", "5": "did not finish"}


def test_a_sweep_says_which_seed_crashed_and_why(sweep: Path, read_page: Read):
    parsed = read_page(sweep / "report.html")
    assert "seed 5 did not finish: NonFiniteError: 'reg-unit' became nan at step 7." in parsed.text
    _, *rows = parsed.tables["Numbers"]
    assert rows[2] == ["5", "did not finish", *["n/a"] * 6]
    assert parsed.text.count("1 of 3 seeds gave no finite numbers and are not drawn.") == len(CONDITIONS)


def test_a_sweep_shows_each_seed_and_the_spread_as_sweep_json_has_them(
    sweep: Path, read_page: Read, told: dict[str, Any]
):
    header, *rows = read_page(sweep / "report.html").tables["Numbers"]
    keys = [f"{condition}.{which}_mse" for condition in CONDITIONS for which in ("max", "median")]
    assert header[2:4] == ["baseline, largest", "baseline, median"]
    for row, measured in zip(rows[:2], told["rows"], strict=False):
        assert row[2:] == [number(measured[key]) for key in keys]
    for row, field in zip(rows[3:], ("median", "min", "max", "mean", "sd"), strict=True):
        assert row == [field, "", *[number(told["summary"][key][field]) for key in keys]]
    [chosen] = [row[0] for row in rows if "chosen" in row[0]]
    assert chosen == f"{told['chosen']} (chosen)"


@pytest.mark.usefixtures("undrawn")
def test_a_sweep_that_was_interrupted_says_how_many_seeds_are_missing(
    sweep: Path, copy: Copy, change: Change, read_page: Read
):
    path = copy(sweep)
    assert "The sweep is not finished" not in read_page(sweep / "report.html").text
    change(path / "sweep.json", lambda content: content["rows"].pop())
    assert "The sweep is not finished: 3 seeds were asked for." in read_page(build_report(path)).text


def test_a_sweep_of_which_every_seed_crashed_still_has_a_report(
    sweep: Path, copy: Copy, change: Change, read_page: Read
):
    path = copy(sweep)

    def crash(content: dict[str, Any]):
        content["rows"] = [{"seed": seed, "failed": "NonFiniteError: it did"} for seed in (3, 4, 5)]
        content.update(summary={}, claims=[], passed=0, chosen=None)

    change(path / "sweep.json", crash)
    parsed = read_page(build_report(path))
    assert "0 of 3 seeds pass every claim." in parsed.text
    assert parsed.text.count("did not finish: NonFiniteError: it did") == 3
    assert "No seed finished" in parsed.text
    assert not parsed.all("img")


def test_a_seed_with_a_number_that_is_not_finite_is_told_and_not_drawn(
    sweep: Path, copy: Copy, change: Change, read_page: Read
):
    path = copy(sweep)
    change(path / "sweep.json", lambda content: content["rows"][0].update({"ablated.named_colors.red": None}))
    parsed = read_page(build_report(path))
    assert parsed.text.count("2 of 3 seeds gave no finite numbers and are not drawn.") == len(CONDITIONS)
    strips = {
        figure["id"]: image["alt"]
        for figure, image in zip(parsed.all("figure"), parsed.all("img"), strict=True)
    }
    assert strips["seeds-ablated"].startswith("0 of 1 seeds pass every claim.")


def test_a_sweep_without_its_seeds_folders_keeps_its_report_but_for_their_pictures(
    sweep: Path, copy: Copy, read_page: Read
):
    path = copy(sweep)
    for directory in path.glob("seed-*"):
        shutil.rmtree(directory)
    left, whole = (read_page(page) for page in (build_report(path), sweep / "report.html"))
    assert left.tables == whole.tables
    gone = {figure["id"] for figure in whole.all("figure")} - {figure["id"] for figure in left.all("figure")}
    assert gone == {"best-ablated", "worst-ablated"}


def test_a_sweep_names_the_chosen_seed_and_links_to_its_full_report(
    sweep: Path, read_page: Read, told: dict[str, Any]
):
    parsed = read_page(sweep / "report.html")
    [link] = [each["href"] for each in parsed.all("a") if each["href"].endswith("report.html")]
    assert f"Seed {told['chosen']} is chosen: {told['chosen_is']}." in parsed.text
    assert "colors-ablated" in [figure["id"] for figure in read_page(sweep / link).all("figure")]
