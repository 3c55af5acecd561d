from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pytest
import torch
import xarray as xr
from torch import Tensor, nn

from excise.experiments.catalogue import delete_warmth
from excise.experiments.measure import measure
from excise.experiments.recipe import Agreement, ErrorClaim, Recipe
from excise.experiments.verdict import judge, threshold_in_words

FAITHFUL, LOST, KEPT, PINK, SAME = (claim.claim for claim in delete_warmth().claims)

NO_OUTPUTS = xr.DataArray(np.zeros((1, 3)), dims=("condition", "channel"), coords={"condition": ["ablated"]})


class Drawn(nn.Module):
    """Draws a colour as a function says; its latent is the colour itself."""

    def __init__(self, function: Callable[[Tensor], Tensor]):
        super().__init__()
        self.bottleneck = nn.Identity()
        self.function = function

    def forward(self, x: Tensor):
        return self.function(self.bottleneck(x))


def warmth(x: Tensor):
    """How far a colour lies along (2, -1, -1), the axis from cyan to red; 1 for red, -1 for cyan."""
    return x @ x.new_tensor([1.0, -0.5, -0.5])


def without_warmth(x: Tensor):
    """The colour without that axis: red and cyan turn gray; what is orthogonal to them stays."""
    return x - warmth(x)[:, None] * x.new_tensor([2.0, -1.0, -1.0]) / 3


def verdicts(recipe: Recipe, **functions: Callable[[Tensor], Tensor]):
    honest = {"baseline": lambda x: x, "ablated": without_warmth, "pruned": without_warmth}
    conditions = {name: Drawn(function) for name, function in (honest | functions).items()}
    results = measure(recipe, 0, dict(conditions))
    return {row["claim"]: row for row in results["claims"]}


def failed(recipe: Recipe, **functions: Callable[[Tensor], Tensor]):
    return {claim for claim, row in verdicts(recipe, **functions).items() if not row["passed"]}


def test_a_network_without_the_warm_axis_passes_every_claim_of_2_6(tiny: Callable[..., Recipe]):
    rows = verdicts(tiny())
    assert all(row["passed"] for row in rows.values())
    # Red loses (2, -1, -1)/3, whose mean square is 2/9; pink at 330 degrees has 3/4 of red's warmth.
    assert rows[LOST]["measured"] == pytest.approx(2 / 9, rel=1e-6)
    assert rows[PINK]["measured"] == pytest.approx(2 / 9 * (3 / 4) ** 2, rel=1e-6)
    assert rows[KEPT]["measured"] == pytest.approx(0, abs=1e-12)


def spares_pink(x: Tensor):
    return torch.where((warmth(x).abs() > 0.8)[:, None], without_warmth(x), x)


def spares_cyan(x: Tensor):
    return torch.where((warmth(x) < -0.8)[:, None], x, without_warmth(x))


def half_gray(x: Tensor):
    return torch.full_like(x, 0.5)


BREAKS: dict[str, tuple[dict[str, Callable[[Tensor], Tensor]], set[str]]] = {
    "baseline-passed-off-as-edited": ({"ablated": lambda x: x, "pruned": lambda x: x}, {LOST, PINK}),
    "cyan-survives": ({"ablated": spares_cyan, "pruned": spares_cyan}, {LOST}),
    "pink-survives": ({"ablated": spares_pink, "pruned": spares_pink}, {PINK}),
    "all-is-gray": ({"ablated": half_gray, "pruned": half_gray}, {KEPT}),
    "white-darkened": (dict.fromkeys(("ablated", "pruned"), lambda x: without_warmth(x) * 0.7), {KEPT}),
    "bad-baseline": ({"baseline": lambda x: 0.8 * x}, {FAITHFUL}),
    "pruned-a-little-off": ({"pruned": lambda x: without_warmth(x) * (1 - 1e-4)}, {SAME}),
    "pruned-not-edited": ({"pruned": lambda x: x}, {SAME}),
}


@pytest.mark.parametrize("name", BREAKS)
def test_each_claim_of_2_6_fails_where_it_is_not_so_and_only_there(tiny: Callable[..., Recipe], name: str):
    functions, expected = BREAKS[name]
    assert failed(tiny(), **functions) == expected


def test_no_claim_of_2_6_is_without_a_control():
    assert set().union(*(expected for _, expected in BREAKS.values())) == {
        claim.claim for claim in delete_warmth().claims
    }


def judged(claim: ErrorClaim, measured: dict[str, Any]):
    recipe = delete_warmth().model_copy(update={"claims": (claim,)})
    (row,) = judge(recipe, measured, NO_OUTPUTS, {})
    return row


MEASURED: dict[str, Any] = {
    "baseline": {"max_mse": 0.02, "named_colors": {"red": 0.01, "cyan": 0.0}},
    "ablated": {"max_mse": 0.5, "named_colors": {"red": 0.3, "cyan": 0.1}},
}


@pytest.mark.parametrize(
    ("settings", "measured", "threshold", "passed"),
    [
        ({"colors": ("red", "cyan"), "holds": "at least", "times": 0.29}, 0.1, 0.29 / 3, True),
        ({"colors": ("red", "cyan"), "holds": "at least", "times": 0.31}, 0.1, 0.31 / 3, False),
        ({"colors": ("red", "cyan"), "holds": "at most", "times": 0.91}, 0.3, 0.91 / 3, True),
        ({"colors": ("red", "cyan"), "holds": "at most", "times": 0.89}, 0.3, 0.89 / 3, False),
        ({"colors": ("cyan",), "holds": "at most", "times": 0.31}, 0.1, 0.31 / 3, True),
        ({"holds": "at least", "times": 25, "of": "baseline"}, 0.5, 0.5, True),
        ({"holds": "at least", "times": 26, "of": "baseline"}, 0.5, 0.52, False),
        ({"holds": "at most", "times": 25, "of": "baseline"}, 0.5, 0.5, True),
        ({"colors": ("red",), "holds": "at least", "times": 15, "of": "baseline"}, 0.3, 0.3, True),
    ],
)
def test_a_claim_is_judged_by_its_worst_color_against_a_multiple_of_its_level(
    settings: dict[str, Any], measured: float, threshold: float, passed: bool
):
    row = judged(ErrorClaim(claim="c", condition="ablated", **settings), MEASURED)
    assert row["measured"] == measured
    assert row["threshold"] == pytest.approx(threshold, rel=1e-12)
    assert row["passed"] is passed
    assert row["holds"] == settings["holds"]
    assert row["details"] == {
        color: MEASURED["ablated"]["named_colors"][color] for color in settings.get("colors", ())
    }
    level = "the baseline's maximum" if settings.get("of") else "1/3"
    assert row["threshold_is"] == f"{settings['times']:g} x {level}"


def test_a_measure_that_is_not_a_number_never_passes():
    measured = {"baseline": MEASURED["baseline"], "ablated": {"max_mse": float("nan"), "named_colors": {}}}
    for holds in ("at least", "at most"):
        assert (
            judged(ErrorClaim(claim="c", condition="ablated", holds=holds, times=1), measured)["passed"]
            is False
        )


@pytest.mark.parametrize(
    ("difference", "passed"), [(0.0, True), (0.25, True), (0.5, False), (float("nan"), False)]
)
def test_agreement_is_judged_in_float64_and_says_what_float32_makes_of_it(difference: float, passed: bool):
    values = np.zeros((2, 4, 3), dtype=np.float32)
    values[1, 2, 1] = -1e-3
    outputs = xr.DataArray(
        values, dims=("condition", "sample", "channel"), coords={"condition": ["pruned", "ablated"]}
    )
    pair = ("ablated", "pruned")
    claim = Agreement(claim="c", conditions=pair, tolerance=0.25)
    recipe = delete_warmth().model_copy(update={"claims": (claim,)})
    (row,) = judge(recipe, MEASURED, outputs, {pair: difference})
    assert row["passed"] is passed
    np.testing.assert_equal(row["measured"], difference)
    assert row["as_run"] == pytest.approx(1e-3)
    assert "0.001" in row["threshold_is"]


@pytest.mark.parametrize("holds", ["at least", "at most"])
def test_a_color_whose_error_is_not_a_number_fails_its_claim_wherever_it_stands(
    holds: Literal["at least", "at most"],
):
    times = 0.0 if holds == "at least" else 100.0
    claim = ErrorClaim(claim="c", condition="ablated", colors=("red", "cyan"), holds=holds, times=times)
    assert judged(claim, MEASURED)["passed"] is True
    for broken in ("red", "cyan"):
        colors = MEASURED["ablated"]["named_colors"] | {broken: float("nan")}
        measured = MEASURED | {"ablated": MEASURED["ablated"] | {"named_colors": colors}}
        assert judged(claim, measured)["passed"] is False


def test_a_threshold_is_told_as_a_number_where_it_is_one_in_every_run():
    claim = ErrorClaim(claim="c", condition="ablated", holds="at least", times=0.3)
    assert threshold_in_words(claim) == "at least 0.100"
    of_baseline = claim.model_copy(update={"of": "baseline", "times": 20.0})
    assert threshold_in_words(of_baseline) == "at least 20 x the baseline's maximum"
