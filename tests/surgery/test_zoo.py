"""Surgery on every animal of the zoo, held against the forward passes that were written by hand."""

from collections import defaultdict
from functools import cache
from typing import Any, Literal

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from excise.surgery import Edit, plan
from excise.surgery.copying import copied

from .zoo import CASES, Case, tensors

MODES: tuple[Literal["prune", "ablate"], ...] = ("prune", "ablate")
BY_NAME = {case.name: case for case in CASES}
DTYPES = (torch.float32, torch.float64)
EXACT = {mode: [case.name for case in CASES if isinstance(getattr(case, mode), str)] for mode in MODES}
BOTH_WAYS = [(mode, name) for mode in MODES for name in EXACT[mode]]
REFUSED = [(mode, case.name) for mode in MODES for case in CASES if case.name not in EXACT[mode]]
# An eps that the dtype decides is part of the plan, so that one plan does not do for two of them.
OF_ITS_DTYPE = {"nn_rmsnorm_with_eps_of_its_dtype"}


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def inputs(case: Case, seed: int, dtype: torch.dtype) -> tuple[Tensor, ...]:
    return tuple(x.to(dtype) if x.is_floating_point() else x for x in case.inputs(seed))


@cache
def original(name: str, dtype: torch.dtype) -> nn.Module:
    """Modes and trainable parameters are mixed, as an edit has to keep them."""
    model = copied(BY_NAME[name].model()).to(dtype)
    for number, module in enumerate(model.modules()):
        module.training = number % 2 == 0
    for number, parameter in enumerate(model.parameters()):
        parameter.requires_grad_(number % 3 != 0)
    return model


@cache
def planned(name: str, mode: Literal["prune", "ablate"], dtype: torch.dtype) -> Edit:
    """Planned on the float64 model, also for the float32 one: a plan holds no weights."""
    planned_in = dtype if name in OF_ITS_DTYPE else torch.float64
    case = BY_NAME[name]
    return plan(original(name, planned_in), case.layer, case.dims, mode, inputs(case, 0, planned_in))


@cache
def edited(name: str, mode: Literal["prune", "ablate"], dtype: torch.dtype) -> nn.Module:
    return planned(name, mode, dtype).apply(original(name, dtype))


@cache
def evaluated(name: str, mode: str, dtype: torch.dtype, seed: int) -> list[Tensor]:
    """What the original, its reference without the features, or an edited copy gives."""
    case, model = BY_NAME[name], original(name, dtype)
    if mode in MODES:
        return run(copied(edited(name, mode, dtype)).eval(), *inputs(case, seed, dtype))
    model = copied(model).eval()
    if mode == "reference":
        return run(case.reference, model, case.dims, inputs(case, seed, dtype))
    return run(model, *inputs(case, seed, dtype))


def tolerance(case: Case, dtype: torch.dtype) -> float:
    return case.float64_tolerance if dtype is torch.float64 else 1e-5


def run(function: Any, *given: Any) -> list[Tensor]:
    with torch.no_grad():
        return tensors(function(*given))


def largest_difference(some: list[Tensor], others: list[Tensor]) -> float:
    return max((one - other).abs().max().item() for one, other in zip(some, others, strict=True))


@pytest.mark.parametrize(("mode", "name"), BOTH_WAYS)
def test_an_edit_is_the_forward_pass_without_the_features(mode: Literal["prune", "ablate"], name: str):
    for dtype in DTYPES:
        got, reference = (evaluated(name, how, dtype, 1) for how in (mode, "reference"))
        assert largest_difference(got, reference) <= tolerance(BY_NAME[name], dtype)
        assert largest_difference(got, evaluated(name, "as it was", dtype, 1)) > 1e-3


@pytest.mark.parametrize("name", [name for name in EXACT["prune"] if name in EXACT["ablate"]])
def test_prune_equals_ablate(name: str):
    for dtype in DTYPES:
        one, other = (evaluated(name, mode, dtype, 2) for mode in MODES)
        assert largest_difference(one, other) <= tolerance(BY_NAME[name], dtype)


@pytest.mark.parametrize(("mode", "name"), REFUSED)
def test_what_cannot_be_exact_is_refused(mode: Literal["prune", "ablate"], name: str):
    expected: Any = getattr(BY_NAME[name], mode)
    with pytest.raises(expected):
        planned(name, mode, torch.float32)


@pytest.mark.parametrize("name", EXACT["prune"])
def test_a_pruned_model_is_smaller_by_what_its_report_says(name: str):
    report, pruned = planned(name, "prune", torch.float64).report, edited(name, "prune", torch.float64)
    assert report.exactness == BY_NAME[name].prune
    before = sum(parameter.numel() for parameter in original(name, torch.float64).parameters())
    after = sum(parameter.numel() for parameter in pruned.parameters())
    assert (report.parameters_before, report.parameters_after) == (before, after)
    assert after < before


def ties(model: nn.Module) -> set[frozenset[str]]:
    names: dict[int, set[str]] = defaultdict(set)
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names[id(parameter)].add(name)
    return {frozenset(together) for together in names.values() if len(together) > 1}


def state(model: nn.Module) -> dict[str, Any]:
    """All that an edit keeps: names of what is tied, dtypes, modes, and which parameters train."""
    return {
        "ties": ties(model),
        "parameters": {name: (p.dtype, p.requires_grad) for name, p in model.named_parameters()},
        "buffers": {name: buffer.dtype for name, buffer in model.named_buffers()},
        "saved": set(model.state_dict()),
        "training": {name: module.training for name, module in model.named_modules()},
    }


@pytest.mark.parametrize(("mode", "name"), BOTH_WAYS)
def test_an_edit_leaves_the_model_alone_and_keeps_its_state(mode: Literal["prune", "ablate"], name: str):
    model, before = original(name, torch.float32), original.__wrapped__(name, torch.float32)
    cut = edited(name, mode, torch.float32)
    assert state(model) == state(before)
    # Built anew, not copied, a weight may round otherwise; an edit would change it by far more.
    for one, other in zip(model.parameters(), before.parameters(), strict=True):
        assert_close(one, other, rtol=1e-6, atol=1e-7)
    for one, other in zip(model.buffers(), before.buffers(), strict=True):
        assert_close(one, other, rtol=1e-6, atol=1e-7)
    assert len(model._forward_hooks) == len(before._forward_hooks)
    assert type(cut) is type(model)
    after, kept = state(cut), state(before)
    assert after["ties"] == kept["ties"]
    for what in ("parameters", "buffers", "training"):
        for key in kept[what].keys() & after[what].keys():
            assert after[what][key] == kept[what][key], key
    assert kept["saved"] <= after["saved"]


@pytest.mark.parametrize("name", EXACT["ablate"])
def test_a_trace_names_writers_and_readers(name: str):
    found = planned(name, "ablate", torch.float64).report.trace
    assert found.writers
    for named in (*found.writers[:12], *found.readers[:12]):
        assert named in str(found)
