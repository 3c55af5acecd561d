"""Uploads, with the Hub's own package and a stand-in for its client: nothing here reaches a network."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest

from excise.errors import ExportError, MissingExtraError
from excise.export import export_run, hub, upload


class Client:
    """Notes what it is asked to do, and fails where it is told to."""

    calls: list[tuple[str, dict[str, Any]]]
    error: Exception | None = None
    failing = ""

    def create_repo(self, repo_id: str, **settings: Any) -> str:
        self._note("create_repo", {"repo_id": repo_id} | settings)
        return f"https://hub.example/{repo_id}"

    def upload_folder(self, **settings: Any) -> None:
        there = sorted(path.name for path in Path(settings["folder_path"]).iterdir())
        self._note("upload_folder", settings | {"there": there})

    def _note(self, name: str, settings: dict[str, Any]) -> None:
        self.calls.append((name, settings))
        if name == self.failing and self.error is not None:
            raise self.error


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Client:
    made = Client()
    made.calls = []
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: made)
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: "hf_made_up")
    return made


def test_an_upload_makes_the_repository_and_sends_the_whole_folder(run: Path, tmp_path: Path, client: Client):
    made = export_run(run, tmp_path / "out", repository="lab/warmth-removed", private=True)
    assert made.address == "https://hub.example/lab/warmth-removed"
    (_, creation), (_, sending) = client.calls
    assert creation == {
        "repo_id": "lab/warmth-removed",
        "private": True,
        "repo_type": "model",
        "exist_ok": True,
    }
    assert sending["repo_id"] == "lab/warmth-removed"
    assert {"README.md", "load.py", "model.safetensors"} <= set(sending["there"])


def test_without_an_upload_the_hub_is_never_asked(run: Path, tmp_path: Path, client: Client):
    assert export_run(run, tmp_path / "out").address is None
    assert client.calls == []


def test_without_a_token_nothing_is_written_or_sent(
    run: Path, tmp_path: Path, client: Client, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)
    with pytest.raises(ExportError, match=r"hf auth login.*HF_TOKEN"):
        export_run(run, tmp_path / "out", repository="lab/warmth")
    assert not (tmp_path / "out").exists()
    assert client.calls == []


@pytest.mark.parametrize("name", ["warmth", "a/b/c", "lab/with space", "lab/..", "", "/x", "lab/a--b"])
def test_a_name_that_cannot_be_one_is_refused_before_anything_is_written(
    run: Path, tmp_path: Path, client: Client, name: str
):
    with pytest.raises(ExportError, match=r"owner/name|cannot be the name"):
        export_run(run, tmp_path / "out", repository=name)
    assert not (tmp_path / "out").exists()
    assert client.calls == []


@pytest.mark.parametrize("failing", ["create_repo", "upload_folder"])
@pytest.mark.parametrize(
    "error", [ConnectionError("name resolution failed\nmore"), RuntimeError(""), ValueError("403 Forbidden")]
)
def test_a_network_that_fails_is_a_typed_error_and_the_folder_is_kept(
    run: Path, tmp_path: Path, client: Client, failing: str, error: Exception
):
    client.failing, client.error = failing, error
    with pytest.raises(
        ExportError, match=r"could not be uploaded to lab/warmth.*The folder is kept"
    ) as raised:
        export_run(run, tmp_path / "out", repository="lab/warmth")
    assert (tmp_path / "out" / "model.safetensors").exists()
    assert (str(error).splitlines() or [type(error).__name__])[0] in str(raised.value)
    client.error = None
    assert upload(tmp_path / "out", "lab/warmth") == "https://hub.example/lab/warmth"


def test_a_folder_that_is_not_there_is_not_uploaded(tmp_path: Path, client: Client):
    with pytest.raises(ExportError, match="is no folder"):
        upload(tmp_path / "nowhere", "lab/warmth")
    assert client.calls == []


def test_without_the_package_the_error_names_the_command_and_nothing_is_written(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def absent(package: str, purpose: str) -> Callable[..., object]:
        raise MissingExtraError(package, "hub", purpose)

    monkeypatch.setattr(hub, "require", absent)
    with pytest.raises(MissingExtraError, match=r"pip install 'excise\[hub\]'"):
        export_run(run, tmp_path / "out", repository="lab/warmth")
    assert not (tmp_path / "out").exists()
