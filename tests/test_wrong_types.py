"""Values of the wrong type meet a typed error of ours, as a user meets them: without the type checks of the tests."""

import subprocess
import sys

import pytest

SETTING_UP = """
import numpy as np, torch
import excise as ex
from excise import color, errors
from excise.anchoring import AxisAlignedSubspace
from excise.trackers import make_trackers
def mlp():
    return color.NormalizedMLP()
def fit(stream=None, **settings):
    ex.fit(mlp(), color.hsv_stream({}) if stream is None else stream, **({"steps": 2, "lr": 0.1} | settings))
"""

CASES = {
    "ex.Term('a', 3, 'encoder')": "SettingError: term 'a' takes a regularizer; 3 came",
    "ex.Term('a', ex.Unitarity(), 'encoder', ['red'])": "SettingError: affinities are a mapping",
    "ex.Term('a', ex.Unitarity(), 'encoder', {'red': '1'})": "SettingError: term 'a': the affinity of 'red' is '1'",
    "ex.Anchoring([], '2.6.csv')": "SettingError: a schedule is a Dopesheet or a Timeline; '2.6.csv' came",
    "AxisAlignedSubspace(torch.tensor([True, False]))": "SettingError: AxisAlignedSubspace takes whole numbers",
    "AxisAlignedSubspace(np.array([True, False]))": "SettingError: AxisAlignedSubspace takes whole numbers",
    "ex.Dopesheet.from_keyframes({'lr': {0: 'x'}})": "DopesheetError: 'lr' takes values by step",
    "ex.Dopesheet.from_keyframes({'lr': {0: None}})": "DopesheetError: 'lr' takes values by step",
    "ex.Dopesheet.from_keyframes({'lr': [1, 2]})": "DopesheetError: 'lr' takes values by step",
    "ex.TensorStream(np.ones((2, 3)), {})": "SettingError: a stream holds tensors; inputs came as ndarray",
    "ex.TensorStream(torch.ones(2, 3), {}, weights=[1, 2])": "SettingError: a stream holds tensors; weights came as",
    "ex.TensorStream(torch.ones(2, 3), {'red': [1, 1]})": "SettingError: a stream holds tensors; red came as list",
    "fit([torch.zeros(2, 3)])": "SettingError: a stream has `labels` and `batches(generator)`",
    "fit(objective=lambda output, batch: 0.5)": "ShapeError: the objective is a scalar tensor",
    "fit(steps=2.5)": "SettingError: a training takes a whole number of at least 1 step",
    "ex.capture(mlp(), 'encoder').__enter__()": "SettingError: capture takes a list of layers",
    "make_trackers([3])": "TrackerError: a tracker has start(run), log(row) and finish(end); 3 came",
    "make_trackers('wandb')": "TrackerError: trackers come as a list, such as ['wandb']; 'wandb' came",
    "make_trackers(3)": "TrackerError: trackers come as a list, such as ['wandb']; 3 came",
    "ex.Anchoring([]).attach(mlp(), 'red').__enter__()": "SettingError: attach takes a list of labels",
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
def test_a_value_of_the_wrong_type_is_refused_by_name(expression: str, answers: dict[str, str]):
    assert answers[expression].startswith(CASES[expression])
