import contextlib
import io
import sys
from pathlib import Path

import pytest

from excise import cli
from excise.experiments.pipeline import run_recipe
from tiny_recipe import make_tiny


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "run"
    run_recipe(make_tiny(steps=5), 3, path)
    return path


def export(*arguments: object) -> tuple[int, str, str]:
    out, err, status = io.StringIO(), io.StringIO(), 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["excise", "export", *map(str, arguments)])
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                cli.main()
            except SystemExit as end:
                status = end.code if isinstance(end.code, int) else 1
    return status, out.getvalue(), err.getvalue()


def test_export_writes_the_folder_and_says_what_is_in_it(run: Path, tmp_path: Path):
    status, out, err = export(run, tmp_path / "out")
    assert status == 0, err
    assert "run of seed 3" in out
    assert "model.safetensors: pruned" in out
    assert f"export: {tmp_path / 'out'}" in out
    assert (tmp_path / "out" / "load.py").exists()


def test_a_mistake_is_a_message_and_status_2(run: Path, tmp_path: Path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    for arguments, message in (
        ((run, tmp_path / "mine"), "is not empty"),
        ((run, tmp_path / "out", "--condition", "prund"), "Did you mean 'pruned'"),
        ((run, tmp_path / "out", "--private"), "owner/name"),
        ((tmp_path, tmp_path / "out"), "not a run directory"),
    ):
        status, _, err = export(*arguments)
        assert status == 2
        assert err.startswith("error: ")
        assert message in err
    assert not (tmp_path / "out").exists()
