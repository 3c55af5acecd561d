import math
from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr

from excise.experiments import shape_verdict
from excise.experiments.catalogue import draw_shapes
from excise.experiments.shape_claims import KinkClaim
from excise.experiments.shape_verdict import judge_shapes
from excise.experiments.shapes import draw

RECIPE = draw_shapes()


@pytest.fixture
def arrays() -> xr.Dataset:
    return draw(RECIPE)


def at(arrays: xr.Dataset, degrees: float) -> int:
    return int(np.abs(arrays["angle"].to_numpy() - np.deg2rad(degrees)).argmin())


def nudge(shape: str, degrees: float) -> Callable[[xr.Dataset], None]:
    """Changes one latent by the smallest amount that there is."""

    def change(arrays: xr.Dataset):
        latent = arrays["after"].loc[{"shape": shape}][at(arrays, degrees)]
        latent[1] = np.nextafter(latent[1], 2)

    return change


def stretch(shape: str, degrees: float) -> Callable[[xr.Dataset], None]:
    def change(arrays: xr.Dataset):
        latent = arrays["after"].loc[{"shape": shape}][at(arrays, degrees)]
        latent *= (1 + 1e-9) / float(np.linalg.norm(latent))

    return change


def turn_back(arrays: xr.Dataset):
    alignment = 0.5 + 1e-9
    arrays["after"].loc[{"shape": "Bezier 90°→60°"}][at(arrays, 0)] = [alignment, math.sqrt(1 - alignment**2)]


def add(name: str, place: int, amount: float) -> Callable[[xr.Dataset], None]:
    def change(arrays: xr.Dataset):
        arrays[name][-1, place] += amount

    return change


def kink(arrays: xr.Dataset):
    linear = arrays["new_alignment"].sel(repulsion="linear 90°→60°").to_numpy()
    arrays["new_alignment"].loc[{"repulsion": "Bezier 90°→60°"}][:1500] = linear[:1500]


@pytest.mark.parametrize(
    ("tamper", "broken"),
    [
        (nudge("linear 90°→60°", 170), {"untouched, to the bit", "up to where"}),
        (nudge("whole from 60°", 70), {"up to where"}),
        (nudge("Bezier 60°→30°", -61), {"up to where"}),
        (stretch("half from 90°", 10), {"never makes a latent longer"}),
        (add("strength", 1700, -0.01), {"rises with alignment"}),
        (add("strength", -1, -1e-6), {"has the stated strength"}),
        (stretch("linear 60°→30°", 20), {"keeps every latent's length"}),
        (turn_back, {"closer to the direction"}),
        (kink, {"without a kink"}),
        (add("new_alignment", -2, 1e-5), {"arrives with the stated slope"}),
        (
            add("new_alignment", 1500, math.nan),
            {"closer to the direction", "without a kink"},
        ),
    ],
    ids=["away", "below", "repulsion-below", "longer", "falls", "missed", "length", "end", "kink", "slope", "nan"],
)  # fmt: skip
def test_a_claim_fails_where_what_was_drawn_breaks_it_and_no_other_does(
    arrays: xr.Dataset, tamper: Callable[[xr.Dataset], None], broken: set[str]
):
    assert all(row["passed"] for row in judge_shapes(RECIPE.claims, RECIPE.shapes, arrays))
    tamper(arrays)
    failed = [
        row["claim"]
        for row in judge_shapes(RECIPE.claims, RECIPE.shapes, arrays)
        if not row["passed"]
    ]  # fmt: skip
    assert len(failed) == len(broken)
    assert all(any(words in claim for claim in failed) for words in broken)


def test_a_suppression_that_acts_at_no_strength_breaks_its_claim(
    arrays: xr.Dataset, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(shape_verdict, "edit_by", lambda profile: lambda latents: latents.float().double())
    failed = [row for row in judge_shapes(RECIPE.claims, RECIPE.shapes, arrays) if not row["passed"]]
    assert [row["claim"] for row in failed] == [
        "at a strength of 0 a suppression is the identity, to the bit"
    ]
    assert failed[0]["measured"] > 700


def test_the_kink_is_measured_against_the_linear_mappers_of_which_it_is_the_slope_lost(arrays: xr.Dataset):
    (row,) = (row for row in judge_shapes(RECIPE.claims, RECIPE.shapes, arrays) if "kink" in row["claim"])
    (claim,) = (claim for claim in RECIPE.claims if isinstance(claim, KinkClaim))
    # A linear mapper goes on with slope (b - a) / (1 - a), so that 1 - (b - a) / (1 - a) is lost at the start.
    assert row["details"]["linear 90°→60°"] == pytest.approx(0.5)
    assert row["details"]["linear 60°→30°"] == pytest.approx(1 - (math.sqrt(3) / 2 - 0.5) / 0.5)
    assert row["threshold"] == claim.times * row["details"]["linear 60°→30°"]
    assert row["measured"] == row["details"]["Bezier 90°→60°"] < 0.01
