"""A program that ends with an executor left open ends well, soon, and leaves nothing running."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

_PROGRAM = """
import sys, time
import errands
from excise.executors import open_executor
executor = open_executor(sys.argv[1], slots=1, settings=sys.argv[3:])
executor.submit(errands.wait_long, sys.argv[2])
from pathlib import Path
while not Path(sys.argv[2]).exists():
    time.sleep(0.05)
time.sleep(1)
"""


@pytest.mark.parametrize("kind", ["processes", "ray", "slurm cluster=local"])
def test_an_executor_left_open_ends_with_its_program(kind: str, tmp_path: Path):
    name, *settings = kind.split()
    marker = tmp_path / "process"
    began = time.monotonic()
    ended = subprocess.run(
        [sys.executable, "-c", _PROGRAM, name, str(marker), *settings],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "XDG_CACHE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert time.monotonic() - began < 40
    worker = int(marker.read_text())
    until = time.monotonic() + 10
    while _runs(worker) and time.monotonic() < until:
        time.sleep(0.1)
    assert not _runs(worker)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{process}/stat")
    return not (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z")
