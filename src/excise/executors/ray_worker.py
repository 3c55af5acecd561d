"""What runs on a Ray cluster: a worker's part of carrying out a function, and the mailbox for what it calls back with.

Workers cannot address the caller itself, so there is an actor on the caller's node. A worker posts to it from a thread
of its own, a few times a second, so that calling back does not slow the function.
"""

import asyncio
import contextlib
import os
import pickle
import queue
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from excise.executors.work import Package, carry_out, sendable

__all__ = ["Letter", "Mailbox", "warm_up", "work"]

Letter = tuple[str, int, bytes]
"""What a function called back with: the name of its task, the number of the message, the message pickled."""

_GATHER_SECONDS = 0.05
"""How long a worker gathers before it posts again."""


class Mailbox:
    """Keeps letters until the caller has them; run as an actor."""

    def __init__(self) -> None:
        self._letters: list[Letter] = []
        self._taken = 0
        self._arrived = asyncio.Event()

    async def put(self, letters: list[Letter]) -> None:
        """Take letters in."""
        self._letters += letters
        self._arrived.set()

    async def take(self, seen: int, wait: float) -> tuple[int, list[Letter]]:
        """The letters after the first `seen`, with how many came before them; what was seen is thrown away.

        Args:
            seen: how many letters the caller has.
            wait: seconds to wait for one.
        """
        if seen > self._taken:
            del self._letters[: seen - self._taken]
            self._taken = seen
        if not self._letters and wait:
            self._arrived.clear()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._arrived.wait(), wait)
        return self._taken, list(self._letters)


def work(package: Package, paths: Sequence[str], mailbox: Any, task: str) -> bytes:  # noqa: ANN401 - a handle
    """Carry out a function.

    Args:
        package: the function, as `pack` made it.
        paths: where the caller finds modules; those that there are here are looked through last.
        mailbox: the actor that letters go to; None where nobody listens.
        task: the name that the letters carry.

    Returns:
        ("result", what the function gave) or ("error", what it raised), pickled.
    """
    sys.path.extend(path for path in paths if path not in sys.path and os.path.exists(path))
    try:
        with _posting(mailbox) as letters:
            end = (
                "result",
                carry_out(
                    package, lambda number, message: letters.put((task, number, pickle.dumps(message)))
                ),
            )
        return pickle.dumps(end, protocol=pickle.HIGHEST_PROTOCOL)
    except (Exception, SystemExit) as error:
        return pickle.dumps(("error", sendable(error)))


def warm_up() -> None:
    """Do nothing, in a worker that has been started for it, so that the first function finds one."""


@contextmanager
def _posting(mailbox: Any) -> Iterator["queue.SimpleQueue[Letter | None]"]:  # noqa: ANN401 - a handle
    """A queue that is posted from; after the block, all that was put into it has arrived."""
    letters: queue.SimpleQueue[Letter | None] = queue.SimpleQueue()
    if mailbox is None:
        yield letters
        return
    failures: list[Exception] = []
    thread = threading.Thread(target=_post, args=(mailbox, letters, failures), daemon=True)
    thread.start()
    try:
        yield letters
    finally:
        letters.put(None)
        thread.join()
    if failures:
        raise failures[0]


def _post(mailbox: Any, letters: "queue.SimpleQueue[Letter | None]", failures: list[Exception]) -> None:  # noqa: ANN401 - an actor has no type
    import ray

    pause = threading.Event()
    is_open = True
    try:
        while is_open:
            gathered = [letters.get()]
            while not letters.empty():
                gathered.append(letters.get())
            is_open = None not in gathered
            if batch := [letter for letter in gathered if letter is not None]:
                ray.get(mailbox.put.remote(batch))
                pause.wait(_GATHER_SECONDS if is_open and letters.empty() else 0)
    except Exception as error:
        failures.append(error)
