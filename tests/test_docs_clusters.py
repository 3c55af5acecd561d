"""The page on clusters runs as printed, and its settings are those that the executors take."""

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from excise.executors import EXECUTORS
from excise.executors.modal import VOLUME_AT, ModalExecutor
from excise.executors.slurm import SlurmExecutor
from excise.executors.slurm_parameters import submitit_parameters

PAGE = (Path(__file__).parent.parent / "docs" / "clusters.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, flags=re.DOTALL)


def call_of(name: str) -> dict[str, Any]:
    """The arguments by name with which the page makes an executor."""
    (code,) = (code for language, code in BLOCKS if language == "python" and f"import {name}" in code)
    (call,) = (
        node
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == name
    )
    return {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords if keyword.arg}


def test_the_example_of_calling_back_runs_as_printed(tmp_path: Path):
    for language, code in BLOCKS:
        if language == "python" and code.startswith("# "):
            (tmp_path / code.split()[1]).write_text(code, encoding="utf-8")
    ran = subprocess.run([sys.executable, "run.py"], cwd=tmp_path, capture_output=True, text=True, check=True)
    (printed,) = (code for language, code in BLOCKS if language == "text")
    assert (ran.stdout, ran.stderr) == (printed, "")


@pytest.mark.parametrize("executor", [SlurmExecutor, ModalExecutor])
def test_the_settings_of_the_page_are_taken(executor: type, monkeypatch: pytest.MonkeyPatch):
    settings = call_of(executor.__name__)
    assert set(settings) <= set(inspect.signature(executor).parameters)
    if executor is SlurmExecutor:
        assert len(submitit_parameters(settings["parameters"])) == len(settings["parameters"])
    else:
        monkeypatch.setenv("MODAL_TOKEN_ID", "ak-none")
        monkeypatch.setenv("MODAL_TOKEN_SECRET", "as-none")
        assert executor(**settings).define()
        assert f"at `{VOLUME_AT}`" in PAGE


def test_the_table_names_every_executor():
    assert re.findall(r"^\| `(\w+)` \|", PAGE, flags=re.MULTILINE) == list(EXECUTORS)
