"""The protocol of all executors."""

import concurrent.futures
from abc import abstractmethod
from collections.abc import Callable
from typing import Any, TypeVar, cast

from excise.errors import SettingError
from excise.executors.remote import RemoteFunction

__all__ = ["Executor", "OnCall"]

T = TypeVar("T")

OnCall = Callable[[Any], object]
"""What is told each thing that a function calls back with; it is called in a thread of the executor's."""


class Executor(concurrent.futures.Executor):
    """Carries out functions somewhere, and is used as any executor of `concurrent.futures` is.

    `submit` gives a real `concurrent.futures.Future`, so that `as_completed` and `wait` work, over several executors
    too. `map` and the use as a context manager are those of `concurrent.futures`. An interrupted block ends what is
    running; a block that ends well waits for it.

    Attributes:
        slots: how many functions run at once; more may be submitted.
        shares_files: whether functions see the files of this machine, at the same paths.
    """

    slots: int = 1
    shares_files: bool = True

    def submit(  # pyright: ignore[reportIncompatibleMethodOverride] - one argument more: on_call
        self, fn: Callable[..., T], /, *args: object, **kwargs: object
    ) -> "concurrent.futures.Future[T]":
        """Have a function carried out.

        Args:
            fn: a function of a module, or one marked `remote`.
            args: its arguments; they can be pickled.
            kwargs: those by name; `on_call` is not passed on: it is told what a function marked `remote` calls back
                with, in order, each at most once, while it runs.

        Returns:
            The future result. It raises what the function raised, or an `ExecutorError` if the function could not be
            carried out; `cancel` works for as long as the function has not begun.

        Raises:
            SettingError: `on_call` for a function that cannot call back.
            ExecutorError: the executor takes nothing more.
        """
        on_call = cast(OnCall | None, kwargs.pop("on_call", None))
        if on_call is not None and not isinstance(fn, RemoteFunction):
            raise SettingError(
                f"{getattr(fn, '__qualname__', fn)} cannot call back: mark it with @remote, or leave out on_call."
            )
        return self._start(fn, args, kwargs, on_call)

    @abstractmethod
    def _start(
        self, fn: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any], on_call: OnCall | None
    ) -> "concurrent.futures.Future[T]":
        """Have a function carried out; what it calls back with goes to `on_call`."""

    @abstractmethod
    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take nothing more, and let go of what was held: processes, connections.

        Args:
            wait: return when all that was submitted has ended.
            cancel_futures: cancel what has not begun, and end what is running where that can be done.
        """

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        """Leave the block: an error ends what is running, so that an interrupted sweep leaves nothing behind."""
        self.shutdown(wait=True, cancel_futures=error is not None)
