"""Experiment 2.6 made so small that a run takes a moment: for tests of all that surrounds a training."""

from typing import Any

from excise.experiments.catalogue import delete_warmth
from excise.experiments.recipe import Data, Grids, Recipe

__all__ = ["make_tiny"]


def make_tiny(*, steps: int = 20, **changes: Any) -> Recipe:
    whole = delete_warmth()
    small: dict[str, Any] = {
        "dopesheet": "STEP,lr,reg-separate,reg-anchor,reg-unit,reg-planar\n"
        f"0,0.01,0.01,0.01,0.01,0.01\n{steps - 1},0.01,0,0,0,0\n",
        "data": Data(hues=6, saturations=3, values=3, labels=whole.data.labels),
        "grids": Grids(loss=(12, 3, 3), display=(6, 4, 2), lines=(7, 3, 3), latent=3),
    }
    return whole.model_copy(update=small | changes)
