"""Many runs in the terminal: a line each, in the order and the number asked for."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from excise.errors import RunError, SettingError, UnknownRecipeError
from excise.report.listing import SHOWN, duration, list_runs, natural
from many_runs import HOSTILE, change_json, copy_runs

COUNT = 40


@pytest.fixture(scope="module")
def folder(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty finished runs of ten recipes, a failed one and a broken one; not to be changed."""
    made = tmp_path_factory.mktemp("many")
    copy_runs(run, made, COUNT)
    change_json(
        made / "9.1" / "run-0" / "status.json", lambda status: status.update(status="failed", error="X: y")
    )
    (made / "9.2" / "run-1" / "status.json").write_text("{", encoding="utf-8")
    return made


def listed(folder: Path, *, width: int = 500, terminal: bool = False, **asked: object) -> list[str]:
    console = Console(
        file=io.StringIO(), width=width, force_terminal=terminal, no_color=True, highlight=False
    )
    list_runs(folder, console=console, **asked)  # pyright: ignore[reportArgumentType] - arguments come by name from the test
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def names(lines: list[str]) -> list[str]:
    return [
        line.split()[1].rpartition("/")[2] for line in lines if "/run-" in line and "unreadable" not in line
    ]


def test_a_pipe_gets_a_plain_line_for_every_run_and_every_folder_that_cannot_be_read(folder: Path):
    lines = listed(folder)
    assert len(lines) == 1 + COUNT
    assert not any("\x1b" in line for line in lines)
    heading = "recipe run status seeds claims before after selectivity started took"
    assert lines[0].split() == heading.split()
    (line,) = (line for line in lines if f"{folder / '9.3' / 'run-2'} " in line)
    assert line.split()[0] == "9.3"
    assert " finished " in line
    assert "2.00e-4" in line
    assert "2026-01-03 00:02" in line
    assert lines[-1].startswith(f"unreadable  {folder / '9.2' / 'run-1'}: ")


def test_a_terminal_gets_some_and_a_note_of_how_many_more(folder: Path):
    lines = listed(folder, terminal=True)
    assert len(names(lines)) == SHOWN
    assert f"{COUNT - 1 - SHOWN} more; --limit {COUNT - 1} shows them" in lines[-1]
    assert len(names(listed(folder, terminal=True, limit=COUNT))) == COUNT - 1
    assert len(names(listed(folder, limit=3))) == 3
    with pytest.raises(SettingError, match="at least 1; 0 came"):
        listed(folder, limit=0)


def test_a_narrow_terminal_loses_columns_and_no_run_takes_two_lines(folder: Path):
    width = len(str(folder)) + 60
    lines = listed(folder, terminal=True, width=width, recipe="9.3")
    runs = [line for line in lines if "finished" in line]
    assert len(runs) == len(names(lines)) == 4
    assert "took" not in lines[0]
    assert "claims" in lines[0]


@pytest.mark.parametrize(
    ("sort", "first"),
    [("after", "run-0"), ("started", "run-27"), ("run", "run-0"), ("claims", "run-10"), ("took", "run-39")],
)
def test_runs_are_sorted_by_what_is_asked_for(sort: str, first: str, folder: Path):
    found = names(listed(folder, sort=sort))
    assert found[0] == first
    assert len(found) == COUNT - 1


def test_recipes_sort_as_people_count():
    assert sorted(["2.10", "2.9.1", "2.9", "2.10.1"], key=natural) == ["2.9", "2.9.1", "2.10", "2.10.1"]


def test_runs_are_filtered_and_what_is_left_out_is_said(folder: Path):
    lines = listed(folder, recipe="9.3")
    assert names(lines) == ["run-22", "run-12", "run-32", "run-2"]
    assert "1 folder could not be read" in lines[-1]
    assert names(listed(folder, status="failed")) == ["run-0"]
    assert listed(folder, recipe="9.3", status="cancelled")[0] == f"no such run in {folder}"
    (line,) = listed(folder, status="unreadable")
    assert line.startswith("unreadable  ")
    with pytest.raises(UnknownRecipeError, match=r"no recipe '9.30'.*Did you mean"):
        listed(folder, recipe="9.30")


def test_markup_and_line_breaks_in_names_are_only_text(run: Path, tmp_path: Path):
    copy_runs(run, tmp_path, 1)
    change_json(tmp_path / "9.1" / "run-0" / "spec.json", lambda spec: spec.update(name="[red]9\n" + HOSTILE))
    lines = listed(tmp_path)
    assert len(lines) == 2
    assert "[red]9 <img" in lines[1]


def test_what_would_steer_a_terminal_is_shown_and_not_sent(run: Path, tmp_path: Path):
    copy_runs(run, tmp_path, 1)
    steering = "a\x1b[31m\x9b2J\x07\u202eb"
    (tmp_path / "9.1" / "run-0").rename(tmp_path / "9.1" / steering)
    change_json(
        tmp_path / "9.1" / steering / "spec.json", lambda spec: spec.update(name=f"9\x1b]0;x{steering}")
    )
    (tmp_path / f"{steering}-foreign").mkdir()
    lines = listed(tmp_path)
    assert len(lines) == 3
    assert all(line.isprintable() for line in lines)
    assert all(r"a\x1b[31m\x9b2J\x07\u202eb" in line for line in lines[1:])


def test_an_empty_folder_is_said_to_be_empty_and_a_missing_one_is_an_error(tmp_path: Path):
    assert listed(tmp_path) == [f"no run in {tmp_path}"]
    with pytest.raises(RunError, match="does not exist"):
        listed(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("seconds", "words"), [(None, ""), (11.3, "11 s"), (240, "4 min"), (9000, "2.5 h"), (0, "0 s")]
)
def test_times_are_short(seconds: float | None, words: str):
    assert duration(seconds) == words
