import os
from pathlib import Path

import pytest

from excise.errors import ExportError, RunError
from excise.export import export_run, run_folder
from excise.export.folder import check_target, whole_folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_former_export_is_replaced_as_a_whole(run: Path, tmp_path: Path):
    folder = tmp_path / "out"
    export_run(run, folder, condition="all")
    assert (folder / "ablated.safetensors").exists()
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "load.pyc").write_bytes(b"left by whoever imported it")
    export_run(run, folder)
    assert not (folder / "ablated.safetensors").exists()
    assert not (folder / "__pycache__").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_empty_folder_and_one_that_is_not_there_are_taken(run: Path, tmp_path: Path):
    (tmp_path / "empty").mkdir()
    export_run(run, tmp_path / "empty")
    export_run(run, tmp_path / "deep" / "in" / "here")
    assert (tmp_path / "empty" / "load.py").exists()
    assert (tmp_path / "deep" / "in" / "here" / "load.py").exists()


@pytest.mark.parametrize("foreign", ["notes.txt", "model.safetensors", "config.json", ".git"])
def test_a_folder_with_anything_else_is_refused_and_left_as_it_is(run: Path, tmp_path: Path, foreign: str):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / foreign).write_text("mine")
    with pytest.raises(ExportError, match="is not empty"):
        export_run(run, folder)
    assert contents(folder) == {foreign: b"mine"}


def test_what_a_user_put_beside_an_export_is_not_lost(run: Path, tmp_path: Path):
    export_run(run, tmp_path / "out")
    (tmp_path / "out" / "notes.txt").write_text("mine")
    before = contents(tmp_path / "out")
    with pytest.raises(ExportError, match=r"holds 'notes\.txt'"):
        export_run(run, tmp_path / "out")
    assert contents(tmp_path / "out") == before


def test_the_run_itself_is_never_the_target(run: Path):
    before = contents(run)
    with pytest.raises(ExportError, match="is not empty"):
        export_run(run, run)
    assert contents(run) == before


def test_a_file_and_the_current_directory_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ExportError, match="is a file"):
        check_target(tmp_path / "file")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(ExportError, match="current directory"):
        check_target(Path())


@pytest.mark.parametrize("former", [False, True])
def test_an_export_that_breaks_off_leaves_what_was_there(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, former: bool
):
    if former:
        export_run(run, tmp_path / "out")
    before = contents(tmp_path)

    def interrupted(*_: object, **__: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(run_folder, "model_card", interrupted)
    with pytest.raises(KeyboardInterrupt):
        export_run(run, tmp_path / "out", condition="all")
    assert contents(tmp_path) == before
    assert [path.name for path in tmp_path.iterdir()] == (["out"] if former else [])


def test_when_the_last_move_fails_the_former_export_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").write_text("old")
    genuine = Path.replace

    def failing(path: Path, target: Path) -> Path:
        if path.suffix == ".tmp":
            raise OSError(28, os.strerror(28))
        return genuine(path, target)

    monkeypatch.setattr(Path, "replace", failing)
    with pytest.raises(RunError, match="No space left"), whole_folder(tmp_path / "out") as staged:
        (staged / "new").write_text("new")
    assert contents(tmp_path) == {"out/old": b"old"}


def test_where_nothing_can_be_written_the_error_says_why(run: Path, tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="Not a directory"):
        export_run(run, tmp_path / "file" / "out")
