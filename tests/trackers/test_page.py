"""The page on trackers runs as printed, and its limits are those of the code."""

import re
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

from excise.trackers import TRACKERS, Limits
from excise.trackers.process import LONGEST

PAGE = (Path(__file__).parent.parent.parent / "docs" / "trackers.md").read_text(encoding="utf-8")
((CODE, PRINTED),) = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", PAGE, flags=re.DOTALL)


def test_the_example_prints_what_stands_below_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    with redirect_stdout(StringIO()) as output:
        exec(compile(CODE, "trackers.md", "exec"), {"__name__": "page"})
    assert output.getvalue() == PRINTED
    assert list((tmp_path / "runs" / "mine" / "tensorboard").glob("events.*"))


def test_the_page_names_every_tracker_and_the_limits_of_the_code():
    text = " ".join(PAGE.split())
    assert re.findall(r"^\| `(\w+)` ", PAGE, flags=re.MULTILINE) == list(TRACKERS)
    limits = Limits()
    assert f"within {limits.start:g} s" in text
    assert f"({limits.call:g} s for one of your own" in text
    assert f"more than {limits.waiting:,} logged steps" in text
    assert LONGEST == 600
    assert text.count("at most ten minutes") == 1
