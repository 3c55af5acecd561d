"""`--trainer lightning` runs a recipe in Lightning, says so in the run, and is refused where it would be ignored."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from excise import cli
from excise.experiments import catalogue
from excise.record import open_run
from tiny_recipe import make_tiny

Run = Callable[..., int | str | None]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    monkeypatch.setattr(
        catalogue, "RECIPES", {"2.6": lambda: make_tiny(steps=10), "2.1": catalogue.RECIPES["2.1"]}
    )
    monkeypatch.setattr("excise.report.page.pictures_of_run", lambda *_args: [])  # drawing takes seconds
    monkeypatch.chdir(tmp_path)

    def excise(*arguments: str) -> int | str | None:
        monkeypatch.setattr(sys, "argv", ["excise", "run", *arguments])
        try:
            cli.main()
        except SystemExit as end:
            return end.code
        return 0

    return excise


def test_the_run_says_whose_loop_trained_and_either_gives_the_same_numbers(run: Run, tmp_path: Path):
    losses: dict[str, list[float]] = {}
    for trainer in ("excise", "lightning"):
        assert run("2.6", "--trainer", trainer, "--out", trainer) == 0
        (path,) = (tmp_path / trainer / "2.6").iterdir()
        opened = open_run(path)
        assert opened.environment["trainer"] == trainer
        assert opened.status["status"] == "finished"
        assert opened.metrics()["step"].tolist() == [0, 9]
        losses[trainer] = opened.metrics()["loss"].tolist()
    assert losses["lightning"] == pytest.approx(losses["excise"], rel=1e-4)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["2.6", "--trainer", "lightning", "--seeds", "2"], "--trainer lightning cannot; run one seed"),
        (["2.1", "--trainer", "lightning"], "recipe 2.1 trains nothing; run it without --trainer."),
        (["2.6", "--trainer", "keras"], "keras"),
    ],
    ids=["seeds", "shapes", "unknown"],
)
def test_a_trainer_that_cannot_be_is_refused_and_nothing_is_made(
    run: Run, arguments: list[str], says: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    assert run(*arguments) == cli.USER_ERROR
    assert says in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_without_lightning_the_error_names_the_command_that_installs_it(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    for name in [name for name in sys.modules if name.startswith("excise.training.lightning")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pytorch_lightning", None)
    assert run("2.6", "--trainer", "lightning") == cli.USER_ERROR
    assert "pip install 'excise[lightning]'" in capsys.readouterr().err
