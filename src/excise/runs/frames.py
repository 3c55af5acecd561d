"""What a run holds as pandas frames: its log, its claims, its numbers."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

    from excise.experiments.reproduction import Reproduction

__all__ = [
    "claims_of_run",
    "claims_of_sweep",
    "metrics_frame",
    "metrics_over_seeds",
    "numbers_of_reproduction",
    "numbers_of_run",
    "numbers_of_sweep",
]

_STEP = "step"


def metrics_frame(columns: Mapping[str, np.ndarray]) -> "pd.DataFrame":
    """One row a logged step, indexed by the optimiser step; NaN where a step lacks a value."""
    import pandas as pd

    frame = pd.DataFrame(dict(columns))
    if _STEP not in frame:
        return frame
    steps = frame.pop(_STEP)
    whole = steps.astype("int64") if np.isfinite(steps).all() else steps
    frame.index = pd.Index(whole, name=_STEP)
    return frame


def metrics_over_seeds(frames: Mapping[int, "pd.DataFrame"]) -> "pd.DataFrame":
    """The logs of several seeds as one frame, indexed by seed and step."""
    import pandas as pd

    if not frames:
        return pd.DataFrame()
    return pd.concat(list(frames.values()), keys=list(frames), names=["seed", _STEP])


def claims_of_run(claims: Iterable[Mapping[str, Any]]) -> "pd.DataFrame":
    """A row a claim: whether it holds, what was measured, and the threshold."""
    import pandas as pd

    columns = ["claim", "passed", "measured", "holds", "threshold", "threshold_is"]
    return pd.DataFrame([{name: claim[name] for name in columns} for claim in claims], columns=columns)


def claims_of_sweep(claims: Iterable[Mapping[str, Any]]) -> "pd.DataFrame":
    """A row a claim: in how many seeds it holds, and the spread of what was measured."""
    import pandas as pd

    spread = ["median", "min", "max", "sd"]
    rows = [
        {name: claim[name] for name in ("claim", "passed", "seeds")}
        | {name: claim["measured"][name] for name in spread}
        for claim in claims
    ]
    return pd.DataFrame(rows, columns=["claim", "passed", "seeds", *spread])


def numbers_of_run(results: Mapping[str, Any]) -> "pd.DataFrame":
    """Errors by condition: the largest, the median, the selectivity, then each colour; of shapes, by angle."""
    import pandas as pd

    if shapes := results.get("shapes"):
        rows = {name: shape["by_degrees"] for name, shape in shapes.items()}
        return pd.DataFrame.from_dict(rows, orient="index", dtype=float).rename_axis("shape")
    columns = {}
    for condition, measured in results["conditions"].items():
        single = {name: value for name, value in measured.items() if name != "named_colors"}
        columns[condition] = single | measured["named_colors"]
    names = dict.fromkeys(
        name
        for inside in (False, True)
        for measured in results["conditions"].values()
        for name in (measured["named_colors"] if inside else measured)
        if name != "named_colors"
    )
    return pd.DataFrame(columns, index=list(names), dtype=float).rename_axis("error")


def numbers_of_sweep(rows: Iterable[Mapping[str, Any]]) -> "pd.DataFrame":
    """A row a seed: every number that it measured; a seed that failed has none, and says why under `failed`."""
    import pandas as pd

    frame = pd.DataFrame(list(rows))
    return frame.set_index("seed") if "seed" in frame else frame


def numbers_of_reproduction(made: "Reproduction") -> "pd.DataFrame":
    """A row a comparison: what was published, what we measured, and the verdict."""
    import pandas as pd

    rows = [
        {
            "section": section.title,
            "recipe": row.recipe,
            "what": row.what,
            "published": " to ".join(row.published),
            "ours": row.ours[0] if len(row.ours) == 1 else row.ours,
            "verdict": row.verdict.value,
        }
        for section in made.sections
        for row in section.rows
    ]
    return pd.DataFrame(rows)
