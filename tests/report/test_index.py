"""The page over a folder of runs: what is in it, and what cannot get out of it."""

import json
import os
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from excise.errors import RunError
from excise.record import open_run
from excise.report.index import build_index
from many_runs import HOSTILE, change_json, copy_runs


class Seen(HTMLParser):
    """The tags of a page and the text that a reader sees, with single spaces."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self._inside = ""
        self.feed(page.read_text(encoding="utf-8"))
        self.close()
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside not in ("script", "style"):
            self.text += data


def data_of(page: Path) -> dict[str, Any]:
    source = page.read_text(encoding="utf-8")
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', source, flags=re.DOTALL)
    return json.loads(text)


def spec_of(data: dict[str, Any], run: dict[str, Any]) -> dict[str, Any]:
    base, changes = run["spec"]
    kept = {place: value for place, value in data["specs"][base].items() if place not in changes}
    return kept | {place: value[0] for place, value in changes.items() if value}


def test_the_page_holds_each_run_and_links_to_what_lies_there(run: Path, sweep: Path, tmp_path: Path):
    for number, path in enumerate((run, sweep)):
        shutil.copytree(path, tmp_path / "2.6" / f"run {number}")
    made = build_index(tmp_path)
    assert made == (tmp_path / "index.html", 2, 0)
    data = data_of(made.path)
    by_kind = {each["kind"]: each for each in data["runs"]}
    results = open_run(run).results()
    alone, many = by_kind["run"], by_kind["sweep"]
    assert alone["after"] == pytest.approx(results["conditions"]["ablated"]["max_mse"], rel=1e-3)
    assert (many["ran"], many["of"], many["units"]) == (3, 3, "seeds")
    assert dict(zip(data["keys"][alone["keys"]], alone["numbers"], strict=True))[
        "ablated.red"
    ] == pytest.approx(results["conditions"]["ablated"]["named_colors"]["red"], rel=1e-3)
    assert [data["claims"][claim[0]] for claim in alone["claims"]] == [
        each["claim"] for each in results["claims"]
    ]
    for each in data["runs"]:
        folder = tmp_path / unquote(each["href"])
        assert (folder / each["report"]).is_file()
        for name, file in data["figures"][each["figures"]]:
            assert name == unquote(file)
            assert (folder / "figures" / f"{unquote(file)}.png").is_file()
    assert data["figures"][alone["figures"]][alone["thumbnail"]][0] == "colors-ablated"


def test_specs_are_kept_once_with_what_differs_and_come_back_whole(run: Path, tmp_path: Path):
    copy_runs(run, tmp_path, 30)
    change_json(tmp_path / "9.1" / "run-0" / "spec.json", lambda spec: spec.pop("method"))
    data = data_of(build_index(tmp_path).path)
    assert len(data["specs"]) == 10
    for each in data["runs"]:
        spec = open_run(tmp_path / each["path"]).spec
        found = spec_of(data, each)
        assert found["grids.latent"] == spec["grids"]["latent"]
        assert found["terms.0.name"] == spec["terms"][0]["name"]
        assert ("method" in found) == ("method" in spec)
    assert all(len(each["spec"][1]) < 40 for each in data["runs"])


def test_no_name_can_leave_its_place(run: Path, tmp_path: Path):
    folder = tmp_path / "runs <i>"
    path = folder / "<img src=x onerror=hack>" / "javascript:alert(1)#?&"
    shutil.copytree(run, path)
    change_json(path / "spec.json", lambda spec: spec.update(name=HOSTILE, title=HOSTILE))
    change_json(path / "status.json", lambda status: status.update(status="failed", error=HOSTILE))
    (folder / "<script>foreign").mkdir()
    made = build_index(folder)
    page = Seen(made.path)
    assert page.tags.count("script") == 2
    assert not {"img", "i"} & set(page.tags)
    assert "<script>foreign there is no run in it." in page.text
    (shown,) = data_of(made.path)["runs"]
    assert (shown["title"], shown["error"]) == (HOSTILE, HOSTILE)
    assert shown["href"] == "%3Cimg%20src%3Dx%20onerror%3Dhack%3E/javascript%3Aalert%281%29%23%3F%26"


def test_names_that_are_not_text_are_shown_and_linked(run: Path, tmp_path: Path):
    path = tmp_path / os.fsdecode(b"odd-\xff")
    shutil.copytree(run, path)
    (shown,) = data_of(build_index(tmp_path).path)["runs"]
    assert shown["path"] == "odd-?"
    assert os.fsdecode(unquote(shown["href"], errors="surrogateescape")) == path.name


def test_numbers_that_are_not_finite_are_left_out(run: Path, tmp_path: Path):
    path = shutil.copytree(run, tmp_path / "run")

    def spoil(results: dict[str, Any]) -> None:
        results["conditions"]["ablated"]["max_mse"] = None

    change_json(path / "results.json", spoil)
    change_json(path / "spec.json", lambda spec: spec.update(extra=float("nan")))
    data = data_of(build_index(tmp_path).path)
    assert "after" not in data["runs"][0]
    assert spec_of(data, data["runs"][0])["extra"] is None


def test_broken_and_foreign_folders_are_listed_and_the_rest_is_shown(run: Path, tmp_path: Path):
    copy_runs(run, tmp_path, 3)
    (tmp_path / "9.1" / "run-0" / "results.json").write_text("[", encoding="utf-8")
    (tmp_path / "photos").mkdir()
    made = build_index(tmp_path)
    assert (made.runs, made.unreadable) == (2, 2)
    page = Seen(made.path)
    assert "2 runs of 2 recipes; 2 folders could not be read" in page.text
    assert re.search(r"9\.1/run-0 \S*results\.json is not JSON.*photos there is no run in it", page.text)


def test_an_empty_folder_gives_a_page_that_says_how_to_begin(tmp_path: Path):
    page = Seen(build_index(tmp_path).path)
    assert "No run is here yet." in page.text
    assert "excise run 2.6" in page.text
    assert "script" not in page.tags


def test_a_page_elsewhere_links_back_and_a_folder_is_no_page(run: Path, tmp_path: Path):
    copy_runs(run, tmp_path / "runs", 1)
    (tmp_path / "pages").mkdir()
    page = build_index(tmp_path / "runs", tmp_path / "pages" / "all.html").path
    assert data_of(page)["runs"][0]["href"] == "../runs/9.1/run-0"
    with pytest.raises(RunError, match="is a folder"):
        build_index(tmp_path / "runs", tmp_path / "pages")
    with pytest.raises(RunError, match="does not exist"):
        build_index(tmp_path / "nowhere")
    with pytest.raises(RunError, match="cannot write"):
        build_index(tmp_path / "runs", tmp_path / "nowhere" / "all.html")


def test_the_page_is_replaced_whole_and_leaves_nothing_beside_it(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    copy_runs(run, tmp_path, 2)
    first = build_index(tmp_path).path.read_text(encoding="utf-8")

    def full_disk(self: Path, text: str, **_: Any) -> int:
        self.write_bytes(text[:10].encode())
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full_disk)
    with pytest.raises(RunError, match="No space left"):
        build_index(tmp_path)
    monkeypatch.undo()
    assert (tmp_path / "index.html").read_text(encoding="utf-8") == first
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
