"""Pages in headless Chromium, with all that goes wrong in them and all that they ask for."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from excise.figures.theme import DARK, LIGHT

__all__ = ["SIZES", "THEMES", "Opened", "chromium"]

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
]
SIZES = {"desktop": {"width": 1280, "height": 900}, "phone": {"width": 390, "height": 844}}
THEMES = {"light": LIGHT, "dark": DARK}
IMAGES = """images => images.map(image => ({
    complete: image.complete, width: image.naturalWidth, height: image.naturalHeight, alt: image.alt,
    shown: image.currentSrc, light: image.getAttribute("src"),
    dark: image.parentElement.querySelector("source").srcset,
    drawn: image.getBoundingClientRect().width / image.getBoundingClientRect().height}))"""


@dataclass
class Opened:
    """A report in a browser, with all that went wrong and all that it asked for since it was opened."""

    page: Any
    theme: str
    problems: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def open(self, report: Path) -> "Opened":
        self.page.on("console", lambda message: self.problems.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(report.as_uri(), wait_until="load")
        return self

    def network(self) -> list[str]:
        """Requests that leave the machine's own files."""
        return [url for url in self.requests if not url.startswith(("file:", "data:"))]

    def images(self) -> list[dict[str, Any]]:
        return self.page.eval_on_selector_all("img", IMAGES)

    def overflow(self) -> int:
        """By how many pixels the whole page can be scrolled sideways."""
        return self.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")


@contextmanager
def chromium() -> Iterator[Any]:
    """Headless Chromium with a fresh profile; a test is skipped where there is none."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        reason = f"no browser: none of {', '.join(BROWSERS)} is installed"
        (pytest.fail if os.environ.get("EXCISE_REQUIRE_BROWSER") else pytest.skip)(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
        yield browser
        browser.close()
