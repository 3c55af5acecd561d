"""The zoo without surgery: its models run, and what it takes for the truth is no accident."""

from typing import Any

import pytest
import torch
from torch import Tensor

from .zoo import CASES, Case, tensors


def run(function: Any, *given: Any) -> list[Tensor]:
    with torch.no_grad():
        return tensors(function(*given))


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_the_zoo_is_large_and_every_animal_has_a_name_of_its_own():
    assert len({case.name for case in CASES}) == len(CASES) >= 100


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_reference_forward_pass_differs_and_leaves_the_model_as_it_was(case: Case):
    model, x = case.model(), case.inputs(1)
    before = run(model, *x)
    reference = run(case.reference, model, case.dims, x)
    for one, other in zip(before, run(model, *x), strict=True):
        assert torch.equal(one, other)
    difference = max((one - other).abs().max().item() for one, other in zip(before, reference, strict=True))
    # A hundred times what an exact edit may be off by.
    assert difference > 1e-3
    # Larger outputs would not have 1e-5 left in float32.
    assert max(one.abs().max().item() for one in before) < 15


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_model_is_the_same_every_time_and_its_inputs_are_fresh(case: Case):
    for one, other in zip(case.model().parameters(), case.model().parameters(), strict=True):
        assert torch.equal(one, other)
    assert not all(torch.equal(one, other) for one, other in zip(case.inputs(0), case.inputs(1), strict=True))
    assert all(torch.equal(one, other) for one, other in zip(case.inputs(1), case.inputs(1), strict=True))


@pytest.mark.parametrize(
    "case", [case for case in CASES if ":" not in case.layer], ids=lambda case: case.name
)
def test_the_layer_is_reached_and_has_the_dims(case: Case):
    model, widths = case.model(), []
    layer = model.get_submodule(case.layer)

    def note(_module: Any, _inputs: Any, output: Any) -> None:
        first = output if isinstance(output, Tensor) else output[0]
        widths.append(first.shape[case.axis])

    layer.register_forward_hook(note)
    run(model, *case.example())
    assert set(widths) == {max(widths)}
    assert 0 <= min(case.dims) <= max(case.dims) < widths[0]
    assert len(set(case.dims)) == len(case.dims) < widths[0]
