"""The page on looking at many runs runs as printed, on runs made tiny."""

import re
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from excise.cli.looking import LOOKING
from excise.experiments.pipeline import run_recipe
from excise.experiments.sweep import run_sweep
from tiny_recipe import make_tiny

PAGE = (Path(__file__).parent.parent / "docs" / "looking.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)


def test_the_examples_run_as_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    run_recipe(make_tiny(), 0, tmp_path / "runs" / "2.6" / "first")
    run_sweep(make_tiny(), [0, 1], tmp_path / "runs" / "2.6" / "seeds", workers=1)
    (tmp_path / "runs" / "photos").mkdir()
    namespace: dict[str, Any] = {"__name__": "page"}
    printed = StringIO()
    with redirect_stdout(printed):
        for code in BLOCKS:
            exec(compile(code, "looking.md", "exec"), namespace)
    assert "runs/photos there is no run in it." in printed.getvalue()
    assert "2.6 sweep finished seeds" in printed.getvalue()
    assert namespace["worst"] in namespace["sweep"].seeds
    assert set(namespace["drawn"]) == {"baseline", "ablated", "pruned"}
    for name in re.findall(r"^run\.([a-z_]+)", BLOCKS[1], flags=re.MULTILINE):
        assert hasattr(namespace["run"], name)


def test_the_commands_of_the_page_exist():
    assert set(re.findall(r"^excise (\w+)", PAGE, flags=re.MULTILINE)) <= set(LOOKING)
