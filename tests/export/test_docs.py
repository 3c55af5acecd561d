"""The page on exports runs as printed."""

import re
import sys
from pathlib import Path

import pytest
import torch

import excise as ex
from excise.export import export_run
from excise.export.layers import load_stub

PAGE = (Path(__file__).parent.parent.parent / "docs" / "export.md").read_text(encoding="utf-8")
LOADING, ONNX = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)


@pytest.fixture(scope="module")
def folder(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("exports") / "out"
    export_run(run, made)
    return made


def test_the_models_load_as_the_page_says(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    monkeypatch.delitem(sys.modules, "load", raising=False)
    exec(compile(LOADING, "export.md", "exec"), {})
    assert capsys.readouterr().out.count("tensor(") == 2


def test_the_files_of_an_export_are_those_of_the_table(folder: Path):
    named = {
        name
        for row in re.findall(r"^\| (`.*?`) \|", PAGE, flags=re.MULTILINE)
        for name in re.findall(r"`(.*?)`", row)
    }
    assert named == {path.name for path in folder.iterdir()}


def test_an_exported_model_can_be_intervened_on(folder: Path):
    model = load_stub(folder).load("baseline")
    colors = torch.rand(5, 3, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before = model(colors)
        with ex.suppress(model, "bottleneck", [1, 0, 0, 0], ex.BoundedFalloff(0, 1, 0)):
            assert not torch.equal(model(colors), before)


def test_the_example_of_onnx_runs_and_tells_the_differences(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    exec(compile(ONNX, "export.md", "exec"), {})
    assert len(re.findall(r"differs from the model by at most \d\.\de[-+]\d\d", capsys.readouterr().out)) == 2
    assert {path.name for path in tmp_path.iterdir()} == {"whole.onnx", "cut.onnx"}
