"""Opens the executor that a command was asked to use, and closes it when the command ends."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from excise.errors import SettingError

if TYPE_CHECKING:
    from excise.executors import Executor

__all__ = ["opened_executor"]


@contextmanager
def opened_executor(
    name: str | None,
    *,
    workers: int | None = None,
    address: str | None = None,
    settings: tuple[str, ...] = (),
) -> Iterator["Executor | None"]:
    """The executor of that name; None where none was asked for, and the command does as it sees fit.

    Raises:
        SettingError: no such executor, or an address or settings that it does not take.
        MissingExtraError: the extra that it needs is not installed.
        UnreachableError: the engine does not answer, or lets nobody in.
    """
    if name is None:
        if address is not None:
            raise SettingError(
                f"--address is where an executor is, and none was asked for; {address!r} came. Add --executor ray."
            )
        if settings:
            raise SettingError(
                "--engine says something of an executor, and none was asked for. Add --executor."
            )
        yield None
        return
    from excise.executors import open_executor

    with open_executor(name, slots=workers, address=address, settings=settings) as executor:
        yield executor
