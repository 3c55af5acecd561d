"""The page on surgery runs as printed on a pretrained model, and prints what stands below each block."""

import re
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import torch

pytestmark = pytest.mark.slow

PAGE = (Path(__file__).parents[2] / "docs" / "surgery.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```(?:\n\n```text\n(.*?)```)?", PAGE, flags=re.DOTALL)

PRINTED = 0.02
"""How far a number may be from the page: products round differently from machine to machine."""


def test_the_page_prints_what_it_shows():
    namespace: dict[str, Any] = {"__name__": "page"}
    shown = 0
    for code, text in BLOCKS:
        with redirect_stdout(StringIO()) as output:
            exec(compile(code, "surgery.md", "exec"), namespace)
        if text:
            shown += 1
            number = r"-?\d+\.\d+"
            assert re.sub(number, "#", output.getvalue()) == re.sub(number, "#", text)
            printed, told = ([float(n) for n in re.findall(number, t)] for t in (output.getvalue(), text))
            assert printed == pytest.approx(told, abs=PRINTED)
    assert shown == 6
    assert bool((namespace["cosines"] > 0.98).all())
    before, after = namespace["before"], namespace["embed"](namespace["blind"], namespace["sentences"])
    assert not torch.allclose(before, after, atol=1e-3)
