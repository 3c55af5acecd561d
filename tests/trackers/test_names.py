import importlib.util
from pathlib import Path

import pytest

from excise.errors import MissingExtraError, TrackerError
from excise.trackers import TRACKERS, make_trackers
from excise.trackers.wandb import check_wandb
from odd_trackers import Told


@pytest.fixture(autouse=True)
def no_account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_BASE_URL", "WANDB_DIR", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (["wandbb"], r"there is no tracker 'wandbb'. Did you mean 'wandb'\? Known: wandb, tensorboard, mlflow\."),
        (["neptune"], r"there is no tracker 'neptune'. Known: wandb, tensorboard, mlflow\."),
        (["mlflow", "mlflow"], "the tracker 'mlflow' came twice"),
    ],
)  # fmt: skip
def test_what_is_no_tracker_is_refused(asked: list[str], message: str):
    with pytest.raises(TrackerError, match=message):
        make_trackers(asked)


def test_trackers_of_ones_own_go_with_those_that_have_names():
    mine = Told()
    made = make_trackers(["tensorboard", mine, "mlflow"])
    assert made[1] is mine
    assert [getattr(tracker, "name", None) for tracker in made] == ["tensorboard", None, "mlflow"]


@pytest.mark.parametrize("name", TRACKERS)
def test_a_missing_extra_is_found_before_a_run_begins(name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(MissingExtraError, match=rf"pip install 'excise\[{name}\]'"):
        make_trackers([name])


def test_wandb_without_credentials_is_refused_with_both_ways_out():
    with pytest.raises(TrackerError) as raised:
        make_trackers(["wandb"])
    assert str(raised.value) == (
        "wandb has no credentials for api.wandb.ai. Log in with `wandb login`, or set WANDB_API_KEY; or track "
        "without an account and upload later: WANDB_MODE=offline."
    )


@pytest.mark.parametrize("mode", ["offline", "disabled", "dryrun"])
def test_wandb_needs_no_credentials_where_it_stays_on_the_machine(mode: str):
    check_wandb({"WANDB_MODE": mode})
    with pytest.raises(TrackerError, match="no credentials"):
        check_wandb({"WANDB_MODE": "online"})


def test_credentials_are_found_where_wandb_looks_for_them(tmp_path: Path):
    check_wandb({"WANDB_API_KEY": "0" * 40})
    own = {"WANDB_BASE_URL": "https://wandb.example:8080/"}
    with pytest.raises(TrackerError, match=r"no credentials for wandb\.example:8080"):
        check_wandb(own)
    (tmp_path / "elsewhere").write_text(f"machine wandb.example:8080\n  login user\n  password {'0' * 40}\n")
    check_wandb({**own, "NETRC": str(tmp_path / "elsewhere")})
    with pytest.raises(TrackerError, match=r"no credentials for api\.wandb\.ai"):
        check_wandb({"NETRC": str(tmp_path / "elsewhere")})
    (tmp_path / ".netrc").write_text("no such thing")
    with pytest.raises(TrackerError, match="no credentials"):
        check_wandb({})
    (tmp_path / ".netrc").write_text(f"machine api.wandb.ai\n  login user\n  password {'0' * 40}\n")
    check_wandb({})


def test_what_wandb_offline_has_saved_holds(tmp_path: Path):
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "settings").write_text("[default]\nmode = offline\n")
    check_wandb({"WANDB_CONFIG_DIR": str(tmp_path / "config")})
    (tmp_path / "config" / "settings").write_text("damaged")
    with pytest.raises(TrackerError, match="no credentials"):
        check_wandb({"WANDB_CONFIG_DIR": str(tmp_path / "config")})


def test_a_mode_that_wandb_does_not_have_is_refused():
    with pytest.raises(TrackerError, match=r"'ofline' came\. Did you mean 'offline'\?"):
        check_wandb({"WANDB_MODE": "ofline"})
