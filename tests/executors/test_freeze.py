"""A frozen environment is what is installed here: all that is needed, nothing else, and the user's code by name."""

import json
import re
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

import errands
from excise.cli.machine import freeze as freeze_command
from excise.errors import MissingExtraError, SettingError, UnknownNameError
from excise.executors.freeze import freeze
from excise.extras import EXTRAS

CONSTRAINTS = Path(__file__).parents[2] / "constraints.txt"


def versions_in(lines: list[str]) -> dict[str, str]:
    pairs = [line.partition("==")[::2] for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): number for name, number in pairs}


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Installs a distribution of a folder's: its metadata, and where it says that it came from."""
    place = tmp_path / "installed"
    place.mkdir()
    monkeypatch.syspath_prepend(place)

    def install(name: str, *requires: str, origin: object = None, files: tuple[str, ...] = ()) -> Path:
        info = place / f"{name.replace('-', '_')}-1.0+cpu.dist-info"
        info.mkdir()
        lines = ["Metadata-Version: 2.1", f"Name: {name}", "Version: 1.0+cpu"]
        lines += [f"Requires-Dist: {one}" for one in requires]
        (info / "METADATA").write_text("\n".join(lines), encoding="utf-8")
        (info / "RECORD").write_text("".join(f"{file},,\n" for file in files), encoding="utf-8")
        if origin is not None:
            (info / "direct_url.json").write_text(json.dumps(origin), encoding="utf-8")
        return place

    return install


def test_what_is_frozen_here_agrees_with_the_constraints_of_the_project():
    pinned = versions_in(CONSTRAINTS.read_text(encoding="utf-8").splitlines())
    found = versions_in(list(freeze(EXTRAS).requirements))
    found.pop("setuptools", None)  # It comes with the virtual environment.
    assert {"torch", "numpy", "ray", "modal", "submitit", "wandb"} <= set(found)
    assert "pytest" not in found, "installed, but nothing that runs needs it"
    assert found == {name: pinned[name] for name in found}


def test_the_core_needs_no_extra_and_each_version_is_the_installed_one():
    frozen = freeze()
    assert "ray" not in versions_in(list(frozen.requirements))
    assert "ray" in versions_in(list(freeze(["ray"]).requirements))
    for name, number in versions_in(list(frozen.requirements)).items():
        assert version(name).partition("+")[0] == number
    assert frozen.own == ("excise",)
    assert list(frozen.requirements) == sorted(frozen.requirements, key=str.casefold)


def test_the_modules_of_functions_are_own_with_what_their_packages_require(installed: Callable[..., Path]):
    assert freeze(modules=[errands.__name__, "json", "torch.nn"]).own == ("errands", "excise")
    editable = {"url": "file:///x", "dir_info": {"editable": True}}
    project = installed("my-study", "coloraide", origin=editable, files=("my_study.pth",))
    source = project / "source"
    (source / "my_study").mkdir(parents=True)
    (source / "my_study" / "__init__.py").touch()
    (source / "unrelated").mkdir()
    (project / "my_study.pth").write_text(f"{source}\n", encoding="utf-8")
    sys.path.insert(0, str(source))
    try:
        frozen = freeze(modules=["my_study.models"])
    finally:
        sys.path.remove(str(source))
    assert frozen.own == ("excise", "my_study")
    assert f"coloraide=={version('coloraide')}" in frozen.requirements
    assert not any(line.startswith("my") for line in frozen.requirements)


def test_a_label_of_a_version_is_left_out_and_told_and_an_address_is_kept(
    installed: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
):
    commit = {"url": "https://example.org/from.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}}
    installed("by_label")
    installed("by_commit", origin=commit)
    installed("by_address", origin={"url": "https://example.org/a.whl", "archive_info": {}})
    installed("by_file", origin={"url": "file:///somewhere/a.whl", "archive_info": {}})
    project = {"url": "file:///x", "dir_info": {}}
    wanted = ("by_label", "by_commit", "by_address", "by_file", 'absent; extra == "more"')
    installed("study", *wanted, origin=project, files=("study/__init__.py",))
    monkeypatch.setattr("excise.executors.freeze._is_own", lambda module: module == "study")
    frozen = freeze(modules=["study"])
    assert {line for line in frozen.requirements if line.startswith("by_")} == {
        "by_label==1.0",
        "by_commit @ git+https://example.org/from.git@abc",
        "by_address @ https://example.org/a.whl",
        "by_file==1.0",
    }
    assert re.search(r"^# by_label is 1\.0\+cpu here", frozen.text, re.MULTILINE)
    assert "somewhere" not in frozen.text


def test_the_command_prints_a_file_that_reads_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    freeze_command(extras=("slurm",))
    printed = capsys.readouterr().out
    assert printed.startswith("# What excise[slurm] runs with: Python 3.")
    assert "Not to be downloaded, and to be sent along: excise." in printed
    freeze_command(extras=("slurm",), out=tmp_path / "new" / "requirements.txt")
    assert (tmp_path / "new" / "requirements.txt").read_text(encoding="utf-8") == printed
    assert versions_in(printed.splitlines())["submitit"] == version("submitit")


def test_an_extra_that_is_not_there_is_named(installed: Callable[..., Path], monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(
        UnknownNameError, match=r"no name 'rya' among the extras of excise\. Did you mean 'ray'"
    ):
        freeze(["rya"])
    installed("study", "absent>=2", origin={"url": "file:///x", "dir_info": {}}, files=("study/__init__.py",))
    monkeypatch.setattr("excise.executors.freeze._is_own", lambda module: module == "study")
    with pytest.raises(
        SettingError, match="study requires absent, which is not installed: pip install absent"
    ):
        freeze(modules=["study"])
    packages = type(EXTRAS["ray"])(("no-such-cloud",), "sweeps in the clouds")
    monkeypatch.setitem(EXTRAS, "ray", packages)
    with pytest.raises(MissingExtraError, match=r"needs no-such-cloud.*pip install 'excise\[ray\]'"):
        freeze(["ray"])


def test_a_ray_cluster_is_given_the_versions_and_the_source_but_not_another_ray():
    from ray.runtime_env import RuntimeEnv

    frozen = freeze(["ray"])
    environment = frozen.runtime_env()
    assert any(line.startswith("ray==") for line in frozen.requirements)
    assert {line for line in frozen.requirements if not line.startswith("ray==")} == set(environment["pip"])
    assert [Path(place).name for place in environment["py_modules"]] == ["excise"]
    assert (Path(environment["py_modules"][0]) / "__init__.py").is_file()
    assert RuntimeEnv(**environment)["pip"]["packages"] == environment["pip"]
