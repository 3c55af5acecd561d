"""Messages in files arrive whole and in order, also when who wrote them began again."""

from pathlib import Path

import pytest

from excise.executors.letters import LetterReader, LetterWriter


def test_letters_are_read_as_they_are_written_and_a_torn_one_is_left(tmp_path: Path):
    stem = tmp_path / "job"
    reader = LetterReader(stem)
    assert (reader.read(), reader.begun) == ([], False)
    writer = LetterWriter(stem)
    assert (reader.read(), reader.begun) == ([], True)
    writer.write("first")
    assert reader.read() == ["first"]
    writer.write("second")
    writer.close()
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    for cut in range(len(whole) - 1, len(whole) - 12, -1):  # within the second
        file.write_bytes(whole[:cut])
        assert reader.read() == []
    again = LetterWriter(stem)
    again.write("third")
    again.close()
    assert reader.read() == ["third"]
    reader.remove()
    assert list(tmp_path.iterdir()) == []


def test_the_rest_of_an_earlier_file_comes_before_a_later_one(tmp_path: Path):
    for content in ("one", "two"):
        writer = LetterWriter(tmp_path / "job")
        writer.write(content, last=True)
        writer.close()
    assert LetterReader(tmp_path / "job").read() == ["one", "two"]


def test_nothing_is_lost_when_a_file_cannot_be_read_for_a_moment(tmp_path: Path):
    for content in ("one", "two"):
        writer = LetterWriter(tmp_path / "job")
        writer.write(content)
        writer.close()
    reader = LetterReader(tmp_path / "job")
    second = tmp_path / "job.1.letters"
    second.rename(tmp_path / "aside")
    second.mkdir()
    with pytest.raises(IsADirectoryError):
        reader.read()
    second.rmdir()
    (tmp_path / "aside").rename(second)
    assert reader.read() == ["one", "two"]
