"""Each example runs as printed, and its concept ends up at its direction, which without the terms it does not."""

import importlib.util
import sys
from pathlib import Path

import pytest
import torch

from anchored import LIGHTNING_TELLS

pytestmark = [pytest.mark.filterwarnings(told) for told in LIGHTNING_TELLS]

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.py"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_concept_of_an_example_lies_at_its_direction_and_nowhere_near_it_in_the_control(
    path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delitem(sys.modules, "marimo", raising=False)  # transformers would take this for a notebook
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        found = run(path)
    finally:
        torch.set_num_threads(threads)
    concept, rest = found["anchored"].values()
    assert concept > 0.85
    assert rest < 0.5
    assert abs(next(iter(found["control"].values()))) < 0.6


def run(path: Path) -> dict[str, dict[str, float]]:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main()


def test_there_is_an_example_for_each_trainer():
    assert {path.stem for path in EXAMPLES} == {
        "plain_loop",
        "accelerate_loop",
        "hf_trainer",
        "lightning_fit",
    }
