"""The figures that a run has drawn: where each lies for a light and a dark page, and what its text says."""

import contextlib
import html
import re
from dataclasses import dataclass
from pathlib import Path

from excise.errors import RunError
from excise.record.files import read_json
from excise.showing import Html, block, picture

__all__ = ["SavedFigure", "figure_names", "figures_in"]

_DARK = ".dark"
_IN_REPORT = re.compile(r'<figure id="([^"]*)">.*?<img [^>]*?alt="([^"]*)"', re.DOTALL)


@dataclass(frozen=True)
class SavedFigure:
    """A figure on disk.

    Attributes:
        name: such as "error-ablated".
        light: for a light page.
        dark: for a dark page; None where it is missing.
        alt: its alternative text; None where neither a file beside it nor a report tells it.
    """

    name: str
    light: Path
    dark: Path | None
    alt: str | None

    def _repr_html_(self) -> str:
        return block(self.name, self.as_html(), self.alt or "")

    def as_html(self) -> Html:
        """The figure for a notebook, in the version that fits its page.

        Raises:
            RunError: a file of it is gone.
        """
        try:
            light = self.light.read_bytes()
            dark = light if self.dark is None else self.dark.read_bytes()
        except OSError as error:
            raise RunError(f"cannot read figure {self.name!r}: {error.strerror or error}.") from error
        return picture(light, dark, self.alt or f"figure {self.name}")


def figures_in(path: Path) -> dict[str, SavedFigure]:
    """The figures of the run directory `path` by their names; empty where none were drawn."""
    names = figure_names(path)
    texts = _texts(path) if names else {}
    folder = path / "figures"
    return {
        name: SavedFigure(
            name,
            folder / f"{name}.png",
            dark if (dark := folder / f"{name}{_DARK}.png").is_file() else None,
            texts.get(name),
        )
        for name in names
    }


def figure_names(path: Path) -> list[str]:
    """Which figures the run directory `path` has, in alphabetical order."""
    try:
        stems = [file.stem for file in (path / "figures").iterdir() if file.suffix == ".png"]
    except OSError:
        return []
    return sorted(stem for stem in stems if not stem.endswith(_DARK) and not stem.startswith("."))


def _texts(path: Path) -> dict[str, str]:
    """Alternative texts by the figure's name: those saved beside the figures, or else those of the report."""
    with contextlib.suppress(RunError, AttributeError, TypeError, KeyError):
        told = read_json(path / "figures" / "figures.json")
        return {name: str(figure["alt"]) for name, figure in told.items()}
    try:
        page = (path / "report.html").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    return {html.unescape(name): html.unescape(text) for name, text in _IN_REPORT.findall(page)}
