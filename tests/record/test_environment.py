import getpass
import json
import platform
import re
import socket
import sys
from pathlib import Path

import pytest
import torch

from excise.extras import Extra
from excise.record import environment
from excise.record.environment import describe_environment, examine


def test_it_holds_versions_platform_and_the_commit_of_the_source():
    described = describe_environment()
    assert described["python"] == platform.python_version()
    packages = described["packages"]
    assert isinstance(packages, dict)
    assert packages["torch"] == torch.__version__
    assert packages["excise"]
    assert described["platform"] == platform.platform()
    assert json.loads(json.dumps(described)) == described


def test_in_a_checkout_the_commit_is_whole_and_elsewhere_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    if (Path(environment.__file__).parents[3] / ".git").exists():
        assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?", str(describe_environment()["git_commit"]))
    monkeypatch.setattr(environment, "__file__", str(tmp_path / "environment.py"))
    assert describe_environment()["git_commit"] is None


def test_a_machine_without_git_has_no_commit(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "")
    assert describe_environment()["git_commit"] is None


def test_it_tells_no_path_no_user_and_no_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "argv", ["/opt/alice/bin/excise", "run", "2.6", "--out", str(tmp_path)])
    text = json.dumps(describe_environment())
    assert "alice" not in text
    assert str(tmp_path) not in text
    assert not re.search(r'"[^"]*(/|\\\\)(home|root|usr|tmp|Users|work)\b', text)
    for private in {str(Path.home()), str(Path.cwd()), sys.prefix, socket.gethostname()}:
        assert private not in text.split('"'), private
        assert len(private) < 4 or private not in text, private
    assert getpass.getuser() not in re.findall(r"\w+", text)


def test_doctor_names_what_is_missing_and_the_remedy(monkeypatch: pytest.MonkeyPatch):
    assert examine()["torch"] == torch.__version__
    monkeypatch.setattr(environment, "_PACKAGES", ("torch", "no-such-package"))
    monkeypatch.setattr(environment, "EXTRAS", {"bench": Extra(("torch", "no-such-extra"), "comparing")})
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    facts = examine()
    assert facts["no-such-package"] == "missing: pip install excise"
    assert facts["extra bench"] == (
        f"comparing: torch {torch.__version__}; without no-such-extra: pip install 'excise[bench]'"
    )
    assert facts["accelerator"].startswith("none (")
