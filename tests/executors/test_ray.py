"""On a real Ray cluster of three nodes functions are carried out as they would be here, also when a node is lost."""

import concurrent.futures
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import errands
from excise.errors import (
    MissingExtraError,
    SettingError,
    WorkerDiedError,
    WorkerMismatchError,
)
from excise.executors import open_executor, work
from excise.executors.ray import RayExecutor
from excise.executors.ray_failures import translated
from ray_cluster import ThreeNodes

WAIT = 60.0


@pytest.fixture(scope="module")
def executor(ray_cluster: ThreeNodes) -> Iterator[RayExecutor]:
    with RayExecutor(ray_cluster.address) as opened:
        yield opened


def test_results_errors_and_map_are_those_of_the_functions(executor: RayExecutor):
    assert (executor.slots, executor.shares_files) == (3, False)
    assert executor.submit(errands.square, 3).result(WAIT) == 9
    assert list(executor.map(errands.square, range(20), timeout=WAIT)) == [x * x for x in range(20)]
    with pytest.raises(ValueError, match="no good") as raised:
        executor.submit(errands.fail, "no good").result(WAIT)
    assert "in fail" in raised.value.__notes__[0]
    with pytest.raises(RuntimeError, match="ValueError: unpicklable"):
        executor.submit(errands.fail_unpicklably).result(WAIT)


def test_calls_back_arrive_in_order_and_once_each_while_the_function_runs(
    executor: RayExecutor, tmp_path: Path
):
    told: list[int] = []
    assert executor.submit(errands.count, 500, on_call=told.append).result(WAIT) == 500
    assert told == list(range(500))
    gate = tmp_path / "gate"
    heard = executor.submit(errands.wait_for, gate, on_call=lambda _word: gate.touch())
    assert heard.result(WAIT) == "open"


def test_an_error_of_who_is_called_back_is_the_futures_and_the_executor_goes_on(executor: RayExecutor):
    def refuse(_number: int) -> None:
        raise LookupError("not this")

    with pytest.raises(LookupError, match="not this"):
        executor.submit(errands.count, 5, on_call=refuse).result(WAIT)
    assert executor.submit(errands.square, 3).result(WAIT) == 9


def test_a_worker_that_dies_is_replaced_and_what_it_had_called_back_does_not_come_again(
    executor: RayExecutor, tmp_path: Path
):
    told: list[int] = []
    marker = tmp_path / "died"
    assert executor.submit(errands.die_once, marker, 10, on_call=told.append).result(WAIT) == 10
    assert marker.exists()
    assert told == list(range(10))


def test_a_node_killed_in_the_middle_loses_no_function_and_counts_none_twice(
    ray_cluster: ThreeNodes, executor: RayExecutor, tmp_path: Path
):
    told: dict[str, list[object]] = {str(name): [] for name in range(5)}
    begun = threading.Event()
    nodes: dict[str, str] = {}

    def hear(name: str, message: object) -> None:
        told[name].append(message)
        if isinstance(message, str) and ray_cluster.is_expendable(message):
            nodes[name] = message
        if name in nodes and len(told[name]) >= 5:
            begun.set()

    futures = [
        executor.submit(
            errands.count_on_ray, tmp_path, name, 40, on_call=lambda word, name=name: hear(name, word)
        )
        for name in told
    ]
    assert begun.wait(WAIT)
    lost = next(name for name in nodes if len(told[name]) >= 5)
    ray_cluster.kill(nodes[lost])
    ended = [future.result(WAIT) for future in concurrent.futures.as_completed(futures, WAIT)]
    ray_cluster.mend()
    assert sorted(name for name, _node in ended) == sorted(told)
    assert dict(ended)[lost] != nodes[lost]
    assert all(words[1:] == list(range(40)) for words in told.values())
    times_begun = {name: len(list(tmp_path.glob(f"{name}-*"))) for name in told}
    assert times_begun == {name: 2 if name == lost else 1 for name in told}


def test_a_worker_that_always_dies_is_an_error_that_says_what_to_do(
    ray_cluster: ThreeNodes, capfd: pytest.CaptureFixture[str]
):
    with RayExecutor(ray_cluster.address, retries=0) as executor:
        with pytest.raises(WorkerDiedError, match=r"out of memory .*fewer seeds by more slots"):
            executor.submit(errands.die).result(WAIT)
        with pytest.raises(MemoryError):
            executor.submit(errands.run_out_of_memory).result(WAIT)
        assert executor.submit(errands.square, 3).result(WAIT) == 9
    assert "raylet" not in "".join(capfd.readouterr())


def test_what_has_not_begun_can_be_cancelled_and_an_interrupt_ends_what_runs(ray_cluster: ThreeNodes):
    futures: list[concurrent.futures.Future[float]] = []

    def interrupted() -> None:
        with RayExecutor(ray_cluster.address, slots=1) as executor:
            futures.extend(executor.submit(errands.sleep, 300) for _ in range(3))
            assert futures[1].cancel()
            while not futures[0].running():
                time.sleep(0.01)
            raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    running, _cancelled, last = futures
    assert time.monotonic() - began < 30
    assert last.cancelled()
    with pytest.raises(WorkerDiedError, match="shut down in the middle"):
        running.result(WAIT)


@pytest.mark.parametrize(
    ("asked", "said"),
    [({"python": "2.7"}, "python .* instead of 2.7"), ({"excise": "0.0.1"}, "excise .* instead of 0.0.1")],
)
def test_a_worker_of_another_version_refuses_and_is_not_asked_again(
    executor: RayExecutor, asked: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch
):
    here = work.versions()
    monkeypatch.setattr(work, "versions", lambda: here | asked)
    refused = executor.submit(errands.square, 3)
    with pytest.raises(WorkerMismatchError, match=said):
        refused.result(WAIT)


@pytest.mark.parametrize("address", ["nonsense", "host", "host:", "host:0", "http://host:1", "host:99999"])
def test_what_is_no_address_is_refused(address: str):
    with pytest.raises(SettingError, match=r"is no address of a Ray cluster\. Give 'auto'"):
        RayExecutor(address)


def test_numbers_out_of_range_are_refused():
    with pytest.raises(SettingError, match="slots=0 came"):
        RayExecutor(slots=0)
    with pytest.raises(SettingError, match="retries=-1 came"):
        RayExecutor(retries=-1)


@pytest.mark.parametrize("error", ["OutOfMemoryError", "WorkerCrashedError", "NodeDiedError"])
def test_what_ray_says_of_lost_workers_is_said_with_what_to_do(error: str):
    import ray
    from ray import exceptions

    kind = getattr(exceptions, error)
    said = translated(kind("node 7") if error != "WorkerCrashedError" else kind(), ray)
    assert isinstance(said, WorkerDiedError)
    assert "memory" in str(said)
    assert "fewer seeds" in str(said)


def test_without_ray_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'excise\[ray\]'"):
        open_executor("ray")
