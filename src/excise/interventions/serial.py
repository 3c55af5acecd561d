"""Interventions as JSON-ready tables, and back: `{"kind": "Suppression", "basis": [[...]], "falloff": {...}}`.

A table holds what the constructor takes, under the same names, and nothing else; what is read back equals what was
written and edits to the same bits. A falloff or a mapper is a table of its own, inside that of its intervention.
"""

from collections.abc import Callable, Mapping
from types import UnionType
from typing import Any, TypeVar, overload

from excise.errors import ExciseError, SettingError, UnknownNameError, nearest, shorten
from excise.interventions.base import Intervention
from excise.interventions.falloff import (
    BezierMapper,
    BoundedFalloff,
    Falloff,
    LinearMapper,
    Mapper,
    TabulatedMapper,
)
from excise.interventions.repulsion import Repulsion
from excise.interventions.suppression import AxisAlignedSuppression, Suppression

__all__ = ["as_spec", "from_spec"]

Described = Intervention | Falloff | Mapper
"""What has a table."""

Kind = TypeVar("Kind", Intervention, Falloff, Mapper)


def as_spec(intervention: Described) -> dict[str, Any]:
    """The table of an intervention, a falloff or a mapper: strings, numbers and lists, ready for JSON.

    Raises:
        SettingError: it, or the falloff or mapper inside it, is not one of this package's, so that nothing could
            read its table back.
    """
    kind = type(intervention)
    if kind not in _FIELDS:
        raise SettingError(
            f"only interventions, falloffs and mappers of excise are saved ({shorten(_KINDS)}); "
            f"{intervention!r} came."
        )
    return {"kind": kind.__name__, **{name: _plain(getattr(intervention, name)) for name in _FIELDS[kind]}}


@overload
def from_spec(spec: Mapping[str, Any]) -> Described: ...
@overload
def from_spec(spec: Mapping[str, Any], expected: type[Kind]) -> Kind: ...
def from_spec(spec: Mapping[str, Any], expected: type | None = None) -> Described:
    """The intervention, falloff or mapper that a table describes.

    Args:
        spec: a table as `as_spec` writes it.
        expected: `Intervention`, `Falloff` or `Mapper`, where only that will do.

    Raises:
        UnknownNameError: there is no such kind; the nearest are named.
        SettingError: what came is no table of the expected sort, a key is missing or unknown, or a value is of the
            wrong type or outside its range; the message starts with the place, as in "Suppression.falloff.start".
    """
    return _read(spec, expected or Described, "")


def _read(spec: object, expected: type | UnionType, place: str) -> Any:  # noqa: ANN401 - of the expected kind
    start = f"{place}: " if place else ""
    wanted = [known for known, kind in _KINDS.items() if issubclass(kind, expected)]
    if not isinstance(spec, Mapping) or not isinstance(spec.get("kind"), str):
        raise SettingError(
            f"{start}a table with a `kind` is needed, one of {shorten(wanted)}; {spec!r} came."
        )
    name = spec["kind"]
    if name not in _KINDS:
        raise UnknownNameError(name, wanted, f"for {place}" if place else "among what can be saved")
    if name not in wanted:
        raise SettingError(f"{start}one of {shorten(wanted)} is needed; {name!r} came.")
    kind = _KINDS[name]
    fields = _FIELDS[kind]
    here = place or name
    for key in spec:
        if key != "kind" and key not in fields:
            near = nearest(str(key), fields)
            meant = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
            raise SettingError(f"{here} has no {key!r}.{meant} It takes {shorten(fields)}.")
    missing = [key for key in fields if key not in spec]
    if missing:
        raise SettingError(f"{here} lacks {shorten(missing)}; it takes {shorten(fields)}.")
    settings = {key: read(spec[key], f"{here}.{key}") for key, read in fields.items()}
    try:
        return kind(**settings)
    except ExciseError as error:
        raise SettingError(f"{here}: {error}") from error


def _number(value: object, place: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SettingError(f"{place} is a number; {value!r} came.")
    return value


def _whole(value: object, place: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise SettingError(f"{place} is a whole number; {value!r} came.")
    return value


def _list_of(read: Callable[[object, str], Any]) -> Callable[[object, str], tuple[Any, ...]]:
    def read_list(value: object, place: str) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple):
            raise SettingError(f"{place} is a list; {value!r} came.")
        return tuple(read(item, f"{place}[{index}]") for index, item in enumerate(value))

    return read_list


def _falloff(value: object, place: str) -> Falloff:
    return _read(value, Falloff, place)


def _mapper(value: object, place: str) -> Mapper:
    return _read(value, Mapper, place)


def _plain(value: object) -> object:
    """A setting as JSON has it."""
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return as_spec(value) if isinstance(value, Described) else value


_NUMBERS = _list_of(_number)

_FIELDS: dict[type, dict[str, Callable[[object, str], Any]]] = {
    Suppression: {"basis": _list_of(_NUMBERS), "falloff": _falloff},
    AxisAlignedSuppression: {"dims": _list_of(_whole)},
    Repulsion: {"direction": _NUMBERS, "mapper": _mapper, "seed": _whole},
    BoundedFalloff: {"start": _number, "strength": _number, "power": _number},
    LinearMapper: {"start": _number, "end": _number},
    BezierMapper: {"start": _number, "end": _number, "end_slope": _number},
    TabulatedMapper: {"start": _number, "end": _number, "values": _NUMBERS},
}
"""What the table of each kind holds, in order, and how each entry is read."""

_KINDS: dict[str, type] = {kind.__name__: kind for kind in _FIELDS}
