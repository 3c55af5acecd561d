import contextlib
import errno
import importlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TextIO

import pytest
from torch import nn

from excise import cli
from excise.cli.signals import ending_on_signals
from excise.cli.telling import show_warning
from excise.errors import ExciseWarning
from excise.experiments import catalogue, chunk
from excise.experiments.recipe import Recipe
from excise.record import Record, open_run
from excise.training import progress as progress_module
from tiny_recipe import make_tiny

DIVERGING = "STEP,lr,reg-separate,reg-anchor,reg-unit,reg-planar\n0,1e37,0,0,0,0\n9,1e37,0,0,0,0\n"


class Ended(NamedTuple):
    status: int
    out: str
    err: str


def excise(*arguments: object, recipe: Recipe | None = None, out: TextIO | None = None) -> Ended:
    """Run the command line in this process, with the catalogue's 2.6 made tiny."""
    printed, err = io.StringIO(), io.StringIO()
    status = 0
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.setattr(sys, "argv", ["excise", *map(str, arguments)])
        patch.setattr(catalogue, "RECIPES", {"2.6": lambda: recipe or make_tiny(steps=10)})
        with contextlib.redirect_stdout(out or printed), contextlib.redirect_stderr(err):
            try:
                cli.main()
            except SystemExit as end:
                status = end.code if isinstance(end.code, int) else 1
    assert "Traceback" not in err.getvalue()
    return Ended(status, printed.getvalue(), err.getvalue())


def only_run(out: Path) -> Path:
    (path,) = (out / "2.6").iterdir()
    return path


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Ended, Path]:
    """One tiny run with its report, through the command line."""
    out = tmp_path_factory.mktemp("runs")
    ended = excise("run", "2.6", "--seed", 3, "--out", out)
    return ended, only_run(out)


def test_run_makes_the_whole_run_directory_and_says_where_the_report_is(ran: tuple[Ended, Path]):
    ended, path = ran
    assert ended.status == 0
    assert {file.name for file in path.iterdir()} == {
        "spec.json", "env.json", "status.json", "metrics.jsonl", "model.safetensors", "results.json", "results.nc",
        "figures", "report.html",
    }  # fmt: skip
    figures = {file.name for file in (path / "figures").iterdir()}
    names = {name.removesuffix(".png") for name in figures - {"figures.json"}}
    light = {name for name in names if not name.endswith(".dark")}
    assert names == light | {f"{name}.dark" for name in light}
    assert {"colors-true", "training", "schedule", "latents-pruned"} <= light
    assert len(light) == 12
    assert ended.out.splitlines()[-1] == f"report: {path / 'report.html'}"
    assert "recipe 2.6, seed 3: reconstruction error" in ended.out
    assert "red and cyan lose their colour" in ended.out
    assert "step 10/10" in ended.err
    assert "editing and evaluating" in ended.err


def test_what_is_published_with_a_run_does_not_tell_where_it_ran(ran: tuple[Ended, Path]):
    for name in ("env.json", "spec.json", "results.json", "status.json", "report.html"):
        text = (ran[1] / name).read_text(encoding="utf-8")
        assert str(ran[1].parent) not in text, name
        assert str(Path.home()) + "/" not in text, name


def test_report_is_made_again_from_the_directory_alone(
    ran: tuple[Ended, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("excise.report.page.pictures_of_run", lambda *_args: [])  # drawing takes seconds
    path = tmp_path / "moved"
    shutil.copytree(ran[1], path)
    (path / "report.html").unlink()
    ended = excise("report", path)
    assert (ended.status, ended.out) == (0, f"report: {path / 'report.html'}\n")
    assert make_tiny(steps=10).title in (path / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("browser", [True, False])
def test_show_prints_the_numbers_and_opens_the_report(
    ran: tuple[Ended, Path], monkeypatch: pytest.MonkeyPatch, browser: bool
):
    opened = []

    def open_page(address: str):
        opened.append(address)
        return browser

    monkeypatch.setattr(webbrowser, "open", open_page)
    ended = excise("show", ran[1])
    assert ended.status == 0
    assert ended.out.startswith(ran[0].out)
    assert opened == [(ran[1] / "report.html").as_uri()]
    assert ("no browser was found" in ended.out) is not browser


def test_list_names_each_recipe_with_its_question_and_doctor_the_versions():
    listed = excise("list")
    assert listed.status == 0
    assert listed.out.splitlines()[0] == "2.6  Delete the warm/cool axis"
    assert make_tiny(steps=10).question in listed.out
    doctor = excise("doctor")
    assert doctor.status == 0
    assert {"python", "torch", "accelerator"} <= {line.split("  ")[0] for line in doctor.out.splitlines()}


def test_help_names_every_command_without_importing_torch():
    code = "import sys; sys.argv = ['excise', '--help']\ntry:\n    from excise.cli import main; main()\n"
    code += "except SystemExit as end:\n    assert not end.code\nprint('torch' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for command in ("list", "run", "report", "show", "prune", "ablate", "trace", "doctor", "freeze"):
        assert command in ended.stdout
    assert ended.stdout.splitlines()[-1] == "False"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run", "2.7"], "there is no recipe '2.7' in the catalogue. Did you mean '2.6'?"),
        (["run", "colour"], "Known: '2.6'."),
        (["run"], "RECIPE"),
        (["run", "2.6", "--seed", "-1"], "--seed is a whole number of at least 0; -1 came."),
        (["run", "2.6", "--seed", "one"], "--seed"),
        (["run", "2.6", "--seed", "1.5"], "--seed"),
        (["run", "2.6", "--seeds", "0"], "--seeds is a whole number from 1 to 100000; 0 came."),
        (["run", "2.6", "--seeds", "-3"], "-3 came"),
        (["run", "2.6", "--seeds", "999999999999"], "999999999999 came"),
        (["run", "2.6", "--seeds", "two"], "--seeds"),
        (["run", "2.6", "--sed", "3"], "--seed"),
        (["rnu", "2.6"], "rnu"),
        ([], "list, run, table, reproduce,"),
        (["show"], "run"),
        (["show", "nowhere"], "nowhere is not a run directory"),
        (["report", "nowhere"], "nowhere is not a run directory"),
        (["show", "a" * 300], "too long"),
        (["run", "2.6", "--out", "a" * 300], "too long"),
    ],
    ids=lambda value: "-".join(value)[:40] if isinstance(value, list) else "",
)
def test_a_mistake_ends_with_a_message_and_status_2_and_writes_nothing(
    arguments: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    ended = excise(*arguments)
    assert ended.status == 2
    assert says in ended.err
    assert ended.out == ""
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("more", [[], ["--seeds", "2"]], ids=["one", "several"])
def test_an_out_that_is_a_file_is_refused(tmp_path: Path, more: list[str]):
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    ended = excise("run", "2.6", "--out", tmp_path / "file", *more)
    assert ended.status == 2
    assert f"error: cannot make the run directory {tmp_path / 'file'}" in ended.err
    assert "Choose a directory that you can write to with --out." in ended.err
    assert (tmp_path / "file").read_text(encoding="utf-8") == "mine"


def test_an_out_that_may_not_be_written_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The refusal is simulated, since root may write anywhere."""

    def refuse(self: Path, *_args: object, **_settings: object):
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)
    ended = excise("run", "2.6", "--out", tmp_path / "out")
    assert ended.status == 2
    assert "Permission denied. Choose a directory" in ended.err


DAMAGED = [
    *[
        (name, content)
        for name in ("status.json", "spec.json", "env.json", "results.json")
        for content in ("{", "[]")
    ],
    ("status.json", "{}"),
    ("results.json", "{}"),
    ("results.json", '{"recipe": "2.6", "seed": 0, "conditions": {"baseline": {}}, "claims": []}'),
]


@pytest.mark.parametrize("damage", DAMAGED, ids=lambda damage: f"{damage[0]}-{len(damage[1])}")
@pytest.mark.parametrize("command", ["show", "report"])
def test_a_damaged_file_is_named(
    ran: tuple[Ended, Path], tmp_path: Path, damage: tuple[str, str], command: str
):
    name, content = damage
    shutil.copytree(ran[1], tmp_path / "run")
    (tmp_path / "run" / name).write_text(content, encoding="utf-8")
    ended = excise(command, tmp_path / "run")
    assert ended.status == 2
    assert name in ended.err


def test_a_spec_that_is_no_recipe_is_refused_when_the_report_is_made(ran: tuple[Ended, Path], tmp_path: Path):
    shutil.copytree(ran[1], tmp_path / "run")
    spec = json.loads((tmp_path / "run" / "spec.json").read_text(encoding="utf-8"))
    for damaged in ({}, spec | {"dopesheets": ""}, spec | {"model": 3}):
        (tmp_path / "run" / "spec.json").write_text(json.dumps(damaged), encoding="utf-8")
        ended = excise("report", tmp_path / "run")
        assert ended.status == 2
        assert "error: " in ended.err


@pytest.mark.parametrize("command", ["show", "report"])
def test_a_run_that_has_no_results_yet_is_told_from_a_broken_one(tmp_path: Path, command: str):
    Record(tmp_path / "run", make_tiny(steps=10).spec(), {"seed": 0})
    ended = excise(command, tmp_path / "run")
    assert ended.status == 2
    assert "no results.json: the run's status is 'started'" in ended.err


def test_a_training_that_diverges_is_reported_with_its_step_and_where_the_metrics_are(tmp_path: Path):
    ended = excise("run", "2.6", "--out", tmp_path, recipe=make_tiny(dopesheet=DIVERGING))
    assert ended.status == 2
    assert "at step " in ended.err
    assert f"What was finished is kept in {only_run(tmp_path)}." in ended.err
    assert open_run(only_run(tmp_path)).status["status"] == "failed"


def test_a_disk_that_is_full_is_reported_and_the_status_says_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def refuse(*_args: object):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Record, "save_model", refuse)
    ended = excise("run", "2.6", "--out", tmp_path)
    assert ended.status == 2
    assert "No space left on device" in ended.err
    assert open_run(only_run(tmp_path)).status["status"] == "failed"


@pytest.fixture
def interrupting(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Makes the progress display of the next runs raise what Ctrl-C raises."""

    def interrupt():
        def call(*_args: object):
            raise KeyboardInterrupt

        monkeypatch.setattr(progress_module.PlainProgress, "__call__", call)

    return interrupt


def test_an_interrupt_says_where_what_is_finished_is_kept(tmp_path: Path, interrupting: Callable[[], None]):
    interrupting()
    ended = excise("run", "2.6", "--out", tmp_path)
    assert ended.status == 130
    assert ended.err.endswith(f"cancelled.\nWhat was finished is kept in {only_run(tmp_path)}.\n")
    run = open_run(only_run(tmp_path))
    assert run.status["status"] == "cancelled"
    assert len(run.metrics()["step"]) == 1


def test_several_seeds_are_summed_up_and_an_interrupted_sweep_is_continued_by_the_same_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("excise.report.page.build_report", lambda _path: None)
    genuine, ran = chunk.conditions_of, []

    def conditions_of(recipe: Recipe, model: nn.Module):
        ran.append(model)
        if len(ran) == 2:
            raise KeyboardInterrupt  # the second seed is being evaluated
        return genuine(recipe, model)

    monkeypatch.setattr(chunk, "conditions_of", conditions_of)
    command = ("run", "2.6", "--seed", 5, "--seeds", 2, "--out", tmp_path)
    first = excise(*command)
    assert first.status == 130
    path = only_run(tmp_path)
    assert f"kept in {path}; the same command goes on from there." in first.err
    second = excise(*command)
    assert second.status == 0
    assert only_run(tmp_path) == path
    assert len(ran) == 3
    assert "of 2 seeds pass every claim." in second.out


def test_a_sweep_in_which_no_seed_finished_does_not_end_well(tmp_path: Path):
    ended = excise("run", "2.6", "--seeds", 2, "--out", tmp_path, recipe=make_tiny(dopesheet=DIVERGING))
    assert ended.status == 1
    assert "0 of 2 seeds pass every claim." in ended.out
    assert "seed 1 failed: NonFiniteError" in ended.out
    assert (only_run(tmp_path) / "sweep.json").exists()
    assert (only_run(tmp_path) / "report.html").exists()


def test_an_error_about_a_name_with_control_characters_steers_no_terminal(tmp_path: Path):
    ended = excise("show", tmp_path / "a\x1b[31mb")
    assert ended.status == 2
    assert "\x1b" not in ended.err
    assert r"a\x1b[31mb is not a run directory" in ended.err


def test_warnings_are_plain_lines_and_only_foreign_ones_say_where_they_come_from(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    show_warning("a column drives nothing", ExciseWarning, "x.py", 3)
    show_warning("old", DeprecationWarning, "x.py", 3)
    assert capsys.readouterr().err == (
        "warning: a column drives nothing\nwarning: old (x.py:3, DeprecationWarning)\n"
    )


START = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have started us with it ignored
sys.argv = ['excise', *sys.argv[1:]]
from excise.cli import main
main()
"""


posix = pytest.mark.skipif(os.name != "posix", reason="signals are those of POSIX")


@posix
def test_ctrl_c_in_the_middle_of_training_cancels_the_run(tmp_path: Path):
    process = subprocess.Popen(
        [sys.executable, "-c", START, "run", "2.6", "--out", str(tmp_path)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob("2.6/*/metrics.jsonl")):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "Traceback" not in err
    path = only_run(tmp_path)
    assert err.endswith(f"cancelled.\nWhat was finished is kept in {path}.\n")
    assert json.loads((path / "status.json").read_text(encoding="utf-8"))["status"] == "cancelled"
    assert len(open_run(path).metrics()["step"]) >= 1
    assert not list(path.glob(".*"))


@posix
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_other_signals_that_ask_for_an_end_cancel_the_run_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
):
    number = getattr(signal, name)
    monkeypatch.setattr(
        progress_module.PlainProgress, "__call__", lambda *_args: os.kill(os.getpid(), number)
    )
    ended = excise("run", "2.6", "--out", tmp_path)
    assert ended.status == 128 + number
    assert ended.err.endswith(f"cancelled.\nWhat was finished is kept in {only_run(tmp_path)}.\n")
    assert open_run(only_run(tmp_path)).status["status"] == "cancelled"


SWALLOWING = """
import signal
import time

try:
    signal.raise_signal(signal.SIGINT)
    time.sleep(0.2)
except BaseException:
    pass
"""


@posix
def test_ctrl_c_in_the_middle_of_an_import_is_not_lost_to_a_library_that_swallows_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """As extension modules do: pressed in the first second of a run, Ctrl-C was lost, or broke numpy."""
    (tmp_path / "swallowing_library.py").write_text(SWALLOWING, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)

    def call(*_args: object):
        importlib.import_module("swallowing_library")
        time.sleep(2)

    monkeypatch.setattr(progress_module.PlainProgress, "__call__", call)
    ended = excise("run", "2.6", "--out", tmp_path)
    assert ended.status == 130
    assert open_run(only_run(tmp_path)).status["status"] == "cancelled"


@posix
def test_signals_are_left_as_they_were_and_an_ignored_one_stays_ignored():
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with ending_on_signals(cli.main.__code__):
            assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN
            assert signal.getsignal(signal.SIGHUP) not in (signal.SIG_DFL, signal.SIG_IGN)
            assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_DFL
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGTERM, before)


@posix
def test_a_reader_that_closes_the_pipe_gets_no_traceback():
    process = subprocess.Popen(
        [sys.executable, "-c", START, "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=60) == 1
    assert err == ""
    for command in ("list", "doctor"):
        reading, writing = os.pipe()
        os.close(reading)
        with os.fdopen(writing, "w", encoding="utf-8") as closed:
            assert excise(command, out=closed)[::2] == (1, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_output_into_a_full_disk_is_an_error_without_a_traceback():
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        assert excise("list", out=full)[::2] == (2, "error: [Errno 28] No space left on device\n")


@pytest.mark.parametrize("command", ["list", "doctor"])
def test_a_standard_output_that_is_closed_is_no_error(command: str):
    ended = subprocess.run(
        ["/bin/sh", "-c", 'exec "$0" -m excise.cli "$1" >&-', sys.executable, command],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
