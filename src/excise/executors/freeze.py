"""Lists what a worker must have installed to compute what this machine computes: exact versions, and the user's code.

Only what excise and the chosen extras need is listed, not all that happens to be installed here. What is installed from
a folder of this machine cannot be downloaded elsewhere; it is named apart, as the code to send along.
"""

import json
import platform
import sys
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution, distributions
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from excise.errors import MissingExtraError, SettingError, UnknownNameError
from excise.extras import EXTRAS

__all__ = ["Frozen", "freeze"]


@dataclass(frozen=True)
class Frozen:
    """An environment on paper.

    Attributes:
        python: the version of Python, to the minor.
        extras: the extras that were asked for.
        requirements: `name==version`, sorted; what came from a repository or an address, with that.
        own: names that code of this machine is imported by, excise among them where it is installed from a folder.
        notes: what differs here from what is written, a sentence each.
    """

    python: str
    extras: tuple[str, ...]
    requirements: tuple[str, ...]
    own: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """A requirements file for pip or uv, with what it is in its first lines."""
        extras = f"[{','.join(self.extras)}]" if self.extras else ""
        head = [
            f"What excise{extras} runs with: Python {self.python}, on {sys.platform} ({platform.machine()})."
        ]
        if self.own:
            head.append(f"Not to be downloaded, and to be sent along: {', '.join(self.own)}.")
        return "\n".join([*(f"# {line}" for line in [*head, *self.notes]), *self.requirements]) + "\n"

    def runtime_env(self) -> dict[str, Any]:
        """The same for the workers of a Ray cluster, as Ray takes it: what is installed there, and what is sent."""
        places = {name: _place_of(name) for name in self.own}
        here = next((line for line in self.requirements if line.startswith("ray==")), None)
        return {
            # A cluster's Ray is the one that its nodes were started with.
            "pip": [line for line in self.requirements if line != here],
            "py_modules": [str(place) for place in places.values() if place is not None],
        }


def freeze(extras: Iterable[str] = (), modules: Iterable[str] = ()) -> Frozen:
    """The exact versions that excise, the extras and the user's own packages need, as installed here.

    Args:
        extras: of excise, as in `pip install 'excise[ray]'`.
        modules: that functions to be carried out come from; the user's own among them are listed as own, and what
            their packages require is listed too.

    Raises:
        UnknownNameError: no such extra.
        MissingExtraError: an extra is not installed.
        SettingError: something else that is required is not installed.
    """
    chosen = tuple(dict.fromkeys(extras))
    for extra in chosen:
        if extra not in EXTRAS:
            raise UnknownNameError(extra, EXTRAS, "among the extras of excise")
    walk = _Walk()
    walk.require(Requirement(f"excise[{','.join(chosen)}]" if chosen else "excise"), "this command", None)
    for extra in chosen:
        for package in EXTRAS[extra].packages:
            walk.require(Requirement(package), "excise", extra)
    own = {name for name in (module.partition(".")[0] for module in modules) if _is_own(name)}
    for local in _local_distributions():
        names = _import_names(local)
        if names & own or canonicalize_name(local.name) in walk.seen:
            own |= names
            walk.require(Requirement(local.name), "this command", None)
    return Frozen(
        python=".".join(platform.python_version_tuple()[:2]),
        extras=chosen,
        requirements=tuple(sorted(walk.lines, key=str.casefold)),
        own=tuple(sorted(own)),
        notes=tuple(walk.notes),
    )


class _Walk:
    """Goes through what distributions require, each with the extras that it is required with."""

    def __init__(self) -> None:
        self.seen: dict[str, set[str]] = {}
        self.lines: list[str] = []
        self.notes: list[str] = []

    def require(self, asked: Requirement, by: str, extra: str | None) -> None:
        """Note a distribution and all that it requires; `extra` is the extra of excise that led here."""
        name = canonicalize_name(asked.name)
        extras = {"", *asked.extras}
        if name in self.seen and extras <= self.seen[name]:
            return
        try:
            found = distribution(asked.name)
        except PackageNotFoundError:
            if extra is not None:
                raise MissingExtraError(asked.name, extra, f"freezing the extra {extra!r}") from None
            raise SettingError(
                f"{by} requires {asked.name}, which is not installed: pip install {asked.name}"
            ) from None
        if name not in self.seen:
            self._note(found)
        self.seen[name] = self.seen.get(name, set()) | extras
        for line in found.requires or ():
            requirement = Requirement(line)
            leading = [
                one
                for one in extras
                if requirement.marker is None or requirement.marker.evaluate({"extra": one})
            ]
            if leading:
                of_excise = next((one for one in leading if one), None) if name == "excise" else None
                self.require(requirement, asked.name, extra or of_excise)

    def _note(self, found: Distribution) -> None:
        origin = _origin(found)
        if "dir_info" in origin:
            return
        version, _, label = found.version.partition("+")
        if "vcs_info" in origin:
            vcs = origin["vcs_info"]
            self.lines.append(f"{found.name} @ {vcs['vcs']}+{origin['url']}@{vcs['commit_id']}")
            return
        if str(origin.get("url", "")).startswith("https:"):
            self.lines.append(f"{found.name} @ {origin['url']}")
            return
        self.lines.append(f"{found.name}=={version}")
        if label:
            self.notes.append(
                f"{found.name} is {version}+{label} here; which build another machine gets, its package index says."
            )


def _origin(found: Distribution) -> dict[str, Any]:
    """Where a distribution was installed from, if not by its name from a package index."""
    text = found.read_text("direct_url.json")
    return json.loads(text) if text else {}


def _local_distributions() -> list[Distribution]:
    return [found for found in distributions() if "dir_info" in _origin(found)]


def _import_names(found: Distribution) -> set[str]:
    """What a distribution that was installed from a folder is imported by."""
    files = found.files or []
    names = {file.parts[0].removesuffix(".py") for file in files if file.suffix == ".py"}
    for file in files:
        if file.suffix != ".pth" or len(file.parts) > 1:
            continue
        for line in Path(str(file.locate())).read_text(encoding="utf-8").splitlines():
            names |= _modules_in(Path(line.strip()), found.name)
    return {name for name in names if name.isidentifier()}


def _modules_in(folder: Path, distribution_name: str) -> set[str]:
    """The module of the distribution's name in a folder; if there is none, all packages in it."""
    named = canonicalize_name(distribution_name).replace("-", "_")
    if (folder / named).is_dir() or (folder / f"{named}.py").is_file():
        return {named}
    return {init.parent.name for init in folder.glob("*/__init__.py")} if folder.is_dir() else set()


def _is_own(module: str) -> bool:
    """Whether a module is code of the user's: neither of Python nor installed from a package index."""
    if module in sys.stdlib_module_names or module == "__main__":
        return False
    place = _place_of(module)
    if place is None:
        return False
    installed = {Path(sysconfig.get_path(kind)).resolve() for kind in ("purelib", "platlib")}
    return not any(place.resolve().is_relative_to(folder) for folder in installed)


def _place_of(module: str) -> Path | None:
    """The folder of a package or the file of a module; None where it has neither."""
    found = find_spec(module)
    if found is None:
        return None
    if found.submodule_search_locations:
        return Path(next(iter(found.submodule_search_locations)))
    return Path(found.origin) if found.origin and found.has_location else None
