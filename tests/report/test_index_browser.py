"""The page over a thousand runs in a browser: filter, sort, compare, by keyboard, on a phone, in the dark."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from browsing import SIZES, THEMES, Opened, chromium
from excise.report.index import build_index
from many_runs import HOSTILE, change_json, copy_runs

COUNT = 1000
VIEWS = [(size, theme) for size in SIZES for theme in THEMES]
TIMED = """action => { const start = performance.now(); action(); document.body.offsetHeight;
    return performance.now() - start; }"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def index(run: Path, sweep: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page over a thousand copies of a run, a sweep, one with names that are markup, and a broken one."""
    folder = tmp_path_factory.mktemp("runs")
    copy_runs(run, folder, COUNT)
    shutil.copytree(sweep, folder / "2.6" / "sweep")
    odd = shutil.copytree(run, folder / "2.6" / "<img src=x onerror=hacked()>#?%")
    change_json(odd / "spec.json", lambda spec: spec.update(title=HOSTILE))
    change_json(odd / "status.json", lambda status: status.update(status="failed", error=HOSTILE))
    (folder / "<b>broken").mkdir()
    (folder / "<b>broken" / "spec.json").write_text("{}", encoding="utf-8")
    began = time.process_time()
    made = build_index(folder)
    assert time.process_time() - began < 10
    assert (made.runs, made.unreadable) == (COUNT + 2, 1)
    assert made.path.stat().st_size < 2e6
    return made.path


@pytest.fixture(params=VIEWS, ids="-".join)
def opened(request: pytest.FixtureRequest, browser: Any, index: Path) -> Iterator[Opened]:
    """The page on one size of screen in one theme; it must not complain, whatever is done with it."""
    size, theme = request.param
    yield from watched(browser, index, size, theme)


@pytest.fixture
def desktop(browser: Any, index: Path) -> Iterator[Opened]:
    yield from watched(browser, index, "desktop", "light")


def watched(browser: Any, index: Path, size: str, theme: str) -> Iterator[Opened]:
    page = browser.new_page(viewport=SIZES[size], color_scheme=theme)
    opened = Opened(page, theme).open(index)
    yield opened
    assert opened.problems == []
    assert opened.network() == []
    page.close()


def shown(page: Any) -> list[str]:
    """The folders of the rows, in their order."""
    return page.locator("#list tbody .id").all_text_contents()


def pick(page: Any, *names: str) -> None:
    for name in names:
        page.fill("#words", name)
        page.locator("#list tbody tr", has=page.get_by_text(name, exact=True)).locator("input").check()


def test_it_answers_at_once_and_fetches_only_what_is_in_view(desktop: Opened):
    page = desktop.page
    ready = page.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd")
    assert ready < 3000
    assert page.evaluate(f"({TIMED})(() => document.querySelector('[data-key=after]').click())") < 1500
    typed = "(words.value = 'run-99', words.dispatchEvent(new Event('input', {bubbles: true})))"
    assert page.evaluate(f"({TIMED})(() => {typed})") < 1500
    assert len([url for url in desktop.requests if url.endswith(".png")]) < 150


def test_rows_are_added_as_the_reader_comes_to_them_or_asks_for_them(desktop: Opened):
    page = desktop.page
    assert len(shown(page)) == 100
    assert page.locator("#count").inner_text() == f"{COUNT + 2} shown"
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    page.wait_for_function("document.querySelectorAll('#list tbody tr').length > 100")
    while page.locator("#more").is_visible():
        page.locator("#more").focus()
        page.keyboard.press("Enter")
    assert len(set(shown(page))) == COUNT + 2


def test_filters_narrow_what_is_shown_together(desktop: Opened):
    page = desktop.page
    page.fill("#words", "TITLE run-99")
    assert sorted(shown(page)) == sorted(f"9.{n % 10 + 1}/run-{n}" for n in (99, *range(990, 1000)))
    assert page.locator("#count").inner_text() == f"11 of {COUNT + 2} shown"
    page.select_option("#recipe", "9.1")
    assert shown(page) == ["9.1/run-990"]
    page.select_option("#claims", "held")
    assert shown(page) == []
    page.fill("#words", "")
    page.select_option("#recipe", "")
    page.select_option("#claims", "")
    page.select_option("#state", "failed")
    assert shown(page) == ["2.6/<img src=x onerror=hacked()>#?%"]


def test_a_heading_sorts_and_turns_and_says_so(desktop: Opened):
    page = desktop.page
    page.fill("#words", "title")
    by_error = page.locator("th", has=page.locator("[data-key=after]"))
    by_error.locator("button").click()
    assert by_error.get_attribute("aria-sort") == "ascending"
    assert shown(page)[:3] == ["9.1/run-0", "9.2/run-1", "9.3/run-2"]
    by_error.locator("button").click()
    assert by_error.get_attribute("aria-sort") == "descending"
    assert shown(page)[0] == "9.10/run-999"
    page.click("[data-key=recipe]")
    assert by_error.get_attribute("aria-sort") is None
    assert shown(page)[:2] == ["9.1/run-0", "9.1/run-10"]
    page.fill("#words", "")
    page.click("[data-key=ran]")
    assert shown(page)[0] == "2.6/sweep"


def test_two_runs_stand_beside_each_other_with_all_that_differs(opened: Opened):
    page = opened.page
    pick(page, "9.4/run-13", "9.3/run-12")
    assert page.locator("#compare").is_enabled()
    page.click("#compare")
    dialog = page.locator("#comparison")
    assert dialog.is_visible()
    text = dialog.inner_text()
    differing = dialog.locator("table", has_text="grids.latent")
    assert differing.locator("tr", has_text="grids.latent").locator("td").all_text_contents() == ["9", "8"]
    largest = dialog.locator("tr", has_text="ablated, largest error").locator("td").all_text_contents()
    assert largest == ["0.00130", "0.00120", "−1.00e-4"]
    assert "does not hold" in text
    figures = dialog.locator("img")
    figures.first.scroll_into_view_if_needed()
    page.wait_for_function("document.querySelector('#comparison img').naturalWidth > 0")
    assert ".dark.png" in figures.first.evaluate("image => image.currentSrc") or opened.theme == "light"
    assert all(image.get_attribute("alt") for image in figures.all())
    assert dialog.evaluate("dialog => dialog.scrollWidth - dialog.clientWidth") <= 0
    assert opened.overflow() <= 0


def test_a_third_pick_takes_the_place_of_the_first_and_all_can_be_cleared(desktop: Opened):
    page = desktop.page
    pick(page, "9.4/run-13", "9.3/run-12", "9.2/run-11")
    tray = page.locator("#tray")
    assert "run-13" not in tray.inner_text()
    assert "run-11" in tray.inner_text()
    page.click("#clear")
    assert not tray.is_visible()
    page.fill("#words", "run-1")
    assert page.locator("#list tbody input:checked").count() == 0


def test_everything_is_done_by_keyboard_alone(desktop: Opened):
    page, keys = desktop.page, desktop.page.keyboard
    keys.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    assert page.locator(".skip").bounding_box()["x"] >= 0
    keys.press("/")
    keys.type("run-99")
    assert page.evaluate("document.activeElement.id") == "words"
    for _ in range(4):
        keys.press("Tab")
    assert page.evaluate("document.activeElement.dataset.key") == "recipe"
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline != "none"
    for _ in range(5):
        keys.press("Tab")
    keys.press("Enter")
    assert page.evaluate("document.activeElement.dataset.key") == "after"
    assert shown(page)[0] == "9.10/run-99"
    for _ in range(4):
        keys.press("Tab")
    keys.press("Space")
    for _ in range(2):
        keys.press("Tab")
    keys.press("Space")
    page.locator("#compare").focus()
    keys.press("Enter")
    assert page.locator("#comparison").is_visible()
    assert page.evaluate("document.activeElement.closest('dialog') !== null")
    keys.press("Escape")
    assert not page.locator("#comparison").is_visible()
    assert page.evaluate("document.activeElement.id") == "compare"


def test_names_that_are_markup_are_read_as_they_are(desktop: Opened):
    page = desktop.page
    page.fill("#words", "hacked")
    assert shown(page) == ["2.6/<img src=x onerror=hacked()>#?%"]
    assert HOSTILE in (page.locator("#list tbody th").text_content() or "")
    page.locator("#list tbody input").check()
    pick(page, "9.1/run-0")
    page.click("#compare")
    assert HOSTILE in (page.locator("#comparison").text_content() or "")
    assert page.evaluate("window.hacked") is None
    assert page.locator("#list tbody img[src=x], #comparison img[src=x]").count() == 0
    assert "<b>broken" in page.locator(".unreadable").inner_text()


def test_every_link_leads_to_a_report_that_is_there(desktop: Opened, index: Path):
    page = desktop.page
    for words in ("hacked", "sweep"):
        page.fill("#words", words)
        link = page.locator("#list tbody a")
        assert link.count() == 1
        page.goto(link.evaluate("link => link.href"))
        assert page.locator("h1").count() == 1
        page.goto(index.as_uri())


def test_the_page_has_the_theme_of_the_reader_and_never_scrolls_sideways(opened: Opened):
    page = opened.page
    red, green, blue = (int(THEMES[opened.theme].page[start : start + 2], 16) for start in (1, 3, 5))
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == f"rgb({red}, {green}, {blue})"
    assert opened.overflow() <= 0
    page.fill("#words", "hacked")
    assert opened.overflow() <= 0
    for button in page.locator("#list thead button").all():
        assert button.is_visible()
    for cell in page.locator("#list tbody tr").first.locator("td").all():
        assert cell.is_visible() or not cell.text_content()


def test_on_paper_there_are_the_runs_and_no_controls(desktop: Opened):
    page = desktop.page
    pick(page, "9.4/run-13")
    page.emulate_media(media="print")
    assert not page.locator("#filters").is_visible()
    assert not page.locator("#tray").is_visible()
    assert page.locator("#list tbody tr").first.is_visible()
