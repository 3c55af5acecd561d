import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from browsing import SIZES, THEMES, Opened, chromium
from excise.record import open_run

VIEWS = [(kind, size, theme) for kind in ("run", "sweep") for size in SIZES for theme in THEMES]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module", params=VIEWS, ids="-".join)
def opened(request: pytest.FixtureRequest, browser: Any) -> Iterator[Opened]:
    """The report of the run or of the sweep, on one size of screen in one theme."""
    kind, size, theme = request.param
    page = browser.new_page(viewport=SIZES[size], color_scheme=theme)
    yield Opened(page, theme).open(request.getfixturevalue(kind) / "report.html")
    page.close()


def test_a_report_opens_without_a_complaint_and_asks_nothing_of_the_network(opened: Opened):
    assert opened.problems == []
    assert opened.network() == []
    assert any(url.endswith("/report.html") for url in opened.requests)


def test_every_picture_is_loaded_undistorted_and_has_an_alternative_text(opened: Opened):
    images = opened.images()
    assert len(images) in (6, 12)
    for image in images:
        assert image["complete"]
        assert image["width"] > 0
        assert image["drawn"] == pytest.approx(image["width"] / image["height"], rel=0.01)
        assert image["alt"].strip()


def test_pictures_and_page_have_the_theme_of_the_reader(opened: Opened):
    for image in opened.images():
        assert image["shown"] == image[opened.theme]
        assert image["light"] != image["dark"]
    background = opened.page.evaluate("getComputedStyle(document.body).backgroundColor")
    red, green, blue = (int(THEMES[opened.theme].page[start : start + 2], 16) for start in (1, 3, 5))
    assert background == f"rgb({red}, {green}, {blue})"


def test_the_whole_page_never_scrolls_sideways_not_even_with_everything_opened(opened: Opened):
    assert opened.overflow() <= 0
    opened.page.eval_on_selector_all("details", "all => all.forEach(each => each.open = true)")
    assert opened.overflow() <= 0
    opened.page.eval_on_selector_all("details", "all => all.forEach(each => each.open = false)")


def test_the_verdict_is_read_without_scrolling_sideways(opened: Opened):
    region = opened.page.locator("section[aria-labelledby=verdict] .scroll")
    assert region.evaluate("region => region.scrollWidth - region.clientWidth") <= 0
    for cell in region.locator("tbody tr > *").all():
        assert cell.is_visible() or not cell.text_content()


def test_pictures_follow_when_the_reader_changes_the_theme_and_are_light_on_paper(browser: Any, run: Path):
    page = browser.new_page(color_scheme="light")
    report = Opened(page, "light").open(run / "report.html")
    assert all(image["shown"] == image["light"] for image in report.images())
    page.emulate_media(color_scheme="dark")
    page.wait_for_function("document.images[0].currentSrc == document.querySelector('source').srcset")
    assert all(image["shown"] == image["dark"] for image in report.images())
    page.emulate_media(color_scheme="dark", media="print")
    page.wait_for_function("document.images[0].currentSrc == document.images[0].getAttribute('src')")
    assert all(image["shown"] == image["light"] for image in report.images())
    page.close()


@pytest.mark.parametrize("size", SIZES)
def test_the_whole_spec_can_be_opened_and_read(size: str, browser: Any, run: Path):
    page = browser.new_page(viewport=SIZES[size])
    Opened(page, "light").open(run / "report.html")
    spec = page.locator("details", has_text="The full recipe")
    assert not spec.locator("pre").is_visible()
    spec.locator("summary").click()
    assert spec.locator("pre").is_visible()
    assert json.loads(spec.locator("pre").inner_text()) == open_run(run).spec
    page.close()


def test_a_page_with_every_fault_is_caught_by_these_checks(browser: Any, run: Path, tmp_path: Path):
    fault = (
        '<script>console.error("bad"); setTimeout(() => { throw Error("worse") })</script>'
        '<picture><source srcset="data:,"><img src="http://127.0.0.1:9/gone.png"></picture>'
        '<picture><source><img src="http://127.0.0.1:9/gone.png"></picture>'
        '<div style="width: 3000px">wide</div>'
    )
    broken = tmp_path / "report.html"
    text = (run / "report.html").read_text(encoding="utf-8")
    broken.write_text(text.replace("</main>", fault + "</main>"), encoding="utf-8")
    page = browser.new_page(viewport=SIZES["phone"])
    report = Opened(page, "light").open(broken)
    page.wait_for_timeout(50)
    assert "error: bad" in report.problems
    assert "worse" in report.problems
    assert report.network() == ["http://127.0.0.1:9/gone.png"]
    assert report.images()[-1]["width"] == 0
    assert report.images()[-1]["alt"] == ""
    assert report.overflow() > 2000
    page.close()
