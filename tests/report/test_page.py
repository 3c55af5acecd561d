import base64
import json
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import xarray as xr

from excise.errors import RunError
from excise.experiments import catalogue
from excise.figures.theme import DARK, LIGHT, Picture, Theme, new_figure
from excise.numerals import number as in_words
from excise.record import open_run
from excise.report import page
from excise.report.page import build_report, find_report
from excise.report.tables import number

Copy = Callable[[Path], Path]
Change = Callable[[Path, Callable[[Any], object]], None]
Read = Callable[[Path], Any]

CONDITIONS = ("baseline", "ablated", "pruned")
OF_A_RUN = [
    "colors-true",
    *(f"{kind}-{condition}" for condition in CONDITIONS for kind in ("colors", "error", "latents")),
    "training",
    "schedule",
]
OF_A_SWEEP = ["metrics", *(f"seeds-{condition}" for condition in CONDITIONS), "best-ablated", "worst-ablated"]


def test_a_page_tells_the_question_the_method_and_what_was_run(run: Path, read_page: Read):
    spec, text = open_run(run).spec, read_page(run / "report.html").text
    for told in ("title", "question", "method"):
        assert spec[told] in text
    assert "recipe 2.6 · seed 3" in text


def test_the_verdict_table_says_what_results_json_says(run: Path, read_page: Read):
    header, *rows = read_page(run / "report.html").tables["Claims"]
    assert header == ["claim", "verdict", "measured", "threshold"]
    claims = open_run(run).results()["claims"]
    # Twenty steps teach nothing, so that both verdicts are in the table.
    assert {claim["passed"] for claim in claims} == {True, False}
    for row, claim in zip(rows, claims, strict=True):
        assert row[0].startswith(claim["claim"])
        assert row[1] == ("passed" if claim["passed"] else "failed")
        assert row[2] == number(claim["measured"])
        assert row[3] == f"{claim['holds']} {number(claim['threshold'])}{claim['threshold_is']}"


def _with_difference(results: dict[str, Any], condition: str, color: str) -> str:
    error, before = (results["conditions"][each]["named_colors"][color] for each in (condition, "baseline"))
    if condition == "baseline":
        return number(error)
    sign = "+" if error >= before else "\u2212"
    return f"{number(error)}{sign}{number(abs(error - before))}"


@pytest.mark.usefixtures("undrawn")
def test_every_number_in_the_tables_comes_from_results_json(
    run: Path, copy: Copy, change: Change, read_page: Read
):
    path = copy(run)

    def renumber(results: dict[str, Any]):
        fresh = (0.011 + index / 1000 for index in range(200))
        for measured in results["conditions"].values():
            measured["max_mse"], measured["median_mse"] = next(fresh), next(fresh)
            measured["named_colors"] = {color: next(fresh) for color in measured["named_colors"]}
        for claim in results["claims"]:
            claim["measured"], claim["threshold"] = next(fresh), next(fresh)
            claim["details"] = {color: next(fresh) for color in claim["details"]}

    change(path / "results.json", renumber)
    tables = read_page(build_report(path)).tables
    results = json.loads((path / "results.json").read_text())
    expected = [
        [number(measured[key]) for measured in results["conditions"].values()]
        for key in ("max_mse", "median_mse")
    ]
    expected += [
        [_with_difference(results, condition, color) for condition in results["conditions"]]
        for color in results["conditions"]["baseline"]["named_colors"]
    ]
    assert [row[1:] for row in tables["Numbers"][1:]] == expected
    assert [row[2] for row in tables["Claims"][1:]] == [
        number(each["measured"]) for each in results["claims"]
    ]
    details = " ".join(row[0] for row in tables["Claims"])
    for claim in results["claims"]:
        if len(claim["details"]) > 1:
            assert all(f"{color} {number(value)}" in details for color, value in claim["details"].items())


@pytest.mark.usefixtures("undrawn")
def test_a_number_that_was_not_finite_reads_as_not_available(
    run: Path, copy: Copy, change: Change, read_page: Read
):
    path = copy(run)
    change(path / "results.json", lambda results: results["conditions"]["pruned"].update(max_mse=None))
    assert read_page(build_report(path)).tables["Numbers"][1][3] == "n/a"


def test_swatches_show_the_colours_that_each_condition_drew(run: Path, read_page: Read):
    arrays = open_run(run).arrays()
    swatches = [each["style"] for each in read_page(run / "report.html").all("span") if "style" in each]
    expected = []
    for index in range(arrays.sizes["named_color"]):
        here = arrays.isel(named_color=index)
        for drawn in (
            here["named_input"],
            *(here["named_output"].sel(condition=each) for each in CONDITIONS),
        ):
            rgb = (drawn.clip(0, 1) * 255).round().astype(int).to_numpy()
            expected.append(f"background: rgb({rgb[0]} {rgb[1]} {rgb[2]})")
    assert swatches == expected


@pytest.mark.parametrize(("kind", "names"), [("run", OF_A_RUN), ("sweep", OF_A_SWEEP)])
def test_each_picture_is_in_the_page_for_both_themes_as_it_is_on_disk(
    kind: str, names: list[str], request: pytest.FixtureRequest, read_page: Read
):
    path = request.getfixturevalue(kind)
    parsed = read_page(path / "report.html")
    assert [figure["id"] for figure in parsed.all("figure")] == names
    for name, light, dark in zip(names, parsed.all("img"), parsed.all("source"), strict=True):
        assert "prefers-color-scheme: dark" in dark["media"]
        for source, file in ((light["src"], f"{name}.png"), (dark["srcset"], f"{name}.dark.png")):
            content = (path / "figures" / file).read_bytes()
            assert base64.b64decode(source.removeprefix("data:image/png;base64,"), validate=True) == content
            assert content[16:24] == b"".join(int(light[side]).to_bytes(4) for side in ("width", "height"))
        assert light["src"] != dark["srcset"]


def test_each_picture_has_an_alternative_text_that_the_page_also_shows(run: Path, read_page: Read):
    parsed = read_page(run / "report.html")
    texts = [image["alt"] for image in parsed.all("img")]
    assert len(set(texts)) >= len(OF_A_RUN) - 2  # ablated and pruned compute the same and may read the same
    assert all(len(text.split()) > 8 and text in parsed.text for text in texts)


def test_the_alternative_texts_lie_beside_the_figures_for_whoever_shows_them_elsewhere(
    run: Path, read_page: Read
):
    parsed = read_page(run / "report.html")
    told = json.loads((run / "figures" / "figures.json").read_text(encoding="utf-8"))
    shown = {
        figure["id"]: image["alt"]
        for figure, image in zip(parsed.all("figure"), parsed.all("img"), strict=True)
    }
    assert {name: each["alt"] for name, each in told.items()} == shown


def test_no_line_of_a_caption_can_end_within_a_number(
    run: Path, copy: Copy, read_page: Read, monkeypatch: pytest.MonkeyPatch
):
    picture = Picture(
        "p", "t", "Errors < 3.2e-5 & more.", "None is below 1e-12.", lambda theme: new_figure(theme, 1)
    )
    monkeypatch.setattr(page, "pictures_of_run", lambda recipe, run: [picture])
    parsed = read_page(build_report(copy(run)))
    assert "Errors < 3.2e-5 & more. None is below 1e-12." in parsed.text
    [caption] = re.findall(r"<figcaption>(.*?)</figcaption>", parsed.source, re.DOTALL)
    assert re.findall(r'<span class="whole">(.*?)</span>', caption) == ["3.2e-5", "1e-12"]


@pytest.mark.parametrize("condition", CONDITIONS)
def test_the_text_of_an_error_figure_agrees_with_the_measured_errors(
    condition: str, run: Path, read_page: Read
):
    figure = OF_A_RUN.index(f"error-{condition}")
    error = open_run(run).arrays()["line_error"].sel(condition=condition)
    text = read_page(run / "report.html").all("img")[figure]["alt"]
    assert text.startswith(f"The largest error shown is {in_words(float(error.max()))}, at hue ")


def test_the_spec_and_the_environment_are_in_the_page_whole(run: Path, read_page: Read):
    opened, parsed = open_run(run), read_page(run / "report.html")
    shown = [json.loads(block) for block in parsed.pres if block.startswith("{")]
    assert shown == [opened.spec, opened.environment]
    facts = dict(parsed.tables["Environment"])
    assert facts["torch"] == opened.environment["packages"]["torch"]
    assert facts["Python"] == opened.environment["python"]


def test_a_recipe_of_the_catalogue_is_run_again_by_name_and_another_is_not(
    run: Path, read_page: Read, monkeypatch: pytest.MonkeyPatch
):
    opened = open_run(run)
    parsed = read_page(run / "report.html")
    # The tiny recipe bears the name 2.6, and `excise run 2.6` would run another.
    assert not any(block.startswith("excise run") for block in parsed.pres)
    monkeypatch.setattr(page.catalogue, "RECIPES", {"2.6": lambda: page.Recipe.model_validate(opened.spec)})
    assert page._commands(page.Recipe.model_validate(opened.spec), opened)[0] == "excise run 2.6 --seed 3"


def test_a_sweep_of_the_catalogue_is_run_again_with_its_seeds(sweep: Path, monkeypatch: pytest.MonkeyPatch):
    opened = open_run(sweep)
    monkeypatch.setattr(page.catalogue, "RECIPES", {"2.6": lambda: page.Recipe.model_validate(opened.spec)})
    command, script = page._commands(page.Recipe.model_validate(opened.spec), opened)
    assert command == "excise run 2.6 --seed 3 --seeds 3"
    assert "run_sweep(recipe, [3, 4, 5]," in script
    monkeypatch.undo()
    assert catalogue.find_recipe("2.6").spec() != opened.spec


@pytest.mark.usefixtures("undrawn")
def test_the_script_in_the_page_gives_the_same_results(
    run: Path, copy: Copy, read_page: Read, monkeypatch: pytest.MonkeyPatch
):
    path = copy(run)
    [script] = [block for block in read_page(run / "report.html").pres if block.startswith("from ")]
    monkeypatch.chdir(path)
    exec(script, {})
    assert (path / "again" / "results.json").read_bytes() == (path / "results.json").read_bytes()
    assert (path / "again" / "report.html").exists()


@pytest.mark.parametrize("kind", ["run", "sweep"])
def test_a_report_is_rebuilt_from_the_directory_alone_to_the_byte(
    kind: str, request: pytest.FixtureRequest, copy: Copy
):
    path = request.getfixturevalue(kind)
    again = build_report(copy(path))
    assert again.read_bytes() == (path / "report.html").read_bytes()
    for figure in (path / "figures").iterdir():
        assert (again.parent / "figures" / figure.name).read_bytes() == figure.read_bytes()


@pytest.mark.parametrize("name", ["results.json", "spec.json", "env.json", "status.json"])
def test_a_run_that_lacks_a_file_has_no_report(name: str, run: Path, copy: Copy):
    path = copy(run)
    (path / name).unlink()
    with pytest.raises(RunError, match=re.escape(name)):
        build_report(path)
    assert not (path / "report.html").exists()


def test_arrays_that_are_missing_are_made_again_from_the_weights(run: Path, copy: Copy):
    path = copy(run)
    before = open_run(path).arrays()
    (path / "results.nc").unlink()
    build_report(path)
    xr.testing.assert_identical(open_run(path).arrays(), before)
    (path / "results.nc").unlink()
    (path / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(RunError, match=r"cannot read the weights in .*model\.safetensors"):
        build_report(path)


@pytest.mark.parametrize(
    "changes",
    [{"from_the_future": 1}, {"terms": "none"}, {"model": {"kind": "Transformer"}}],
    ids=["key", "type", "kind"],
)
def test_a_spec_of_another_version_is_refused_and_named(
    changes: dict[str, Any], run: Path, copy: Copy, change: Change
):
    path = copy(run)
    change(path / "spec.json", lambda spec: spec.update(changes))
    with pytest.raises(
        RunError, match=rf"spec\.json is no recipe of this version(.|\n)*{next(iter(changes))}"
    ):
        build_report(path)


def test_arrays_of_another_version_are_refused_and_named(run: Path, copy: Copy):
    path = copy(run)
    arrays = open_run(path).arrays().drop_vars("cube_output")
    arrays.to_netcdf(path / "results.nc", engine="scipy", format="NETCDF3_64BIT")
    with pytest.raises(RunError, match=r"lack .*cube_output"):
        build_report(path)


def test_a_report_that_cannot_be_written_is_a_run_error(run: Path, copy: Copy):
    path = copy(run)
    (path / "figures").write_text("in the way")
    with pytest.raises(RunError, match=r"cannot make .*figures"):
        build_report(path)


@pytest.mark.usefixtures("undrawn")
def test_what_a_recipe_says_is_text_and_never_markup(run: Path, copy: Copy, change: Change, read_page: Read):
    path = copy(run)
    mean = '</pre></title><script>alert("1")</script><img src=x onerror=alert(2)>&amp;'
    change(path / "spec.json", lambda spec: spec.update(title=mean, question=mean, method=mean))
    change(path / "env.json", lambda environment: environment.update(platform=mean))
    change(path / "results.json", lambda results: results["claims"][0].update(claim=mean))
    parsed = read_page(build_report(path))
    assert not parsed.all("script")
    assert not parsed.all("img")
    assert parsed.text.count(mean) == 6  # in the title, the heading, the lead, the method, a claim and a fact
    assert [json.loads(block).get("title") for block in parsed.pres if block.startswith("{")] == [mean, None]


def test_a_page_needs_nothing_but_itself(run: Path, sweep: Path, read_page: Read):
    for path in (run, sweep):
        parsed = read_page(path / "report.html")
        linked = [
            attributes[name]
            for _, attributes in parsed.elements
            for name in ("src", "href", "srcset", "poster", "data", "action")
            if name in attributes
        ]
        assert linked
        beside = [link for link in linked if not link.startswith(("data:", "#"))]
        assert len(beside) == (path == sweep)  # the report of the chosen seed, which a reader may follow
        assert all((path / link).exists() for link in beside)
        assert not re.search(r"url\(|@import|<script|javascript:", parsed.source)
        anchors = {attributes["id"] for _, attributes in parsed.elements if "id" in attributes}
        assert {link[1:] for link in linked if link.startswith("#")} <= anchors


def test_headings_follow_their_order_and_every_row_of_a_table_has_a_header(
    run: Path, sweep: Path, read_page: Read
):
    for path in (run, sweep):
        parsed = read_page(path / "report.html")
        levels = [int(tag[1]) for tag, _ in parsed.elements if re.fullmatch("h[1-6]", tag)]
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(after <= before + 1 for before, after in pairwise(levels))
        tags = [tag for tag, _ in parsed.elements]
        assert all(tags[index + 1] == "th" for index, tag in enumerate(tags) if tag == "tr")
        assert all("scope" in header for header in parsed.all("th"))
        for table in parsed.tables.values():
            assert len({len(row) for row in table}) == 1


def luminance(color: str) -> float:
    channels = [int(color[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize(("theme", "which"), [(LIGHT, 0), (DARK, 1)], ids=["light", "dark"])
def test_text_stands_out_in_both_themes_and_figures_lie_on_their_page(
    theme: Theme, which: int, run: Path, read_page: Read
):
    blocks = re.findall(r":root \{(.*?)\}", read_page(run / "report.html").source, re.DOTALL)
    colors = dict(re.findall(r"--(\w+): (#\w{6})", blocks[which]))
    assert colors["page"] == theme.page
    for ink in ("ink", "muted", "good", "bad"):
        for ground in ("page", "soft"):
            light, dark = sorted((luminance(colors[ink]), luminance(colors[ground])), reverse=True)
            # WCAG 2.2, 1.4.3, level AA.
            assert (light + 0.05) / (dark + 0.05) >= 4.5, f"{ink} on {ground}"


@pytest.mark.usefixtures("undrawn")
def test_a_report_is_built_when_it_is_asked_for_and_missing_and_else_kept(run: Path, copy: Copy):
    path = copy(run)
    report = find_report(path)
    report.write_text("kept")
    assert find_report(path).read_text() == "kept"
    assert build_report(path).read_text() != "kept"
