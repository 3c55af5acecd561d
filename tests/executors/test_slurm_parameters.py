"""Parameters of Slurm jobs are read from a command line, and what is wrong with one is said."""

import pytest

from excise.errors import SettingError
from excise.executors.slurm_parameters import parse_parameters, submitit_parameters


def test_parameters_of_a_command_line_become_submitits():
    texts = [
        "partition=gpu",
        "time=90",
        "mem_gb=8",
        "gpus_per_node=1",
        "account=0042",
        'setup=["module load x"]',
    ]
    assert parse_parameters(texts) == {
        "slurm_partition": "gpu",
        "timeout_min": 90,
        "mem_gb": 8.0,
        "gpus_per_node": 1,
        "slurm_account": "0042",
        "slurm_setup": ["module load x"],
    }
    assert submitit_parameters({"slurm_qos": "high"}) == submitit_parameters({"qos": "high"})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("partition", "KEY=VALUE"),
        ("=gpu", "KEY=VALUE"),
        ("partitoin=gpu", "Did you mean 'partition'"),
        ("frobnicate=1", "additional_parameters"),
        ("time=1:00:00", "'time' is a whole number of minutes; '1:00:00' came"),
        ("timeout_min=true", "whole number"),
        ("mem_gb=-1", "positive number"),
        ("nodes=2", "a function runs once, on one node"),
        ("array_parallelism=3", "slots says"),
    ],
)
def test_a_wrong_parameter_is_refused(text: str, said: str):
    with pytest.raises(SettingError, match=said):
        parse_parameters([text])
