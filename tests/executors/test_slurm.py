"""Functions run as jobs of submitit's, and what they tell comes through files.

Slurm itself is stood in for by four commands of the same names (`slurm_stub`); submitit's local executor is real.
"""

import concurrent.futures
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import errands
import slurm_stub
from excise.errors import ExecutorError, MissingExtraError, SettingError, UnreachableError, WorkerDiedError
from excise.executors import slurm_jobs
from excise.executors.slurm import SlurmExecutor

WAIT = 60.0


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmExecutor]:
    folder = tmp_path_factory.mktemp("jobs")
    with SlurmExecutor(folder, cluster="local", slots=2, parameters={"timeout_min": 1}) as opened:
        yield opened
    assert list(folder.glob("*_log.err")), "logs stay"
    assert not [*folder.glob("*.pkl"), *folder.glob("*.letters")], "what was sent is gone"


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine that submits to Slurm, and shared files that are seen at once."""
    folder = tmp_path / "commands"
    folder.mkdir()
    slurm_stub.write_commands(folder)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv(
        "SLURM_STUB_FIRST", str(time.monotonic_ns())
    )  # Submitit remembers the jobs of other tests.
    monkeypatch.setattr(slurm_jobs, "SECONDS_BETWEEN_LOOK_UPS", 0.2)
    monkeypatch.setattr(slurm_jobs, "LATE_FILES_SECONDS", 0.2)
    return folder


def test_a_job_gives_results_and_errors_and_calls_back_in_order(local: SlurmExecutor):
    told: list[int] = []
    future = local.submit(errands.count, 50, on_call=told.append)
    with pytest.raises(ValueError, match="no good") as raised:
        local.submit(errands.fail, "no good").result(WAIT)
    assert "in fail" in raised.value.__notes__[0]
    assert future.result(WAIT) == 50
    assert told == list(range(50))


def test_calls_back_arrive_while_the_job_runs(local: SlurmExecutor, tmp_path: Path):
    gate = tmp_path / "gate"
    assert local.submit(errands.wait_for, gate, on_call=lambda _message: gate.touch()).result(WAIT) == "open"


def test_an_error_of_who_is_called_back_is_the_futures_and_ends_the_job(local: SlurmExecutor, tmp_path: Path):
    def refuse(_message: str) -> None:
        raise FileNotFoundError("not this")

    began = time.monotonic()
    with pytest.raises(FileNotFoundError, match="not this"):
        local.submit(errands.wait_for, tmp_path / "gate", on_call=refuse).result(WAIT)
    assert local.submit(errands.square, 3).result(WAIT) == 9
    assert time.monotonic() - began < 30, "the job waits for so long if it is not ended"


def test_a_job_that_is_killed_and_one_that_runs_into_its_time_limit_say_so(local: SlurmExecutor):
    killed, late = local.submit(errands.die), local.submit(errands.run_into_time_limit)
    with pytest.raises(WorkerDiedError, match="it was killed, as when the machine runs out of memory"):
        killed.result(WAIT)
    with pytest.raises(WorkerDiedError, match=r"time limit came; ask for more with .*timeout_min(.|\n)*USR2"):
        late.result(WAIT)


def test_a_job_whose_machine_is_needed_for_another_begins_again_and_calls_back_once_each(tmp_path: Path):
    told: list[int] = []
    with SlurmExecutor(tmp_path / "jobs", cluster="local") as executor:
        future = executor.submit(errands.be_preempted_once, tmp_path / "marker", 20, on_call=told.append)
        assert future.result(WAIT) == 20
        (log,) = (tmp_path / "jobs").glob("*_log.out")
        assert "preempted" in log.read_text(encoding="utf-8") + log.with_suffix(".err").read_text("utf-8")
    assert told == list(range(20))


def test_an_interrupted_block_ends_jobs(tmp_path: Path):
    began = time.monotonic()
    futures: list[concurrent.futures.Future[float]] = []

    def interrupted() -> None:
        with SlurmExecutor(tmp_path, cluster="local", slots=1) as executor:
            futures.extend(executor.submit(errands.sleep, 300) for _ in range(3))
            assert futures[1].cancel()
            while not futures[0].running():
                time.sleep(0.01)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert time.monotonic() - began < 30
    assert futures[2].cancelled()
    with pytest.raises(WorkerDiedError, match="was cancelled"):
        futures[0].result(WAIT)


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # Submitit leaves its log open.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_debug_cluster_runs_in_this_process_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("XDG_CACHE_HOME", os.fspath(tmp_path))
    told: list[int] = []
    with SlurmExecutor(cluster="debug") as executor:
        assert executor.submit(errands.process_id).result(WAIT) == os.getpid()
        assert executor.submit(errands.count, 3, on_call=told.append).result(WAIT) == 3
        with pytest.raises(ValueError, match="no good"):
            executor.submit(errands.fail, "no good").result(WAIT)
    assert told == [0, 1, 2]
    assert not list((tmp_path / "excise" / "slurm").iterdir())
    with pytest.raises(ExecutorError, match="shut down"):
        executor.submit(errands.square, 3)


def test_what_is_submitted_together_is_one_job_array_with_its_parameters(
    commands: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("excise.executors.slurm._GATHER_SECONDS", 0.4)
    with SlurmExecutor(tmp_path / "jobs", parameters={"partition": "gpu", "mem_gb": 2}) as executor:
        futures = []
        for number in range(3):
            futures.append(executor.submit(errands.square, number))
            time.sleep(0.05)
        assert [future.result(WAIT) for future in futures] == [0, 1, 4]
    (script,) = commands.glob("*.sh")
    text = script.read_text(encoding="utf-8")
    for line in ("--array=0-2%3", "--partition=gpu", "--mem=2GB", "--time=60"):
        assert f"#SBATCH {line}\n" in text


def test_a_job_that_slurm_killed_for_memory_says_so_and_the_others_go_on(commands: Path, tmp_path: Path):
    with SlurmExecutor(tmp_path / "jobs") as executor:
        dies, lives = executor.submit(errands.die), executor.submit(errands.square, 3)
        with pytest.raises(
            WorkerDiedError, match=r"ran out of memory; ask for more with the parameter mem_gb"
        ):
            dies.result(WAIT)
        assert lives.result(WAIT) == 9


def test_a_job_that_is_queued_again_calls_back_once_each(commands: Path, tmp_path: Path):
    (commands / "requeue").touch()
    told: list[int] = []
    with SlurmExecutor(tmp_path / "jobs") as executor:
        future = executor.submit(errands.die_once, tmp_path / "marker", 20, on_call=told.append)
        assert future.result(WAIT) == 20
    assert told == list(range(20))
    assert (tmp_path / "marker").exists()


def test_jobs_are_cancelled_by_scancel_and_a_refusal_of_sbatch_is_told(commands: Path, tmp_path: Path):
    executor = SlurmExecutor(tmp_path / "jobs", slots=1)
    future = executor.submit(errands.sleep, 300)
    while not future.running():
        time.sleep(0.01)
    executor.shutdown(cancel_futures=True)
    with pytest.raises(WorkerDiedError, match="was cancelled"):
        future.result(WAIT)
    assert len(list(commands.glob("*.cancelled"))) == 1
    with (
        SlurmExecutor(tmp_path / "jobs", parameters={"partition": "closed"}) as refused,
        pytest.raises(ExecutorError, match="not taken: sbatch: error: invalid partition"),
    ):
        refused.submit(errands.square, 3).result(WAIT)


def test_without_slurm_or_submitit_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("PATH", os.fspath(tmp_path))
    with pytest.raises(UnreachableError, match=r"sbatch and srun were not found(.|\n)*--executor processes"):
        SlurmExecutor()
    monkeypatch.setitem(__import__("sys").modules, "submitit", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'excise\[slurm\]'"):
        SlurmExecutor(cluster="local")


def test_settings_that_make_no_sense_are_refused(tmp_path: Path):
    with pytest.raises(SettingError, match="slots=0 came"):
        SlurmExecutor(tmp_path, cluster="local", slots=0)
    with pytest.raises(SettingError, match="no cluster 'lokal'"):
        SlurmExecutor(tmp_path, cluster="lokal")
