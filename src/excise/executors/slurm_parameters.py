"""What a Slurm job is given: partition, time, memory, processors, by the names that submitit has for them."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from excise.errors import SettingError, nearest, shorten
from excise.extras import require

__all__ = ["parse_parameters", "submitit_parameters"]

_SHARED = {
    "name": str,
    "timeout_min": int,
    "mem_gb": float,
    "cpus_per_task": int,
    "gpus_per_node": int,
}
"""Names that submitit has for every kind of cluster, and what their values are."""

_SAME = {"job_name": "name", "time": "timeout_min"}
"""Slurm's names for some of those."""

_OURS = {
    "nodes": "a function runs once, on one node",
    "tasks_per_node": "a function runs once",
    "ntasks_per_node": "a function runs once",
    "array_parallelism": "slots says how many functions run at once",
    "stderr_to_stdout": "what a job prints as errors is looked for in a file of its own",
    "num_gpus": "it is called gpus_per_node",
}
"""Names that submitit takes and an executor does not, with the reason."""


def parse_parameters(texts: Iterable[str]) -> dict[str, Any]:
    """Parameters as they are written on a command line.

    Args:
        texts: each a `KEY=VALUE`; a value is a number, true, false, JSON of a list or table, or else a text.

    Raises:
        SettingError: no `=`, an unknown key, or a value of the wrong kind.
    """
    parsed: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise SettingError(f"a parameter is written KEY=VALUE, as in partition=gpu; {text!r} came.")
        parsed[key.strip()] = _value(value.strip())
    return submitit_parameters(parsed)


def submitit_parameters(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters by the names that `submitit.AutoExecutor` takes.

    Args:
        parameters: by submitit's names, with or without its prefix `slurm_`.

    Raises:
        SettingError: an unknown name, with the nearest that there are, or a value of the wrong kind.
        MissingExtraError: submitit is not installed.
    """
    submitit = require("submitit", "running Slurm jobs")
    of_slurm = set(submitit.SlurmExecutor._valid_parameters()) - set(_OURS) - set(_SAME)
    known = sorted({*_SHARED, *_SAME, *of_slurm})
    named: dict[str, Any] = {}
    for asked, value in parameters.items():
        key = asked.removeprefix("slurm_")
        key = _SAME.get(key, key)
        if key in _OURS:
            raise SettingError(f"the Slurm parameter {asked!r} is not for you to set: {_OURS[key]}.")
        if key in _SHARED:
            named[key] = _of_kind(asked, value, _SHARED[key])
        elif key in of_slurm:
            named[f"slurm_{key}"] = value
        else:
            hint = nearest(key, known)
            meant = f" Did you mean {' or '.join(map(repr, hint))}?" if hint else ""
            raise SettingError(
                f"there is no Slurm parameter {asked!r}.{meant} Known: {shorten(known, 40)}. "
                f"What sbatch takes beyond these goes into additional_parameters, a table."
            )
    return named


def _of_kind(name: str, value: object, kind: type) -> object:
    """The value, if it is of its kind; minutes and counts are whole and positive."""
    if kind is str and isinstance(value, str | int | float):
        return str(value)
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
        return float(value)
    if kind is int and isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    what = {str: "a text", float: "a positive number", int: "a whole number"}[kind]
    if _SAME.get(name, name) == "timeout_min":
        what += " of minutes"
    raise SettingError(f"the Slurm parameter {name!r} is {what}; {value!r} came.")


def _value(text: str) -> Any:  # noqa: ANN401 - whatever JSON says
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
