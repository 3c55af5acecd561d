import errno
import json
import math
import os
from pathlib import Path

import pytest

from excise.errors import ExciseError, RunError
from excise.record.files import read_json, strict, write_atomically, write_json


def test_what_is_written_is_read_back(tmp_path: Path):
    content = {"name": "grün", "list": [1, 2.5, None, True], "nested": {"a": "b"}}
    write_json(tmp_path / "a.json", content)
    assert read_json(tmp_path / "a.json") == content
    assert "grün" in (tmp_path / "a.json").read_text(encoding="utf-8")
    assert (tmp_path / "a.json").read_bytes().endswith(b"}\n")


def test_numbers_that_json_lacks_become_null_at_any_depth(tmp_path: Path):
    content = {"a": math.nan, "b": [1.0, -math.inf], "c": {"d": (math.inf, 0)}}
    write_json(tmp_path / "a.json", content)
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert json.loads(text, parse_constant=pytest.fail) == {
        "a": None,
        "b": [1.0, None],
        "c": {"d": [None, 0]},
    }
    assert strict({"a": math.nan, "b": "nan"}) == {"a": None, "b": "nan"}


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), ValueError("no"), KeyboardInterrupt()]
)
def test_an_error_in_the_middle_of_writing_leaves_the_old_file_whole_and_nothing_beside_it(
    tmp_path: Path, error: BaseException
):
    path = tmp_path / "a.json"
    path.write_text("old", encoding="utf-8")

    def write_half(temporary: Path):
        temporary.write_text("ne", encoding="utf-8")
        assert temporary.parent == tmp_path
        assert path.read_text(encoding="utf-8") == "old"
        raise error

    expected = RunError if isinstance(error, OSError) else type(error)
    with pytest.raises(expected):
        write_atomically(path, write_half)
    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_that_the_system_gives_names_the_file_and_the_reason(tmp_path: Path):
    path = tmp_path / "a.json"

    def write(_temporary: Path):
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(RunError) as caught:
        write_atomically(path, write)
    assert str(caught.value) == f"cannot write {path}: No space left on device."
    assert isinstance(caught.value, ExciseError)


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"{", "is not JSON"), (b"", "is not JSON"), (b"\xff\xfe", "is not JSON"), (None, "No such file")],
    ids=["half", "empty", "binary", "missing"],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None, says: str):
    path = tmp_path / "a.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RunError, match=says) as caught:
        read_json(path)
    assert str(path) in str(caught.value)


def test_a_directory_in_the_files_place_is_an_error_of_reading_and_of_writing(tmp_path: Path):
    (tmp_path / "a.json").mkdir()
    with pytest.raises(RunError, match="cannot read"):
        read_json(tmp_path / "a.json")
    with pytest.raises(RunError, match="cannot write"):
        write_json(tmp_path / "a.json", {})
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_what_is_nested_beyond_reading_is_damaged_and_what_is_no_plain_file_is_not_waited_for(tmp_path: Path):
    (tmp_path / "deep.json").write_text("[" * 100_000, encoding="utf-8")
    with pytest.raises(RunError, match="is damaged: it is nested too deeply"):
        read_json(tmp_path / "deep.json")
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(RunError, match=r"cannot read .*folder\.json: it is no plain file"):
        read_json(tmp_path / "folder.json")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_that_nobody_writes_is_refused_at_once(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(RunError, match="it is no plain file"):
        read_json(tmp_path / "pipe.json")
