import importlib.util
import tomllib
from pathlib import Path

import pytest

from excise import extras
from excise.errors import MissingExtraError
from excise.extras import EXTRAS, Extra, installed_version, require

PROJECT = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8"))[
    "project"
]


def distribution(requirement: str) -> str:
    return requirement.partition(">")[0].partition("[")[0]


def test_the_table_holds_the_extras_of_the_project_and_what_they_install():
    offered = {
        name: {distribution(requirement) for requirement in requirements} - {"excise"}
        for name, requirements in PROJECT["optional-dependencies"].items()
        if name not in ("dev", "slow")
    }
    assert {name: set(extra.packages) for name, extra in EXTRAS.items()} == offered


def test_every_package_of_an_extra_is_in_the_set_up_of_the_tests():
    """Not imported: all of them together in one process would change what other tests find."""
    for extra in EXTRAS.values():
        for package in extra.packages:
            assert installed_version(package), package
            assert importlib.util.find_spec(extras._MODULES.get(package, package)), package


def test_a_missing_package_names_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(extras.EXTRAS, "clouds", Extra(("no_such_cloud",), "sweeps in the clouds"))
    with pytest.raises(MissingExtraError) as raised:
        require("no_such_cloud", "a sweep in the clouds")
    assert str(raised.value) == (
        "a sweep in the clouds needs no_such_cloud, which is not installed: pip install 'excise[clouds]'"
    )
    assert isinstance(raised.value, ImportError)


def test_a_package_that_is_there_but_broken_is_not_called_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    (tmp_path / "broken_cloud.py").write_text("import what_it_needs", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(extras.EXTRAS, "clouds", Extra(("broken_cloud",), "sweeps in the clouds"))
    with pytest.raises(ModuleNotFoundError, match="what_it_needs"):
        require("broken_cloud", "a sweep in the clouds")
