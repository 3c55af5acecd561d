"""Modal is spoken to as it wants to be, as far as that can be seen without an account.

No test here reaches Modal. The image and the function are defined by the real package and looked at; in place of the
connection, calls run what a container would run.
"""

import inspect
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import distributions, version
from pathlib import Path
from typing import Any

import modal
import pytest
from modal._utils.async_utils import synchronizer

import errands
from excise.errors import (
    ExecutorError,
    MissingExtraError,
    SettingError,
    UnreachableError,
    WorkerDiedError,
)
from excise.executors import modal as excise_modal
from excise.executors import open_executor
from excise.executors.freeze import freeze
from excise.executors.modal import VOLUME_AT, ModalExecutor
from excise.executors.modal_image import define_image
from excise.executors.modal_worker import work

WAIT = 60.0

Calls = Callable[..., Iterator[bytes]]


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODAL_TOKEN_ID", "ak-none")
    monkeypatch.setenv("MODAL_TOKEN_SECRET", "as-none")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch, credentials: None) -> Callable[[Calls], None]:
    """Has calls go to a function of this process."""

    def go_to(function: Calls) -> None:
        monkeypatch.setattr(ModalExecutor, "_connect", lambda _self, _app, _function: function)

    go_to(work)
    return go_to


def inside(thing: Any) -> Any:
    """What is behind one of Modal's objects."""
    return synchronizer._translate_in(thing)


def layers(image: Any) -> tuple[list[list[str]], dict[str, Path]]:
    """What each layer of an image runs, the first first, and the files of this machine by their places in it."""
    commands: list[list[str]] = []
    files: dict[str, Path] = {}
    layer = inside(image)
    while layer is not None:
        made_of = inspect.getclosurevars(layer._load).nonlocals
        if "mount" in made_of:
            for entry in made_of["mount"].entries:
                files |= {str(place): path for path, place in entry.get_files_to_upload()}
            layer = made_of["base_image"]
        else:
            commands.insert(0, made_of["dockerfile_function"]("2025.06").commands)
            layer = next(iter(made_of["base_images"].values()), None)
    return commands, files


def test_the_image_holds_the_versions_of_this_machine_and_the_source_on_it():
    frozen = freeze(["modal"], modules=["errands"])
    image = define_image(frozen, index_url="https://example.org/cpu")
    (base, install), files = layers(image)
    assert base[0].startswith(f"FROM python:{frozen.python}")
    (command,) = (line for line in install if line.startswith("RUN"))
    assert "uv pip install" in command
    assert "--extra-index-url https://example.org/cpu" in command
    assert f"torch=={version('torch').partition('+')[0]}" in command.split()
    assert set(frozen.requirements) <= set(command.split())
    assert {place.split("/")[2] for place in files} == {
        "excise",
        f"excise-{version('excise')}.dist-info",
        "errands.py",
    }


def test_the_source_of_excise_comes_with_its_files_and_its_version(tmp_path: Path):
    _commands, files = layers(define_image(freeze()))
    for name in ("__init__.pyi", "report/page.html.j2"):
        assert str(Path("/root", "excise", name)) in files
    assert not any("__pycache__" in path for path in files)
    (metadata,) = (path for path in files if path.endswith("METADATA"))
    place = tmp_path / Path(metadata).relative_to("/root")
    place.parent.mkdir(parents=True)
    place.write_bytes(files[metadata].read_bytes())
    (found,) = distributions(name="excise", path=[os.fspath(tmp_path)])
    assert found.version == version("excise")


def test_the_function_has_the_settings_and_runs_here_as_it_would_there(credentials: None):
    executor = ModalExecutor(slots=3, volume="study", timeout_min=5, resources={"cpu": 2.0})
    _app, function = executor.define()
    spec = inside(function)._spec_
    assert (spec.cpu, list(spec.volumes)) == (2.0, [VOLUME_AT])
    _app, function = ModalExecutor().define()
    asked = excise_modal.pack(errands.count, (2,), {})
    assert list(function.local(asked)) == list(work(asked))
    with pytest.raises(SettingError, match="does not take these resources"):
        ModalExecutor(resources={"cpus": 2.0}).define()


def test_results_errors_and_calls_back_are_those_of_the_function_and_output_is_shown(
    calls: Callable[[Calls], None], capsys: pytest.CaptureFixture[str]
):
    told: list[int] = []
    with ModalExecutor(slots=1) as executor:
        assert executor.submit(errands.count, 50, on_call=told.append).result(WAIT) == 50
        assert told == list(range(50))
        assert list(executor.map(errands.square, [1, 2, 3], timeout=WAIT)) == [1, 4, 9]
        with pytest.raises(ValueError, match="no good"):
            executor.submit(errands.fail, "no good").result(WAIT)
        capsys.readouterr()
        executor.submit(errands.speak, "a word").result(WAIT)
    assert capsys.readouterr().err == "a word\n"
    assert not executor.shares_files
    with pytest.raises(ExecutorError, match="shut down"):
        executor.submit(errands.square, 3)


@pytest.mark.parametrize(
    ("error", "becomes", "says"),
    [
        (modal.exception.FunctionTimeoutError("late"), WorkerDiedError, "after 5 minutes; .*timeout_min"),
        (modal.exception.AuthError("token"), UnreachableError, "lets nobody in.*token"),
        (modal.exception.ConnectionError("gone"), UnreachableError, "does not answer.*gone"),
        (modal.exception.InternalFailure("oops"), WorkerDiedError, "in the middle of its work.*oops"),
        (None, WorkerDiedError, "its container is gone, perhaps out of memory"),
    ],
)
def test_an_error_of_modals_says_what_it_is_and_what_to_do(
    calls: Callable[[Calls], None], error: Exception | None, becomes: type[Exception], says: str
):
    def fail(*_args: object) -> Iterator[bytes]:
        if error is not None:
            raise error
        yield from ()

    calls(fail)
    with ModalExecutor(timeout_min=5) as executor, pytest.raises(becomes, match=says):
        executor.submit(errands.square, 3).result(WAIT)


def test_a_function_whose_source_was_not_sent_is_refused(
    calls: Callable[[Calls], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "later_study.py").write_text("def study():\n    return 1\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    study = __import__("later_study").study
    with ModalExecutor() as executor:
        executor.submit(errands.square, 3).result(WAIT)
        with pytest.raises(ExecutorError, match=r"ModalExecutor\(own=\['later_study'\]\)"):
            executor.submit(study)
        assert executor.submit(pow, 2, 3).result(WAIT) == 8
    with ModalExecutor(own=["later_study"]) as executor:
        executor.submit(errands.square, 3).result(WAIT)
        assert executor.submit(study).result(WAIT) == 1


def test_without_credentials_nothing_is_sent_and_the_ways_to_get_them_are_named(tmp_path: Path):
    env = {key: value for key, value in os.environ.items() if not key.startswith("MODAL_")}
    script = (
        "from excise.errors import UnreachableError\nfrom excise.executors import open_executor\n"
        "try:\n    open_executor('modal')\nexcept UnreachableError as error:\n    print(error)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script],
        env=env | {"HOME": os.fspath(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stderr == ""
    for way in ("nothing was sent", "`modal setup`", "MODAL_TOKEN_ID and MODAL_TOKEN_SECRET"):
        assert way in ran.stdout


def test_settings_that_make_no_sense_and_a_missing_extra_are_told(
    credentials: None, monkeypatch: pytest.MonkeyPatch
):
    with pytest.raises(SettingError, match="slots=0 came"):
        ModalExecutor(slots=0)
    monkeypatch.setitem(sys.modules, "modal", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'excise\[modal\]'"):
        open_executor("modal")
