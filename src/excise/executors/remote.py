"""Functions that can call back to their caller while they run."""

import functools
from collections.abc import Callable
from typing import Any, Generic, TypeVar

__all__ = ["CallBack", "RemoteFunction", "remote"]

T = TypeVar("T")

CallBack = Callable[[Any], object]
"""What a function marked `remote` is given as `call_back`: it sends one thing, which can be pickled, to the caller."""


class RemoteFunction(Generic[T]):
    """A function that is given a way to call back; see `remote`.

    Called directly it runs here, and what it calls back with goes to `on_call`, or nowhere.
    """

    def __init__(self, function: Callable[..., T]) -> None:
        self.function = function
        functools.update_wrapper(self, function)

    def __call__(self, *args: object, on_call: CallBack | None = None, **kwargs: object) -> T:
        """Run the function here."""
        return self.function(*args, **kwargs, call_back=on_call or _nobody)

    def __reduce__(self) -> str | tuple[Any, ...]:
        """Pickled by name, as functions are; one of `__main__` whole, for picklers that can."""
        if self.__module__ == "__main__":
            return RemoteFunction, (self.function,)
        return self.function.__qualname__


def remote(function: Callable[..., T]) -> RemoteFunction[T]:
    """Mark a function that calls back while it runs: it takes an argument `call_back`.

    ```python
    @remote
    def train(seed: int, *, call_back: CallBack) -> float:
        for step in range(1000):
            call_back({"step": step, "loss": ...})
        ...

    executor.submit(train, 3, on_call=print)
    ```

    Wherever it runs, what it calls back with arrives in order and each at most once, also when an engine begins it
    again on another machine because the first is gone: what had arrived before does not arrive again. (Which takes
    for granted that both tell the same, as they do where every random draw comes from a seed.)
    """
    return RemoteFunction(function)


def _nobody(_message: Any) -> None:  # noqa: ANN401 - anything may be told
    pass
