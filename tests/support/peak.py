"""How much memory a call needed at its worst, beyond what was there before."""

import ctypes
import gc
import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

__all__ = ["peak"]

Result = TypeVar("Result")
PROCESS = Path("/proc/self")


def peak(call: Callable[[], Result]) -> tuple[Result, int]:
    """What a call returns, and by how many bytes the process grew at most while it ran.

    Counted in pages of memory and not in tensors, so that what a tensor library hides is counted too. Skips the test
    where the system does not tell.
    """
    clear = PROCESS / "clear_refs"
    if not clear.exists():
        pytest.skip("only Linux tells how much memory a call needed")
    gc.collect()
    # Freed memory that malloc keeps would be used again, and the growth would not show.
    ctypes.CDLL(None).malloc_trim(0)
    clear.write_text("5")
    before = _bytes("VmRSS")
    result = call()
    return result, _bytes("VmHWM") - before


def _bytes(field: str) -> int:
    match = re.search(rf"{field}:\s+(\d+) kB", (PROCESS / "status").read_text())
    assert match is not None
    return 1024 * int(match.group(1))
