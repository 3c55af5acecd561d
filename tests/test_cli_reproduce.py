import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from excise import cli
from excise.experiments import reproduction
from excise.experiments.reproduction import Part
from excise.experiments.reproduction import parts as parts_module
from excise.record import open_run
from tiny_recipe import make_tiny


@pytest.fixture
def reproduce(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., int]:
    """Runs the command in an empty folder, with experiment 2.6 made tiny as all there is to reproduce."""

    def parts(*, quick: bool) -> tuple[Part, ...]:
        return (Part(make_tiny(steps=10), (0,) if quick else (0, 1), is_sweep=False),)

    monkeypatch.setattr(reproduction, "parts_of", parts)
    monkeypatch.setattr(parts_module, "_same_code", lambda _run, _environment: True)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["excise", "reproduce", *arguments])
        try:
            cli.main()
        except SystemExit as end:
            return end.code if isinstance(end.code, int) else 1
        return 0

    return run


def only(path: Path) -> Path:
    (found,) = path.iterdir()
    return found


def checkout() -> Path:
    Path("pyproject.toml").write_text('[project]\nname = "excise"\n', encoding="utf-8")
    Path("docs").mkdir()
    return Path("docs") / "reproduction.md"


def test_reproduce_prints_the_rows_and_where_the_page_is(
    reproduce: Callable[..., int], capsys: pytest.CaptureFixture[str]
):
    assert reproduce() == 0
    path = only(Path("runs") / "reproduction")
    assert path.name.endswith("-whole")
    printed = capsys.readouterr().out
    assert "Single runs over many seeds" in printed
    assert "comparisons differ" in printed
    assert printed.splitlines()[-1] == f"report: {path / 'reproduction.html'}"
    assert (path / "reproduction.html").exists()
    assert open_run(path).status["status"] == "finished"
    assert not Path("docs").exists()


def test_in_a_checkout_a_whole_reproduction_writes_the_documentation_and_a_quick_one_does_not(
    reproduce: Callable[..., int], capsys: pytest.CaptureFixture[str]
):
    file = checkout()
    assert reproduce("--quick") == 0
    assert not file.exists()
    assert only(Path("runs") / "reproduction").name.endswith("-quick")
    assert "This is a quick reproduction" in capsys.readouterr().out
    assert reproduce() == 0
    assert "Written by `excise reproduce` on" in file.read_text(encoding="utf-8")
    assert f"written: {file}" in capsys.readouterr().out


def test_the_documentation_is_written_anywhere_when_asked_for(reproduce: Callable[..., int]):
    assert reproduce("--quick", "--write-docs", "--out", "elsewhere") == 0
    assert "Written by `excise reproduce --quick`" in (Path("docs") / "reproduction.md").read_text(
        encoding="utf-8"
    )
    assert only(Path("elsewhere") / "reproduction").name.endswith("-quick")


def test_a_folder_that_cannot_be_written_is_a_users_mistake(
    reproduce: Callable[..., int], capsys: pytest.CaptureFixture[str]
):
    Path("file").touch()
    assert reproduce("--out", "file/runs") == cli.USER_ERROR
    assert capsys.readouterr().err.startswith("error: cannot")


def test_a_recipe_of_which_no_seed_finished_fails_the_command(
    reproduce: Callable[..., int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    diverging = make_tiny(
        dopesheet="STEP,lr,reg-separate,reg-anchor,reg-unit,reg-planar\n0,1e37,0,0,0,0\n9,1e37,0,0,0,0\n"
    )
    monkeypatch.setattr(reproduction, "parts_of", lambda *, quick: (Part(diverging, (0, 1), is_sweep=False),))
    assert reproduce() == cli.FAILED
    printed = capsys.readouterr().out
    assert "Of 2.6, 2 of 2 seeds did not finish." in printed
    assert "0 of 0 comparisons differ, 0 agree." in printed
