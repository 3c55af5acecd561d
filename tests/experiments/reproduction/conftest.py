"""Sweeps that were never run: tables of numbers in the form of `sweep.json`."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import pytest

Make = Callable[..., dict[str, Any]]


def made_up(
    values: Mapping[str, Iterable[float | None]],
    *,
    chosen: int | None = 0,
    front: Iterable[int] = (),
    failed: Iterable[int] = (),
) -> dict[str, Any]:
    columns = {
        name: [None if value is None else float(value) for value in column] for name, column in values.items()
    }
    count = len(next(iter(columns.values())))
    rows: list[dict[str, Any]] = [
        {"seed": seed, "failed": "NonFiniteError: it diverged"}
        if seed in failed
        else {"seed": seed, "run": f"seed-{seed}", "passed": True, "failed_claims": []}
        | {name: column[seed] for name, column in columns.items()}
        for seed in range(count)
    ]
    return {
        "recipe": "made up",
        "seeds": list(range(count)),
        "rows": rows,
        "chosen": chosen,
        "front": list(front),
    }


@pytest.fixture(scope="session")
def make_sweep() -> Make:
    """Makes a sweep of quantities, each a value a seed."""
    return made_up


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)
