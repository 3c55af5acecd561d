"""Opens executors by name."""

from collections.abc import Callable
from dataclasses import dataclass

from excise.errors import SettingError, nearest, shorten
from excise.executors.base import Executor
from excise.executors.inline import Inline
from excise.executors.processes import Processes

__all__ = ["EXECUTORS", "open_executor"]


@dataclass(frozen=True)
class _Kind:
    """How one kind of executor is opened.

    Attributes:
        open: makes it, from the number of functions at once and an address.
        takes_address: whether an address means something to it.
        is_what: said in lists of what there is.
    """

    open: Callable[[int | None, str | None], Executor]
    takes_address: bool
    is_what: str


def _ray(slots: int | None, address: str | None) -> Executor:
    from excise.executors.ray import RayExecutor

    return RayExecutor(address, slots=slots)


def _slurm(slots: int | None, _address: str | None) -> Executor:
    from excise.executors.slurm import SlurmExecutor

    return SlurmExecutor(slots=slots)


def _modal(slots: int | None, _address: str | None) -> Executor:
    from excise.executors.modal import ModalExecutor

    return ModalExecutor(slots=slots)


EXECUTORS = {
    "inline": _Kind(lambda _slots, _address: Inline(), takes_address=False, is_what="this process"),
    "processes": _Kind(
        lambda slots, _address: Processes(slots), takes_address=False, is_what="processes of this machine"
    ),
    "ray": _Kind(_ray, takes_address=True, is_what="a Ray cluster"),
    "slurm": _Kind(_slurm, takes_address=False, is_what="jobs of Slurm"),
    "modal": _Kind(_modal, takes_address=False, is_what="functions on Modal"),
}
"""Every kind of executor, by the name that `--executor` takes."""


def open_executor(name: str, *, slots: int | None = None, address: str | None = None) -> Executor:
    """An executor by its name.

    Args:
        name: one of `EXECUTORS`.
        slots: how many functions run at once; None leaves that to the executor.
        address: where the engine is, for those that have an address.

    Raises:
        SettingError: no such executor, or an address for one that has none.
        MissingExtraError: the extra that it needs is not installed.
        UnreachableError: the engine does not answer, or lets nobody in.
    """
    if name not in EXECUTORS:
        hint = nearest(name, EXECUTORS)
        meant = f" Did you mean {' or '.join(map(repr, hint))}?" if hint else ""
        raise SettingError(f"there is no executor {name!r}.{meant} Known: {shorten(EXECUTORS)}.")
    kind = EXECUTORS[name]
    if address is not None and not kind.takes_address:
        raise SettingError(f"the executor {name!r} has no address; {address!r} came. Leave --address out.")
    return kind.open(slots, address)
