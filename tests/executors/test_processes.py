"""Functions are carried out in other processes as they would be here, and no process outlives its caller."""

import concurrent.futures
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

import errands
from excise.errors import ExecutorError, SettingError, WorkerDiedError, WorkerMismatchError
from excise.executors import Executor, Inline, Processes, work

WAIT = 60.0


@pytest.fixture(params=[Inline, lambda: Processes(2)], ids=["inline", "processes"])
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    with request.param() as opened:
        yield opened


@pytest.fixture(scope="module")
def processes() -> Iterator[Processes]:
    with Processes(2) as opened:
        yield opened


def test_results_errors_and_map_are_those_of_the_functions(executor: Executor):
    assert executor.submit(errands.square, 3).result(WAIT) == 9
    assert list(executor.map(errands.square, [1, 2, 3], timeout=WAIT)) == [1, 4, 9]
    with pytest.raises(ValueError, match="no good"):
        executor.submit(errands.fail, "no good").result(WAIT)


def test_results_come_as_they_are_ready(processes: Processes):
    slow, quick = processes.submit(errands.sleep, 0.6), processes.submit(errands.sleep, 0)
    assert [future.result() for future in concurrent.futures.as_completed([slow, quick], WAIT)] == [0, 0.6]


def test_calls_back_arrive_in_order_and_once_each_while_the_function_runs(executor: Executor):
    told: list[int] = []
    assert executor.submit(errands.count, 50, on_call=told.append).result(WAIT) == 50
    assert told == list(range(50))
    assert executor.submit(errands.count, 3).result(WAIT) == 3
    with pytest.raises(SettingError, match="square cannot call back: mark it with @remote"):
        executor.submit(errands.square, 3, on_call=told.append)


def test_an_error_of_who_is_called_back_is_the_futures_and_the_executor_goes_on(executor: Executor):
    def refuse(_number: int) -> None:
        raise LookupError("not this")

    with pytest.raises(LookupError, match="not this"):
        executor.submit(errands.count, 5, on_call=refuse).result(WAIT)
    assert executor.submit(errands.square, 3).result(WAIT) == 9


def test_processes_are_others_are_used_again_and_are_gone_after_the_block():
    with Processes(2) as executor:
        ids = {executor.submit(errands.process_id).result(WAIT) for _ in range(4)}
        assert os.getpid() not in ids
        assert len(ids) == 1, "one at a time needs one process"
        ids |= set(executor.map(errands.slow_process_id, range(4), timeout=WAIT))
        assert len(ids) == 2
    for one in ids:
        assert gone(one)
    with pytest.raises(ExecutorError, match="shut down"):
        executor.submit(errands.square, 3)


def test_a_process_that_dies_fails_its_own_function_and_another_takes_its_place(processes: Processes):
    with pytest.raises(WorkerDiedError, match=r"signal 9, as when the machine runs out of memory"):
        processes.submit(errands.die).result(WAIT)
    assert list(processes.map(errands.square, range(4), timeout=WAIT)) == [0, 1, 4, 9]
    with pytest.raises(MemoryError):
        processes.submit(errands.run_out_of_memory).result(WAIT)


def test_an_error_that_cannot_be_pickled_says_the_same_and_where_it_was_raised(processes: Processes):
    with pytest.raises(RuntimeError, match="ValueError: unpicklable"):
        processes.submit(errands.fail_unpicklably).result(WAIT)
    with pytest.raises(ValueError, match="no good") as raised:
        processes.submit(errands.fail, "no good").result(WAIT)
    assert "in fail" in raised.value.__notes__[0]


def test_what_has_not_begun_can_be_cancelled_and_an_interrupt_ends_what_runs():
    began = time.monotonic()
    futures: list[concurrent.futures.Future[float]] = []

    def interrupted() -> None:
        with Processes(1) as executor:
            futures.extend(executor.submit(errands.sleep, 300) for _ in range(3))
            assert futures[1].cancel()
            while not futures[0].running():
                time.sleep(0.01)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    running, _waiting, last = futures
    assert time.monotonic() - began < 30
    assert last.cancelled()
    with pytest.raises(WorkerDiedError):
        running.result(WAIT)


@pytest.mark.parametrize("asked", [{"python": "2.7"}, {"excise": "0.0.1"}, {"torch": "1.0"}])
def test_a_worker_of_another_version_refuses_before_it_runs_anything(
    processes: Processes, asked: dict[str, str], monkeypatch: pytest.MonkeyPatch
):
    here = work.versions()
    (name, version), *_ = asked.items()
    monkeypatch.setattr(work, "versions", lambda: here | asked)
    refused = processes.submit(errands.square, 3)
    with pytest.raises(
        WorkerMismatchError, match=f"this worker has {name} {here[name]} instead of {version}"
    ):
        refused.result(WAIT)


@pytest.mark.parametrize("function", [lambda: 0, threading.Lock().acquire], ids=["lambda", "method"])
def test_what_cannot_be_sent_is_refused_at_once(processes: Processes, function: Callable[[], object]):
    with pytest.raises(SettingError, match="Put the function at the top of a module"):
        processes.submit(function)


def test_what_a_function_prints_does_not_disturb_the_pipe():
    script = (
        "import sys; sys.path[:0] = sys.argv[1:]\nimport errands\nfrom excise.executors import Processes\n"
        "with Processes(1) as executor:\n    executor.submit(errands.speak, 'a word').result(60)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, os.path.dirname(errands.__file__)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert (ran.stdout, ran.stderr) == ("", "a word\n")


def test_processes_end_when_their_caller_is_killed():
    script = (
        "import sys; sys.path[:0] = sys.argv[1:]\nimport errands\nfrom excise.executors import Processes\n"
        "executor = Processes(1)\nprint(executor.submit(errands.process_id).result(60), flush=True)\n"
        "executor.submit(errands.sleep, 300).result()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, os.path.dirname(errands.__file__)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process.stdout:
        worker = int(process.stdout.readline())
    assert not gone(worker, within=0)
    process.kill()
    process.wait()
    assert gone(worker)


def test_fewer_than_one_process_is_refused():
    with pytest.raises(SettingError, match="slots=0 came"):
        Processes(0)


def gone(process: int, within: float = 20.0) -> bool:
    """Whether a process has ended, or does so soon."""
    until = time.monotonic() + within
    while True:
        try:
            os.kill(process, 0)
            with open(f"/proc/{process}/stat", encoding="utf-8") as file:
                if file.read().rpartition(")")[2].split()[0] == "Z":
                    return True
        except (ProcessLookupError, FileNotFoundError):
            return True
        if time.monotonic() >= until:
            return False
        time.sleep(0.02)
