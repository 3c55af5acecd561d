"""Settings that make no sense meet a typed error, as a user meets them: without the type checks of the tests."""

import subprocess
import sys

import pytest

SETTING_UP = """
from math import inf, nan
import numpy as np, torch
from torch import nn
from excise.interventions import *
class Largest(nn.Module):
    def forward(self, x): return x.argmax(dim=-1, keepdim=True)
LINEAR, X = LinearMapper(0, 0.5), torch.ones(2, 3)
def run(edit, layer=nn.Linear(3, 4)):
    model = nn.Sequential(layer)
    with intervene(model, "0", edit):
        model(X)
"""

FALLOFF = (
    "SettingError: BoundedFalloff takes a start in [0, 1), a strength in [0, 1] and a power of at least 0; "
)
CASES = {
    "BoundedFalloff(True)": "SettingError: BoundedFalloff takes a number as start; True came",
    "BoundedFalloff(0, '1')": "SettingError: BoundedFalloff takes a number as strength; '1' came",
    "BoundedFalloff(0, 1, None)": "SettingError: BoundedFalloff takes a number as power; None came",
    "BoundedFalloff(torch.tensor(0.5))": "SettingError: BoundedFalloff takes a number as start; tensor(0.5000)",
    "BoundedFalloff(0, 1, 10**400)": "SettingError: BoundedFalloff takes a number as power; one that is too large",
    "BoundedFalloff(nan)": FALLOFF + "start=nan",
    "BoundedFalloff(0, nan)": FALLOFF + "start=0.0, strength=nan",
    "BoundedFalloff(0, 1, inf)": FALLOFF + "start=0.0, strength=1.0, power=inf",
    "LinearMapper(False, 1)": "SettingError: LinearMapper takes a number as start; False came",
    "LinearMapper('0', 1)": "SettingError: LinearMapper takes a number as start; '0' came",
    "LinearMapper(0, nan)": "SettingError: LinearMapper takes a start in [0, 1) and an end in [0, 1]; start=0.0,",
    "LinearMapper(0, inf)": "SettingError: LinearMapper takes a start in [0, 1) and an end in [0, 1]; start=0.0,",
    "BezierMapper(0, 0.5, 'flat')": "SettingError: BezierMapper takes a number as end_slope; 'flat' came",
    "BezierMapper(0, 0.5, nan)": "SettingError: BezierMapper takes an end_slope in [0, 1); nan came",
    "BezierMapper(0, 0.5).tabulated(1)": "SettingError: a table has at least two entries; 1 came",
    "BezierMapper(0, 0.5).tabulated(2.5)": "SettingError: the entries of a table are whole numbers; 2.5 came",
    "TabulatedMapper(0, 1, 3)": "SettingError: TabulatedMapper takes a sequence of values; 3 came",
    "TabulatedMapper(0, 1, '01')": "SettingError: TabulatedMapper takes a sequence of values; '01' came",
    "TabulatedMapper(0, 1, (0, True))": "SettingError: TabulatedMapper takes numbers as values; True came",
    "TabulatedMapper(0, 1, (0, nan))": "SettingError: TabulatedMapper takes at least two values, each in [0, 1]",
    "TabulatedMapper(0, 0.5, (0, 0.3))": "SettingError: the values of a TabulatedMapper end at its end; the last is",
    "Suppression([1, 0], LINEAR)": "SettingError: a suppression takes a falloff, such as BoundedFalloff",
    "Suppression([1, 0], 0.5)": "SettingError: a suppression takes a falloff, such as BoundedFalloff",
    "Suppression([True, False])": "SettingError: a basis holds real numbers; bool came",
    "Suppression(torch.tensor([1j, 0]))": "SettingError: a basis holds real numbers; complex64 came",
    "Suppression(None)": "ShapeError: a basis is a direction [feature] or rows [dim, feature]",
    "Suppression('red')": "ShapeError: a basis is a direction [feature] or rows [dim, feature]",
    "Suppression([[1, 0], [0]])": "ShapeError: a basis is a direction [feature] or rows [dim, feature]",
    "Repulsion([1, 0], BoundedFalloff())": "SettingError: a repulsion takes a mapper, such as LinearMapper",
    "Repulsion([1, 0], LINEAR, seed=-1)": "SettingError: a seed is a whole number of at least 0; -1 came",
    "Repulsion([1, 0], LINEAR, seed=1.5)": "SettingError: the seeds of a Repulsion are whole numbers; 1.5 came",
    "Repulsion([1, 0], LINEAR, seed=True)": "SettingError: the seeds of a Repulsion are whole numbers; True came",
    "AxisAlignedSuppression(0)": "SettingError: dims are a sequence of whole numbers, such as [0]; 0 came",
    "AxisAlignedSuppression('01')": "SettingError: dims are a sequence of whole numbers, such as [0]; '01' came",
    "AxisAlignedSuppression([1.5])": "SettingError: the dims of an AxisAlignedSuppression are whole numbers; 1.5",
    "AxisAlignedSuppression([True, False])": "SettingError: the dims of an AxisAlignedSuppression are whole numbers",
    "AxisAlignedSuppression(np.array([True]))": "SettingError: the dims of an AxisAlignedSuppression are whole",
    "AxisAlignedSuppression(torch.tensor([True]))": "SettingError: the dims of an AxisAlignedSuppression are whole",
    "run(AxisAlignedSuppression([4]))": "ShapeError: dim 4 is outside a layer of 4 features (0 to 3)",
    "run(Suppression([1, 0, 0]))": "ShapeError: Suppression is for 3 features, but the activations have 4",
    "run(Suppression([1]), Largest())": "SettingError: Suppression edits floating-point activations; int64 came",
    "run(Suppression([1, 0, 0, 0]), nn.LSTM(3, 4))": "CaptureError: layer '0' gives a tuple, not a tensor",
    "run([1, 0, 0, 0])": "SettingError: intervene takes interventions, such as Suppression(direction, falloff)",
    "run(BoundedFalloff())": "SettingError: intervene takes interventions, such as Suppression(direction, falloff)",
    "run(LINEAR)": "SettingError: intervene takes interventions, such as Suppression(direction, falloff)",
    "as_spec(lambda z: z)": "SettingError: only interventions, falloffs and mappers of excise are saved",
    "from_spec('Suppression')": "SettingError: a table with a `kind` is needed",
    "from_spec(None)": "SettingError: a table with a `kind` is needed",
}


@pytest.fixture(scope="module")
def answers() -> dict[str, str]:
    tries = (
        f"try:\n    {expression}\n    print('nothing was raised')\n"
        f"except Exception as error:\n    print(type(error).__name__ + ': ' + str(error).splitlines()[0])"
        for expression in CASES
    )
    script = "\n".join([SETTING_UP, *tries])
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return dict(zip(CASES, ran.stdout.splitlines(), strict=True))


@pytest.mark.parametrize("expression", CASES)
def test_a_setting_that_makes_no_sense_is_refused_by_name(expression: str, answers: dict[str, str]):
    assert answers[expression].startswith(CASES[expression])
