"""Compiled, an edit does what it does eagerly. In processes of their own: under the type checks of the tests nothing
can be traced."""

import json
import os
import pickle
import shutil
import subprocess
import sys

import pytest

from excise.interventions import (
    AxisAlignedSuppression,
    BezierMapper,
    BoundedFalloff,
    LinearMapper,
    Repulsion,
    Suppression,
)

E0, E1 = [1.0, 0, 0, 0], [0, 1.0, 0, 0]
EDITS = {
    "direction": Suppression(E0, BoundedFalloff(0.1, 1, 2)),
    "subspace": Suppression([E0, E1]),
    "axes": AxisAlignedSuppression([0]),
    "linear": Repulsion(E0, LinearMapper(0, 0.5)),
    "bezier": Repulsion(E0, BezierMapper(0, 0.5)),
    "table": Repulsion(E0, BezierMapper(0, 0.5).tabulated(9)),
}

WHOLE = """
import json, pickle, sys, torch
differences = {}
z = torch.randn(20, 4, generator=torch.Generator().manual_seed(0))
for name, edit in pickle.load(sys.stdin.buffer).items():
    torch._dynamo.reset()
    compiled = torch.compile(edit, fullgraph=True, backend='eager')
    assert (edit(z) - z).abs().max() > 0.1
    differences[name] = float((compiled(z) - edit(z)).abs().max())
print(json.dumps(differences))
"""

MODELS = """
import json, pickle, sys, torch
from torch import nn
from excise.errors import CaptureError
from excise.interventions import intervene
torch.manual_seed(0)
x, differences = torch.randn(20, 3), {}
edits = pickle.load(sys.stdin.buffer)
for name in ('direction', 'linear'):
    torch._dynamo.reset()
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    plain, compiled = model(x), torch.compile(model, backend=sys.argv[1])
    with intervene(model, '0', edits[name]):
        inside = compiled(x)
    inside.sum().backward()
    assert model[0].weight.grad.abs().max() > 0
    with intervene(model, '0', edits[name]):
        eager = model(x)
    assert (eager - plain).abs().max() > 0.01
    differences[name] = float((inside - eager).abs().max())
    differences[name + ', after the block'] = float((compiled(x) - plain).abs().max())
    try:  # Both graphs are there now: the right one is taken, or it is said that none was.
        with intervene(model, '0', edits[name]):
            differences[name + ', again'] = float((compiled(x) - eager).abs().max())
    except CaptureError:
        differences[name + ', again'] = 0
print(json.dumps(differences))
"""


def differences(script: str, *args: str) -> dict[str, float]:
    ended = subprocess.run(
        [sys.executable, "-c", script, *args], input=pickle.dumps(EDITS), capture_output=True, check=False
    )
    assert ended.returncode == 0, ended.stderr.decode()
    return json.loads(ended.stdout)


@pytest.fixture(scope="module")
def traced_whole() -> dict[str, float]:
    return differences(WHOLE)


@pytest.mark.parametrize("name", EDITS)
def test_an_intervention_is_traced_whole_by_torch_compile(name: str, traced_whole: dict[str, float]):
    assert traced_whole[name] < 1e-6  # Rounding: one operation less or more.


def test_a_compiled_model_is_edited_in_the_block_and_not_after_it_and_never_left_unedited_in_silence():
    compiler = shutil.which(os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++"))
    # Without a C++ compiler inductor cannot run; what comes before its code generation still can.
    found = differences(MODELS, "inductor" if compiler else "aot_eager")
    assert len(found) == 6
    assert max(found.values()) < 1e-5  # Float32, with the operations fused in another order.
