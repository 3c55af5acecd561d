"""Functions run as jobs of submitit's, and what they tell comes through files."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import errands
from excise.errors import SettingError, UnreachableError, WorkerDiedError
from excise.executors.slurm import SlurmExecutor

WAIT = 60.0


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmExecutor]:
    folder = tmp_path_factory.mktemp("jobs")
    with SlurmExecutor(folder, cluster="local", slots=2) as opened:
        yield opened
    assert not list(folder.glob("*.pkl")), "what was sent is gone"
    assert not list(folder.glob("*.letters"))


def test_a_job_gives_results_and_calls_back_in_order(local: SlurmExecutor):
    told: list[int] = []
    future = local.submit(errands.count, 50, on_call=told.append)
    with pytest.raises(ValueError, match="no good") as raised:
        local.submit(errands.fail, "no good").result(WAIT)
    assert "in fail" in raised.value.__notes__[0]
    assert future.result(WAIT) == 50
    assert told == list(range(50))


def test_a_job_that_dies(local: SlurmExecutor):
    with pytest.raises(WorkerDiedError, match="it was killed") as raised:
        local.submit(errands.die).result(WAIT)
    print(raised.value)
