import contextlib
import io
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from excise import cli
from excise.experiments import catalogue
from tiny_recipe import make_tiny


class Ended(NamedTuple):
    status: int
    out: str
    err: str


Excise = Callable[..., Ended]


@pytest.fixture
def excise(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Excise:
    """Runs the command line in this process, with the catalogue's 2.6 made tiny, far from anyone's account."""
    shapes = catalogue.RECIPES["2.1"]
    monkeypatch.setattr(catalogue, "RECIPES", {"2.6": lambda: make_tiny(steps=10), "2.1": shapes})
    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_BASE_URL", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("EXCISE_TRACKER_PATIENCE", "60")
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["excise", "run", *map(str, arguments)])
        out, err = io.StringIO(), io.StringIO()
        status = 0
        with warnings.catch_warnings(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                cli.main()
            except SystemExit as end:
                status = end.code if isinstance(end.code, int) else 1
        return Ended(status, out.getvalue(), err.getvalue())

    return run


def test_a_run_is_shown_where_it_was_asked_to_be_and_says_no_more_than_without(
    excise: Excise, tmp_path: Path
):
    ended = excise("2.6", "--track", "tensorboard", "--track", "mlflow")
    assert ended.status == 0
    assert "warning" not in ended.err
    (path,) = (tmp_path / "runs" / "2.6").iterdir()
    assert list((path / "tensorboard").glob("events.*"))
    assert (tmp_path / "runs" / "mlflow.db").exists()
    assert not (path / "trackers").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["2.6", "--track", "tensorbord"], "there is no tracker 'tensorbord'. Did you mean 'tensorboard'?"),
        (["2.6", "--seeds", "3", "--track", "neptune"], "there is no tracker 'neptune'."),
        (["2.6", "--track", "mlflow", "mlflow"], "the tracker 'mlflow' came twice."),
        (["2.6", "--track", "tensorboard", "wandb"], "wandb has no credentials for api.wandb.ai."),
        (["2.1", "--track", "tensorboard"], "nothing that could be tracked"),
        (["2.6", "--track"], "--track names no tracker. Known: wandb, tensorboard, mlflow."),
        (["2.6", "--track", "mlflow", "--track"], "--track names no tracker."),
    ],
)
def test_a_tracker_that_cannot_begin_is_refused_before_anything_is_made(
    arguments: list[str], message: str, excise: Excise, tmp_path: Path
):
    ended = excise(*arguments)
    assert ended.status == 2
    assert ended.out == ""
    assert message in ended.err
    assert not (tmp_path / "runs").exists()
