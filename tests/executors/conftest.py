import signal
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _signals_of_the_process_stay_its_own() -> Iterator[None]:
    """Ray takes SIGTERM for itself where a program starts it, and other tests of this process need it."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
