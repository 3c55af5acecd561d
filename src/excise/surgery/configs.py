"""Which changes of a Hugging Face config let it say what an edited model is: found by trying.

A config gives one width to all layers of a kind. Fields that hold an old size get the new one, a model of the changed
config is built without weights, and what differs from the edited model is counted; the change that leaves least stays,
until nothing differs. The config that is tried is the one that a reload would read, so what is left out of
`config.json` does not count.
"""

import copy
import json
import math
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from excise.surgery.copying import same_randomness

__all__ = ["Changes", "Search", "built", "listed", "set_fields"]

Config = Any
"""A PreTrainedConfig; the library is not imported here."""

Field = tuple[str, ...]
"""A field of a config, behind the names of the configs inside it that hold it."""

Changes = Mapping[Field, Any]

_MOST_FIELDS = 6
_CHOICES = ("_attn_implementation", "_experts_implementation")


def built(model: nn.Module, changes: Changes) -> nn.Module:
    """A fresh model of the class of `model`, from its config with some changes, as it would be read from a file.

    Raises:
        Exception: whatever the config or the class has against it.
    """
    config: Config = model.config
    written = _changed(config, changes)
    read = type(written).from_dict(json.loads(written.to_json_string(use_diff=True)))
    for choice in _CHOICES:
        if hasattr(config, choice):
            setattr(read, choice, getattr(config, choice))
    with warnings.catch_warnings(), same_randomness(model):
        # What the library says about a config was said when the user built the model.
        warnings.simplefilter("ignore")
        return type(model)(read)


@dataclass
class _Differences:
    """How a fresh model of a config differs from the edited one.

    Attributes:
        texts: each difference, for people.
        sizes: old and new sizes of axes that differ.
        floats: old and new values of numbers that differ.
        hopeless: whether modules differ, which no number in a config makes up for.
    """

    texts: list[str] = field(default_factory=list)
    sizes: set[tuple[int, int]] = field(default_factory=set)
    floats: set[tuple[float, float]] = field(default_factory=set)
    hopeless: bool = False


class Search:
    """Looks for changes of a config after which a fresh model is like the edited one, weights aside.

    Attributes:
        found: the changes; empty where none are needed, None where none will do.
        reason: why none will do, as whole sentences.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.config: Config = model.config
        self.tensors = _tensors(model)
        self.ties = _ties(self.tensors)
        self.modules = dict(model.named_modules(remove_duplicate=False))
        self.forbidden = ""
        self.reason = ""
        self.found = self._find()

    def explain(self, *differences: str) -> None:
        """Say why no config will do."""
        kind, config = type(self.model).__name__, type(self.config).__name__
        more = f" and {len(differences) - 3} more like this" if len(differences) > 3 else ""
        self.reason = (
            f"no {config} can say what this edited {kind} is, so that `from_pretrained` would build another model: "
            f"{'; '.join(differences[:3])}{more}. {self.forbidden}Edit every layer alike where the config has one "
            f"number for all of them, or keep it with `excise.surgery.save(model, folder)` and get it back with "
            f"`excise.surgery.load(fresh_model, folder)`."
        )

    def _find(self) -> Changes | None:
        made: dict[Field, Any] = {}
        try:
            at_first = left = self._differences(made)
        # What a class asks for, and what its config allows, is its own.
        except Exception as error:
            self.explain(f"a fresh one cannot be built from its config ({type(error).__name__}: {error})")
            return None
        while left.texts and not left.hopeless and len(made) < _MOST_FIELDS:
            best = self._best(left, made)
            if best is None:
                break
            made |= best[0]
            left = best[1]
        if left.texts:
            self.explain(*at_first.texts)
            return None
        return made

    def _best(
        self, left: _Differences, made: dict[Field, Any]
    ) -> tuple[dict[Field, Any], _Differences] | None:
        """The change that leaves the fewest differences, if fewer than there are."""
        best, fewest = None, len(left.texts)
        for tried in self._proposals(left, made):
            try:
                found = self._differences(made | tried)
            except Exception as error:
                self._forbid(tried, error)
                continue
            if len(found.texts) < fewest:
                best, fewest = (tried, found), len(found.texts)
            if not fewest:
                break
        return best

    def _proposals(self, left: _Differences, made: dict[Field, Any]) -> Iterator[dict[Field, Any]]:
        """Changes that may make up for some of the differences, the likeliest first."""
        config = _changed(self.config, made)
        fields = list(_fields(config))
        for old, new in sorted(left.floats):
            for name, value in fields:
                if type(value) is float and math.isclose(value, old, rel_tol=1e-9):
                    yield {name: new}
        likely = [
            {name: new}
            for old, new in sorted(left.sizes)
            for name, value in fields
            if value == old or (value is None and not name[-1].endswith("_id"))
        ]
        # A number of heads times a fixed size is a width.
        likely += [
            {name: value * new // old}
            for old, new in sorted(left.sizes)
            for name, value in fields
            if type(value) is int and 1 <= value < old and old % value == 0 and (value * new) % old == 0
        ]
        pinned = self._head_dim()
        for tried in likely:
            yield tried
            for name in tried:
                explicit = (*name[:-1], "head_dim")
                if pinned is not None and _get_field(config, explicit) is None and explicit != name:
                    yield {explicit: pinned, **tried}

    def _differences(self, changes: Changes) -> _Differences:
        with torch.device("meta"):
            fresh = built(self.model, changes)
        found = _Differences()
        modules = dict(fresh.named_modules(remove_duplicate=False))
        for path, module in self.modules.items():
            self._compare_modules(path, module, modules.get(path), found)
        tensors = _tensors(fresh)
        for name in self.tensors.keys() ^ tensors.keys():
            found.texts.append(f"{name!r} is {'only' if name in tensors else 'not'} in a fresh one")
        for name in self.tensors.keys() & tensors.keys():
            has, gets = tuple(self.tensors[name].shape), tuple(tensors[name].shape)
            if has != gets:
                found.texts.append(f"{name!r} is {list(has)}, and {list(gets)} in a fresh one")
                if len(has) == len(gets):
                    found.sizes |= {(old, new) for old, new in zip(gets, has, strict=True) if old != new}
        if self.ties != _ties(tensors):
            found.texts.append("other tensors are tied in a fresh one")
        found.texts.sort()
        return found

    @staticmethod
    def _compare_modules(path: str, module: nn.Module, other: nn.Module | None, found: _Differences) -> None:
        if type(module) is not type(other):
            kind = "missing" if other is None else f"a {type(other).__name__}"
            found.texts.append(f"{path!r} is a {type(module).__name__}, and {kind} in a fresh one")
            found.hopeless = True
            return
        for name, value in _floats(module):
            fresh = vars(other).get(name)
            if not isinstance(fresh, float):
                found.texts.append(f"{f'{path}.{name}'!r} is {value:.6g}, and {fresh!r} in a fresh one")
            elif not math.isclose(fresh, value, rel_tol=1e-9):
                found.texts.append(f"{f'{path}.{name}'!r} is {value:.6g}, and {fresh:.6g} in a fresh one")
                found.floats.add((fresh, value))

    def _head_dim(self) -> int | None:
        """The size of a head, where all modules that note one agree."""
        noted = {vars(module).get("head_dim") for module in self.modules.values()} - {None}
        found = noted.pop() if len(noted) == 1 else None
        return found if isinstance(found, int) else None

    def _forbid(self, changes: Changes, error: Exception) -> None:
        """Note what the config says against the likeliest change of itself."""
        if not self.forbidden and all(type(_get_field(self.config, name)) is int for name in changes):
            said = " ".join(str(error).split()).rstrip(".")
            self.forbidden = f"With {listed(changes)}, it says: {said}. "


def listed(changes: Changes) -> str:
    """Changes, for people."""
    return ", ".join(f"{'.'.join(name)} = {value}" for name, value in changes.items()) or "the same config"


def set_fields(config: Config, changes: Changes) -> None:
    """Change a config, in place."""
    for name, value in changes.items():
        held = config
        for part in name[:-1]:
            held = getattr(held, part)
        setattr(held, name[-1], value)


def _changed(config: Config, changes: Changes) -> Config:
    made = copy.deepcopy(config)
    set_fields(made, changes)
    return made


def _get_field(config: Config, name: Field) -> Any:  # noqa: ANN401 - a field of any kind
    for part in name[:-1]:
        config = getattr(config, part)
    return getattr(config, name[-1], None)


def _fields(config: Config, inside: Field = ()) -> Iterator[tuple[Field, Any]]:
    """The numbers that a config holds, and the configs inside it; None may stand for a number."""
    for name, value in vars(config).items():
        if name.startswith("_"):
            continue
        if type(value) in (int, float) or value is None:
            yield (*inside, name), value
        elif hasattr(value, "to_json_string"):
            yield from _fields(value, (*inside, name))


def _tensors(model: nn.Module) -> dict[str, Tensor]:
    return {
        **dict(model.named_parameters(remove_duplicate=False)),
        **dict(model.named_buffers(remove_duplicate=False)),
    }


def _ties(tensors: Mapping[str, Tensor]) -> set[frozenset[str]]:
    """The sets of names of one tensor."""
    names: dict[int, list[str]] = {}
    for name, tensor in tensors.items():
        names.setdefault(id(tensor), []).append(name)
    return {frozenset(same) for same in names.values() if len(same) > 1}


def _floats(module: nn.Module) -> Iterator[tuple[str, float]]:
    """The numbers that a module computes with; the rates of dropout count in training alone, and may be set at will."""
    if not isinstance(module, nn.modules.dropout._DropoutNd):
        for name, value in vars(module).items():
            if isinstance(value, float) and "drop" not in name:
                yield name, value
