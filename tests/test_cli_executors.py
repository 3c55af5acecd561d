"""`--executor` says where a sweep trains; what it cannot be is refused before anything is made."""

import sys
from pathlib import Path

import pytest

from excise import cli
from excise.executors import Executor, Processes, opening
from excise.experiments import catalogue, sweep
from excise.record import open_run
from excise.record.files import read_json
from tiny_recipe import make_tiny


@pytest.fixture
def tiny_catalogue(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(catalogue, "RECIPES", {"2.6": lambda: make_tiny(steps=10)})
    monkeypatch.setattr("excise.report.page.pictures_of_sweep", lambda *_args: [])  # drawing takes seconds
    monkeypatch.setattr("excise.report.page._report_chosen", lambda *_args: None)
    monkeypatch.chdir(tmp_path)


def excise(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int | str | None:
    monkeypatch.setattr(sys, "argv", ["excise", *arguments])
    try:
        cli.main()
    except SystemExit as end:
        return end.code
    return 0


@pytest.mark.usefixtures("tiny_catalogue")
@pytest.mark.parametrize("name", ["inline", "processes"])
def test_a_sweep_trains_on_the_executor_that_is_named_which_is_closed_after_it(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    used: list[Executor] = []
    genuine = sweep.run_chunks

    def run_chunks(*args: object, executor: Executor, **settings: object) -> None:
        used.append(executor)
        genuine(*args, executor=executor, **settings)  # pyright: ignore[reportArgumentType] - passed on as they came

    monkeypatch.setattr(sweep, "run_chunks", run_chunks)
    assert excise(monkeypatch, "run", "2.6", "--seeds", "2", "--workers", "1", "--executor", name) == 0
    (executor,) = used
    assert isinstance(executor, Processes) is (name == "processes")
    with pytest.raises(RuntimeError, match="shut down"):
        executor.submit(abs, -1)
    (path,) = (tmp_path / "runs" / "2.6").iterdir()
    assert open_run(path).status["status"] == "finished"
    assert [row["seed"] for row in read_json(path / "sweep.json")["rows"]] == [0, 1]


@pytest.mark.usefixtures("tiny_catalogue")
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ["--seeds", "2", "--executor", "procesess"],
            "there is no executor 'procesess'. Did you mean 'processes'?",
        ),
        (["--seeds", "2", "--address", "auto"], "none was asked for; 'auto' came. Add --executor ray."),
        (["--seeds", "2", "--executor", "processes", "--address", "auto"], "'processes' has no address"),
        (["--seeds", "2", "--executor", "processes", "--workers", "0"], "slots=0 came"),
        (["--seeds", "2", "--engine", "partition=gpu"], "none was asked for. Add --executor."),
        (
            ["--seeds", "2", "--executor", "processes", "--engine", "time=3"],
            "'processes' takes no settings; 'time=3'",
        ),
        (["--seeds", "2", "--executor", "slurm", "--engine", "partitoin=gpu"], "Did you mean 'partition'?"),
        (["--seeds", "2", "--executor", "slurm", "--engine", "cluster=here"], "there is no cluster 'here'"),
        (["--seeds", "2", "--executor", "slurm", "--engine", "time=soon"], "'soon'"),
        (
            ["--seeds", "2", "--executor", "ray", "--engine", "retries=often"],
            "takes a value such as 3; 'often'",
        ),
        (["--seeds", "2", "--executor", "ray", "--engine", "retires=2"], "Did you mean 'retries'?"),
        (["--seeds", "2", "--executor", "ray", "--address", "not an address"], "not an address"),
        (["--seeds", "2", "--executor", "ray", "--address", "127.0.0.1:9"], "127.0.0.1:9"),
        (["--executor", "processes"], "add --seeds N, or leave --executor out"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_an_executor_that_cannot_be_is_refused_and_nothing_is_made(
    arguments: list[str],
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
):
    assert excise(monkeypatch, "run", "2.6", *arguments) == cli.USER_ERROR
    assert says in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_help_names_every_executor(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    assert excise(monkeypatch, "run", "--help") == 0
    printed = capsys.readouterr().out
    for name in opening.EXECUTORS:
        assert name in printed
