"""Carries functions out here and now, one after the other."""

import concurrent.futures
from collections.abc import Callable
from typing import Any, TypeVar

from excise.errors import ExecutorError
from excise.executors.base import Executor, OnCall
from excise.executors.remote import RemoteFunction

__all__ = ["Inline"]

T = TypeVar("T")


class Inline(Executor):
    """Runs each function in this process as it is submitted; its future has then ended.

    For one piece of work, for looking for errors, and where other processes cannot be started. Nothing is pickled.
    An interrupt is not kept in the future: it comes out of `submit`.
    """

    def __init__(self) -> None:
        self._closed = False

    def _start(
        self, fn: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any], on_call: OnCall | None
    ) -> "concurrent.futures.Future[T]":
        if self._closed:
            raise ExecutorError("this executor was shut down and takes nothing more; open another.")
        future: concurrent.futures.Future[T] = concurrent.futures.Future()
        future.set_running_or_notify_cancel()
        try:
            if isinstance(fn, RemoteFunction):
                future.set_result(fn(*args, on_call=on_call, **kwargs))
            else:
                future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002 - as the base class has it; here nothing is ever waiting
        """Take nothing more."""
        self._closed = True
