"""Choosing one run out of many: first those that no other beats, then the best of them by what matters most."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float

from excise.errors import SettingError, ShapeError, UnknownNameError

__all__ = ["choose", "pareto_front"]


def pareto_front(
    metrics: Mapping[str, np.ndarray], *, low: Sequence[str], high: Sequence[str]
) -> Bool[np.ndarray, " run"]:
    """The runs that no other run beats.

    A run is beaten by one that is at least as good in every named metric and better in one. Runs that are equal in
    all of them beat each other in none: they are on the front together, or off it together. A run with a metric
    that is not finite is never on it.

    Args:
        metrics: a number for each run, `[run]`, by the metric's name; those that are not named play no part.
        low: the metrics that are better the lower they are.
        high: those that are better the higher they are.

    Returns:
        For each run whether it is on the front; there is at least one, where a run is finite.

    Raises:
        UnknownNameError: there is no such metric.
        SettingError: no metric is named, or one twice.
        ShapeError: the metrics are no `[run]`, or of different numbers of runs.
    """
    costs = _costs(metrics, low, high)
    finite = np.isfinite(costs).all(axis=1)
    rivals = costs[finite]
    front = np.zeros(len(costs), dtype=bool)
    for run in np.flatnonzero(finite):
        beaten_by = (rivals <= costs[run]).all(axis=1) & (rivals < costs[run]).any(axis=1)
        front[run] = not beaten_by.any()
    return front


def choose(metrics: Mapping[str, np.ndarray], *, low: Sequence[str], high: Sequence[str], by: str) -> int:
    """The run to show: the best in one metric among those that no other run beats.

    Args:
        metrics: as for `pareto_front`.
        low: the metrics that are better the lower they are.
        high: those that are better the higher they are.
        by: the metric that decides, one of `low` or `high`; of runs equal in it the first is taken.

    Returns:
        The index of the run.

    Raises:
        UnknownNameError: there is no such metric.
        SettingError: `by` is in neither list, no metric is named, one is named twice, or no run is finite in all of
            them.
        ShapeError: the metrics are no `[run]`, or of different numbers of runs.
    """
    front = np.flatnonzero(pareto_front(metrics, low=low, high=high))
    _check_known(by, metrics)
    if by not in (*low, *high):
        raise SettingError(
            f"a run is chosen by a metric in low {list(low)} or high {list(high)}; {by!r} came."
        )
    if not front.size:
        raise SettingError(
            f"no run can be chosen: none of {np.size(metrics[by])} is finite in each of {[*low, *high]}."
        )
    costs = np.asarray(metrics[by], dtype=float)[front] * (1 if by in low else -1)
    return int(front[costs.argmin()])


def _costs(
    metrics: Mapping[str, np.ndarray], low: Sequence[str], high: Sequence[str]
) -> Float[np.ndarray, "run metric"]:
    """The named metrics, each turned so that lower is better."""
    for names in (low, high):
        if isinstance(names, str):
            raise SettingError(f"low and high are lists of names; the text {names!r} came.")
    named = [*low, *high]
    for name in named:
        _check_known(name, metrics)
    if not named or len(set(named)) != len(named):
        raise SettingError(f"low and high name at least one metric, each once; {named} came.")
    columns = [np.asarray(metrics[name], dtype=float) for name in named]
    shapes = {name: column.shape for name, column in zip(named, columns, strict=True)}
    if len(set(shapes.values())) != 1 or columns[0].ndim != 1:
        raise ShapeError(f"each metric holds a number for each run, [run]; shapes {shapes} came.")
    return np.stack(columns, axis=1) * np.array([1.0] * len(low) + [-1.0] * len(high))


def _check_known(name: str, metrics: Mapping[str, np.ndarray]) -> None:
    if name not in metrics:
        raise UnknownNameError(name, metrics, "among the metrics")
