"""`excise runs` and `excise index` from the command line."""

import contextlib
import io
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from excise import cli
from excise.experiments.catalogue import draw_shapes
from excise.experiments.shapes import run_shapes


class Ended(NamedTuple):
    status: int
    out: str
    err: str


def excise(*arguments: object) -> Ended:
    out, err = io.StringIO(), io.StringIO()
    status = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["excise", *map(str, arguments)])
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                cli.main()
            except SystemExit as end:
                status = end.code if isinstance(end.code, int) else 1
    return Ended(status, out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs of shapes."""
    made = tmp_path_factory.mktemp("runs")
    recipe = draw_shapes().model_copy(update={"angles": 8, "alignments": 101})
    for name in ("first", "second"):
        run_shapes(recipe, made / "2.1" / name)
    return made


def test_runs_prints_a_line_a_run_and_filters(folder: Path):
    ended = excise("runs", folder, "--recipe", "2.1", "--status", "finished", "--sort", "run", "--limit", 1)
    assert ended.status == 0
    assert str(folder / "2.1" / "first") in ended.out
    assert "second" not in ended.out
    assert "1 more; --limit 2 shows them" in ended.out


def test_index_writes_the_page_and_says_where(folder: Path, tmp_path: Path):
    ended = excise("index", folder, "--out", tmp_path / "all.html")
    assert ended == (0, f"index: {tmp_path / 'all.html'} (2 runs)\n", "")
    assert "shapes of suppression" in (tmp_path / "all.html").read_text(encoding="utf-8")
    assert not (folder / "index.html").exists()


@pytest.mark.parametrize("command", ["runs", "index"])
def test_a_missing_folder_is_said_and_ends_with_status_2(command: str, tmp_path: Path):
    ended = excise(command, tmp_path / "nowhere")
    assert ended.status == 2
    assert ended.err.startswith(f"error: {tmp_path / 'nowhere'} does not exist")


def test_a_recipe_that_no_run_is_of_is_said_with_those_there_are(folder: Path):
    ended = excise("runs", folder, "--recipe", "2.2")
    assert ended.status == 2
    assert "there is no recipe '2.2'" in ended.err
    assert "'2.1'" in ended.err
