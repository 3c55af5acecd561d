"""What trackers are told of a sweep, which is one run to them: the mean over its seeds, and all seeds in a table."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from excise.experiments.chunk import finished_run
from excise.experiments.tracked import figures_of
from excise.trackers import Table, Tracking

__all__ = ["hand_over_sweep", "log_means"]


def hand_over_sweep(tracking: Tracking, sweep: Mapping[str, Any], path: Path) -> None:
    """Give trackers what a sweep has found: a row a seed, the spread of each number, claims, figures."""
    columns = tuple(dict.fromkeys(key for row in sweep["rows"] for key in row))
    rows = tuple(tuple(_cell(row.get(key)) for key in columns) for row in sweep["rows"])
    spreads = sweep["summary"]
    kinds = tuple(next(iter(spreads.values()), {}))
    claims = ("claim", "passed", "seeds")
    numbers = {
        f"{name}.{kind}": value
        for name, spread in spreads.items()
        for kind, value in spread.items()
        if value is not None
    }
    tracking.hand_over(
        numbers={**numbers, "seeds.passed": sweep["passed"], "seeds.run": len(sweep["rows"])},
        tables=[
            Table("seeds", columns, rows),
            Table(
                "summary",
                ("number", *kinds),
                tuple((name, *(spread[kind] for kind in kinds)) for name, spread in spreads.items()),
            ),
            Table("claims", claims, tuple(tuple(claim[key] for key in claims) for claim in sweep["claims"])),
        ],
        figures=figures_of(path),
    )


def log_means(tracking: Tracking, seeds: Sequence[int], path: Path) -> None:
    """Log the mean over the seeds of each logged step, from their run directories, over what is finite."""
    sums: dict[int, dict[str, float]] = {}
    counts: dict[int, dict[str, int]] = {}
    for seed in seeds:
        run = finished_run(path, seed)
        if run is None:
            continue
        metrics = run.metrics()
        for index, step in enumerate(metrics["step"].astype(int).tolist()):
            total, count = sums.setdefault(step, {}), counts.setdefault(step, {})
            for name, values in metrics.items():
                value = float(values[index])
                if name != "step" and math.isfinite(value):
                    total[name] = total.get(name, 0.0) + value
                    count[name] = count.get(name, 0) + 1
    for step in sorted(sums):
        means = {name: total / counts[step][name] for name, total in sums[step].items()}
        tracking.log({"step": step, **means})


def _cell(value: object) -> str | int | float | bool | None:
    return value if isinstance(value, str | int | float | bool | None) else "; ".join(map(str, value))  # pyright: ignore[reportArgumentType] - the rest are lists
