"""A folder of runs as one page: to filter, to sort, to set two beside each other. No server, no network.

What the page shows of the runs is in it as data; reports and figures stay where they are and are linked. Thumbnails are
the figures themselves, which a browser fetches as they come into view: downscaled copies in the page would cost
megabytes and seconds for a thousand runs, and nothing is gained where the figures lie beside it.
"""

import json
import os
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from excise.errors import RunError
from excise.record.files import strict, write_atomically
from excise.report.listing import duration, natural, when
from excise.report.resources import resource, template
from excise.runs import Digest, digests_in
from excise.runs.figures import figure_names

__all__ = ["Index", "build_index"]


class Index(NamedTuple):
    """What was written: the page, how many runs it shows, and how many folders it could not read."""

    path: Path
    runs: int
    unreadable: int


def build_index(folder: str | PathLike[str], out: str | PathLike[str] | None = None) -> Index:
    """Write one page over all runs in a folder.

    Args:
        folder: where the runs are.
        out: the page; `index.html` in the folder if not given. Its links to the runs are relative.

    Raises:
        RunError: there is no such folder, or the page cannot be written.
    """
    page = Path(folder) / "index.html" if out is None else Path(out)
    if page.is_dir():
        raise RunError(f"{page} is a folder: name the page to write, such as {page / 'index.html'}.")
    digests, unreadable = digests_in(folder)
    digests.sort(key=lambda digest: digest.run.started, reverse=True)
    recipes = sorted({digest.run.recipe for digest in digests}, key=natural)
    text = template("index.html.j2").render(
        folder=_text(Path(folder).resolve().name),
        made=f"{datetime.now(UTC):%Y-%m-%d %H:%M}",
        style=resource("page.css") + resource("index.css"),
        script=resource("index.js"),
        data=_as_script(_data(digests, page.parent)),
        count=len(digests),
        recipes=[_text(name) for name in recipes],
        states=sorted({digest.state for digest in digests}),
        unreadable=[(_text(_relative(each.path, page.parent)), _text(each.reason)) for each in unreadable],
    )
    write_atomically(page, lambda temporary: temporary.write_text(text, encoding="utf-8"))
    return Index(page, len(digests), len(unreadable))


class _Once:
    """Each distinct value once, in the order they came: what many runs share is in the page a single time."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._places: dict[Hashable, int] = {}

    def place(self, key: Hashable, value: object) -> int:
        """Where the value is; it is added when its key is new."""
        if key not in self._places:
            self._places[key] = len(self.values)
            self.values.append(value)
        return self._places[key]


@dataclass(frozen=True)
class _Shared:
    """What runs have in common: the specs of recipes, names of numbers, texts of claims, lists of figures."""

    specs: _Once = field(default_factory=_Once)
    keys: _Once = field(default_factory=_Once)
    claims: _Once = field(default_factory=_Once)
    figures: _Once = field(default_factory=_Once)


def _data(digests: Sequence[Digest], base: Path) -> dict[str, Any]:
    """What the script of the page works on; a run refers to what it shares with others by its place in a list."""
    shared = _Shared()
    runs = [_run(digest, base, shared) for digest in digests]
    return {"runs": runs, **{each.name: getattr(shared, each.name).values for each in fields(shared)}}


def _run(digest: Digest, base: Path, shared: _Shared) -> dict[str, Any]:
    run, place = digest.run, _relative(digest.path, base)
    spec = _flat(run.record.spec)
    at = shared.specs.place(run.recipe, spec)
    names = figure_names(digest.path)
    report = run.report
    shown = {
        "path": _text(place),
        "href": quote(os.fsencode(place)),
        "id": _text(digest.path.name),
        "recipe": _text(run.recipe),
        "title": _text(str(run.record.spec.get("title", ""))),
        "kind": digest.kind,
        "state": digest.state,
        "error": _text(run.error or ""),
        "asked": digest.asked,
        "ran": digest.ran if digest.kind == "sweep" else digest.asked,
        "passed": digest.passed,
        "of": digest.of,
        "units": digest.units,
        "before": _round(digest.before),
        "after": _round(digest.after),
        "selectivity": _round(digest.selectivity),
        "edited": digest.edited,
        "started": run.started.timestamp(),
        "when": when(digest),
        "seconds": digest.seconds,
        "took": duration(digest.seconds),
        "report": None if report is None else report.name,
        "spec": [at, _changes(shared.specs.values[at], spec)],
        "keys": shared.keys.place(tuple(digest.numbers), list(map(_text, digest.numbers))),
        "numbers": [_round(value) for value in digest.numbers.values()],
        "claims": [
            [
                shared.claims.place(verdict.claim, _text(verdict.claim)),
                verdict.passed,
                verdict.of,
                _round(verdict.measured),
            ]
            for verdict in digest.verdicts
        ],
        "figures": shared.figures.place(
            tuple(names), [[_text(name), quote(os.fsencode(name))] for name in names]
        ),
        "thumbnail": _thumbnail(digest, names),
    }
    return {name: value for name, value in shown.items() if value not in (None, "")}


def _thumbnail(digest: Digest, names: Sequence[str]) -> int | None:
    """The place of the figure that stands for a run: what the colours became, or else the first there is."""
    wanted = (f"colors-{digest.edited}", "front", f"best-{digest.edited}", "metrics")
    found = next((name for name in wanted if name in names), names[0] if names else None)
    return None if found is None else list(names).index(found)


def _flat(content: object, place: str = "") -> dict[str, object]:
    """A spec as "place: value", its lists and tables taken apart."""
    if isinstance(content, Mapping) and content:
        parts = content.items()
    elif isinstance(content, list) and any(isinstance(each, list | dict) for each in content):
        parts = enumerate(content)
    else:
        return {place: _text(content) if isinstance(content, str) else content}
    flat: dict[str, object] = {}
    for key, value in parts:
        flat |= _flat(value, _text(f"{place}.{key}" if place else str(key)))
    return flat


def _changes(first: Mapping[str, object], spec: Mapping[str, object]) -> dict[str, list[object]]:
    """What a spec has otherwise than the first of its recipe: the value in a list, or an empty one where it is gone."""
    changed = {key: [value] for key, value in spec.items() if key not in first or first[key] != value}
    return changed | {key: [] for key in first if key not in spec}


def _relative(path: Path, base: Path) -> str:
    """The path from the page's folder, with forward slashes."""
    return Path(os.path.relpath(path, base)).as_posix()


def _round(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")


def _text(name: str) -> str:
    """A name that can be written, whatever bytes a file system gave it."""
    return name.encode("utf-8", "replace").decode("utf-8")


def _as_script(data: object) -> str:
    """JSON that nothing in it can end early: no character opens a tag, a comment or an entity."""
    text = json.dumps(strict(data), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
