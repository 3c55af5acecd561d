"""Every number of a sweep as labelled arrays over its seeds."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["arrays_over_seeds"]

_COLOR = ".named_colors."
_VALIDATION = "validation."


def arrays_over_seeds(sweep: Mapping[str, Any]) -> "xr.Dataset":
    """The numbers of a sweep by seed.

    Args:
        sweep: the content of `sweep.json`.

    Returns:
        `max_mse`, `median_mse` and, where measured, `selectivity` (seed, condition); `named_error` (seed, condition,
        named_color); `validation` (seed, term); `claim_holds` (seed, claim) and `passed` (seed). What a seed lacks is
        NaN; of one that failed no claim holds.
    """
    import xarray as xr

    rows: Sequence[Mapping[str, Any]] = sweep["rows"]
    keys = dict.fromkeys(key for row in rows for key in row if "." in key)
    cells: dict[str, dict[tuple[str, ...], str]] = {}
    for key in keys:
        name, place = _place(key)
        cells.setdefault(name, {})[place] = key
    dims = {"named_error": ("condition", "named_color"), "validation": ("term",)}
    claims = [claim["claim"] for claim in sweep["claims"]]
    holds = [[_holds(row, claim) for claim in claims] for row in rows]
    parts = [_array(name, dims.get(name, ("condition",)), places, rows) for name, places in cells.items()]
    known = xr.Dataset(
        {
            "passed": ("seed", np.array([bool(row.get("passed", False)) for row in rows], dtype=bool)),
            "claim_holds": (("seed", "claim"), np.array(holds, dtype=bool).reshape(len(rows), len(claims))),
        },
        coords={"seed": [row["seed"] for row in rows], "claim": claims},
    )
    return xr.merge([known, *parts], join="outer", compat="no_conflicts")


def _place(key: str) -> tuple[str, tuple[str, ...]]:
    """A key of a row as the name of an array and the labels in it."""
    if _COLOR in key:
        condition, _, color = key.partition(_COLOR)
        return "named_error", (condition, color)
    if key.startswith(_VALIDATION):
        return "validation", (key.removeprefix(_VALIDATION),)
    condition, _, name = key.rpartition(".")
    return name, (condition,)


def _array(
    name: str, dims: tuple[str, ...], places: Mapping[tuple[str, ...], str], rows: Sequence[Mapping[str, Any]]
) -> "xr.Dataset":
    import xarray as xr

    labels = [list(dict.fromkeys(place[axis] for place in places)) for axis in range(len(dims))]
    values = np.full((len(rows), *map(len, labels)), np.nan)
    for place, key in places.items():
        where = tuple(known.index(label) for known, label in zip(labels, place, strict=True))
        values[(slice(None), *where)] = [np.nan if row.get(key) is None else row[key] for row in rows]
    coords = {"seed": [row["seed"] for row in rows], **dict(zip(dims, labels, strict=True))}
    return xr.Dataset({name: (("seed", *dims), values)}, coords=coords)


def _holds(row: Mapping[str, Any], claim: str) -> bool:
    return "failed" not in row and claim not in row["failed_claims"]
