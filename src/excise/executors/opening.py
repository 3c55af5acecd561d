"""Opens executors by name."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from excise.errors import SettingError, nearest, shorten
from excise.executors.base import Executor
from excise.executors.inline import Inline
from excise.executors.processes import Processes

__all__ = ["EXECUTORS", "Asked", "Kind", "open_executor", "parse_settings"]


@dataclass(frozen=True)
class Asked:
    """What an executor is opened with.

    Attributes:
        slots: how many functions run at once; None leaves that to the executor.
        address: where the engine is; None where that was not said.
        settings: what else was said of the engine, each as KEY=VALUE.
    """

    slots: int | None = None
    address: str | None = None
    settings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Kind:
    """One kind of executor.

    Attributes:
        open: makes it.
        is_what: where it carries functions out.
        takes_address: whether an address means something to it.
        takes_settings: which settings it takes, for people; empty for none.
    """

    open: Callable[[Asked], Executor]
    is_what: str
    takes_address: bool = False
    takes_settings: str = ""


def _ray(asked: Asked) -> Executor:
    from excise.executors.freeze import freeze
    from excise.executors.ray import RayExecutor

    settings = parse_settings(
        asked.settings, {"retries": int, "shares_files": bool, "same_environment": bool}
    )
    environment = freeze().runtime_env() if settings.pop("same_environment", False) else None
    return RayExecutor(asked.address, slots=asked.slots, runtime_env=environment, **settings)


def _slurm(asked: Asked) -> Executor:
    from excise.executors.slurm import SlurmExecutor
    from excise.executors.slurm_parameters import parse_parameters

    own = [text for text in asked.settings if text.partition("=")[0] in _SLURM]
    parameters = parse_parameters(text for text in asked.settings if text not in own)
    return SlurmExecutor(slots=asked.slots, parameters=parameters, **parse_settings(own, _SLURM))


def _modal(asked: Asked) -> Executor:
    from excise.executors.modal import ModalExecutor

    settings = parse_settings(asked.settings, {**_MODAL, **_MODAL_RESOURCES})
    resources = {name: settings.pop(name) for name in _MODAL_RESOURCES if name in settings}
    return ModalExecutor(slots=asked.slots, resources=resources, **settings)


_SLURM = {"cluster": str, "folder": str}
_MODAL = {"app_name": str, "volume": str, "index_url": str, "timeout_min": float}
_MODAL_RESOURCES = {"cpu": float, "memory": int, "gpu": str, "region": str}

EXECUTORS = {
    "inline": Kind(lambda _asked: Inline(), "this process"),
    "processes": Kind(lambda asked: Processes(asked.slots), "processes of this machine"),
    "ray": Kind(
        _ray, "a Ray cluster", takes_address=True, takes_settings="retries, shares_files, same_environment"
    ),
    "slurm": Kind(
        _slurm, "jobs of Slurm", takes_settings="partition, time, mem_gb and the like; cluster, folder"
    ),
    "modal": Kind(_modal, "functions on Modal", takes_settings=", ".join((*_MODAL, *_MODAL_RESOURCES))),
}
"""Every kind of executor, by the name that `--executor` takes."""


def open_executor(
    name: str, *, slots: int | None = None, address: str | None = None, settings: Iterable[str] = ()
) -> Executor:
    """An executor by its name.

    Args:
        name: one of `EXECUTORS`.
        slots: how many functions run at once; None leaves that to the executor.
        address: where the engine is, for those that have an address.
        settings: what else the engine takes, each as KEY=VALUE: `partition=gpu` for Slurm.

    Raises:
        SettingError: no such executor, or an address or a setting that it does not take.
        MissingExtraError: the extra that it needs is not installed.
        UnreachableError: the engine does not answer, or lets nobody in.
    """
    if name not in EXECUTORS:
        hint = nearest(name, EXECUTORS)
        meant = f" Did you mean {' or '.join(map(repr, hint))}?" if hint else ""
        raise SettingError(f"there is no executor {name!r}.{meant} Known: {shorten(EXECUTORS)}.")
    kind = EXECUTORS[name]
    asked = Asked(slots, address, tuple(settings))
    if address is not None and not kind.takes_address:
        raise SettingError(f"the executor {name!r} has no address; {address!r} came. Leave --address out.")
    if asked.settings and not kind.takes_settings:
        raise SettingError(f"the executor {name!r} takes no settings; {shorten(asked.settings)} came.")
    return kind.open(asked)


def parse_settings(texts: Iterable[str], kinds: Mapping[str, type]) -> dict[str, Any]:
    """Settings as they are written on a command line.

    Args:
        texts: each a KEY=VALUE.
        kinds: what may be set, and what its value is: str, int, float or bool.

    Raises:
        SettingError: no `=`, an unknown key, or a value of the wrong kind.
    """
    parsed: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise SettingError(f"a setting of an engine is written KEY=VALUE; {text!r} came.")
        if key not in kinds:
            hint = nearest(key, kinds)
            meant = f" Did you mean {' or '.join(map(repr, hint))}?" if hint else ""
            raise SettingError(f"there is no setting {key!r}.{meant} Known: {shorten(kinds)}.")
        try:
            parsed[key] = _TRUTH[value.lower()] if kinds[key] is bool else kinds[key](value)
        except (ValueError, KeyError):
            raise SettingError(
                f"{key} takes a value such as {_SUCH_AS[kinds[key]]}; {value!r} came."
            ) from None
    return parsed


_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_SUCH_AS = {int: "3", float: "1.5", bool: "true", str: "a word"}
