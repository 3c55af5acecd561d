"""Turns claims into verdicts: each is computed from what was measured, never asserted."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from excise.experiments.recipe import (
    BASELINE,
    REFERENCE_LEVEL,
    Agreement,
    Claim,
    ErrorClaim,
    Recipe,
    SelectivityClaim,
)
from excise.numerals import number

__all__ = ["judge", "threshold_in_words"]


def judge(
    recipe: Recipe,
    measured: Mapping[str, Mapping[str, Any]],
    loss_outputs: xr.DataArray,
    disagreements: Mapping[tuple[str, str], float],
) -> list[dict[str, Any]]:
    """A row for each claim: what was claimed, what was measured, the threshold, and whether it held.

    Args:
        recipe: whose claims are judged.
        measured: for each condition `max_mse`, `median_mse`, the error of each of its `named_colors`, and perhaps
            `selectivity`.
        loss_outputs: what each condition makes of the loss grid, dims (condition, ..., channel).
        disagreements: for each pair of conditions that a claim says agree, their largest difference in float64.
    """
    rows = []
    for claim in recipe.claims:
        if isinstance(claim, Agreement):
            rows.append(_judge_agreement(claim, loss_outputs, disagreements[claim.conditions]))
        elif isinstance(claim, SelectivityClaim):
            rows.append(_judge_selectivity(claim, measured[claim.condition]["selectivity"]))
        else:
            rows.append(_judge_error(claim, measured))
    return rows


def threshold_in_words(claim: Claim) -> str:
    """From where on the claim holds, in any run: "at most 0.0500"; an error in baselines, where those are the level."""
    if isinstance(claim, Agreement):
        return f"at most {number(claim.tolerance, 3, padded=True)}"
    if isinstance(claim, SelectivityClaim):
        return f"{claim.holds} {number(claim.threshold, 3, padded=True)}"
    if claim.of == "reference":
        return f"{claim.holds} {number(claim.times * REFERENCE_LEVEL, 3, padded=True)}"
    return f"{claim.holds} {claim.times:g} x the baseline's maximum"


def _judge_error(claim: ErrorClaim, measured: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    level = REFERENCE_LEVEL if claim.of == "reference" else measured[BASELINE]["max_mse"]
    condition = measured[claim.condition]
    errors = {color: condition["named_colors"][color] for color in claim.colors}
    # Python's own min and max pass over a NaN that is not the first.
    worst = np.min if claim.holds == "at least" else np.max
    value = float(worst(list(errors.values()))) if errors else condition[f"{claim.statistic}_mse"]
    threshold = claim.times * level
    return {
        "claim": claim.claim,
        "measured": value,
        "holds": claim.holds,
        "threshold": threshold,
        "threshold_is": f"{claim.times:g} x "
        + ("1/3" if claim.of == "reference" else "the baseline's maximum"),
        "passed": bool(value >= threshold if claim.holds == "at least" else value <= threshold),
        "details": errors,
    }


def _judge_selectivity(claim: SelectivityClaim, value: float) -> dict[str, Any]:
    return {
        "claim": claim.claim,
        "measured": value,
        "holds": claim.holds,
        "threshold": claim.threshold,
        "threshold_is": "R² of error against likeness",
        "passed": bool(value >= claim.threshold if claim.holds == "at least" else value <= claim.threshold),
        "details": {},
    }


def _judge_agreement(claim: Agreement, outputs: xr.DataArray, value: float) -> dict[str, Any]:
    first, second = (outputs.sel(condition=condition).to_numpy() for condition in claim.conditions)
    as_run = float(np.abs(first - second).max())
    return {
        "claim": claim.claim,
        "measured": value,
        "holds": "at most",
        "threshold": claim.tolerance,
        "threshold_is": f"in float64; in float32, as run, {number(as_run)}",
        "as_run": as_run,
        "passed": bool(value <= claim.tolerance),
        "details": {},
    }
