import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from excise.errors import SettingError, ShapeError, UnknownNameError
from excise.evaluation import choose, pareto_front

FAST = settings(derandomize=True, deadline=None, max_examples=200, database=None)

# Few distinct numbers, so that ties come often.
NUMBER = st.sampled_from([0.0, 1.0, 2.0, 3.0, float("nan"), float("inf"), float("-inf")])
RUNS = st.lists(st.tuples(NUMBER, NUMBER, NUMBER), min_size=1, max_size=8)
LOW, HIGH = ("loss", "anchor"), ("selectivity",)


def columns(runs: list[tuple[float, float, float]]) -> dict[str, np.ndarray]:
    return dict(zip((*LOW, *HIGH), np.array(runs, dtype=float).reshape(-1, 3).T, strict=True))


def beats(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    """The definition: nowhere worse, somewhere better; the last metric is better the higher."""
    worse = one[0] > other[0] or one[1] > other[1] or one[2] < other[2]
    better = one[0] < other[0] or one[1] < other[1] or one[2] > other[2]
    return better and not worse


def front_by_definition(runs: list[tuple[float, float, float]]) -> list[bool]:
    finite = [run for run in runs if np.isfinite(run).all()]
    return [run in finite and not any(beats(other, run) for other in finite) for run in runs]


@FAST
@given(RUNS)
def test_the_front_is_what_no_run_beats(runs: list[tuple[float, float, float]]):
    assert pareto_front(columns(runs), low=LOW, high=HIGH).tolist() == front_by_definition(runs)


@FAST
@given(RUNS, st.sampled_from((*LOW, *HIGH)))
def test_the_chosen_run_is_the_first_of_the_best_on_the_front(
    runs: list[tuple[float, float, float]], by: str
):
    metrics, front = columns(runs), front_by_definition(runs)
    if not any(front):
        with pytest.raises(SettingError, match=f"none of {len(runs)} is finite in each of"):
            choose(metrics, low=LOW, high=HIGH, by=by)
        return
    best = (max if by in HIGH else min)(metrics[by][front])
    expected = next(index for index, on in enumerate(front) if on and metrics[by][index] == best)
    assert choose(metrics, low=LOW, high=HIGH, by=by) == expected


@FAST
@given(RUNS)
def test_the_order_of_runs_does_not_matter_and_turned_metrics_give_the_same_front(
    runs: list[tuple[float, float, float]],
):
    metrics = columns(runs)
    front = pareto_front(metrics, low=LOW, high=HIGH)
    backwards = {name: column[::-1] for name, column in metrics.items()}
    assert_array_equal(pareto_front(backwards, low=LOW, high=HIGH), front[::-1])
    turned = {name: -column for name, column in metrics.items()}
    assert_array_equal(pareto_front(turned, low=HIGH, high=LOW), front)


def test_a_trade_off_is_all_front_and_a_run_that_is_worse_everywhere_is_not():
    metrics = {"loss": np.array([1.0, 2.0, 3.0, 3.5]), "gain": np.array([1.0, 2.0, 3.0, 0.5])}
    assert pareto_front(metrics, low=["loss"], high=["gain"]).tolist() == [True, True, True, False]
    assert choose(metrics, low=["loss"], high=["gain"], by="gain") == 2
    assert choose(metrics, low=["loss"], high=["gain"], by="loss") == 0


def test_runs_that_are_equal_in_all_are_on_the_front_together_and_the_first_is_chosen():
    metrics = {"loss": np.array([2.0, 1.0, 1.0]), "gain": np.array([5.0, 7.0, 7.0])}
    assert pareto_front(metrics, low=["loss"], high=["gain"]).tolist() == [False, True, True]
    assert choose(metrics, low=["loss"], high=["gain"], by="gain") == 1


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_a_run_that_is_not_finite_is_never_on_the_front_nor_keeps_others_off(bad: float):
    metrics = {"loss": np.array([0.0, 1.0]), "gain": np.array([bad, 0.0])}
    assert pareto_front(metrics, low=["loss"], high=["gain"]).tolist() == [False, True]
    assert choose(metrics, low=["loss"], high=["gain"], by="loss") == 1


def test_metrics_that_are_not_named_play_no_part():
    metrics = {"loss": np.array([1, 2]), "seed": np.array([float("nan"), 0.0])}
    assert pareto_front(metrics, low=["loss"], high=[]).tolist() == [True, False]


def test_of_no_runs_none_is_on_the_front_and_none_can_be_chosen():
    metrics = {"loss": np.array([])}
    assert pareto_front(metrics, low=["loss"], high=[]).shape == (0,)
    with pytest.raises(SettingError, match="none of 0 is finite"):
        choose(metrics, low=["loss"], high=[], by="loss")


@pytest.mark.parametrize(("low", "high", "by"), [(["los"], [], "loss"), (["loss"], ["los"], "loss")])
def test_an_unknown_metric_is_answered_with_the_nearest(low: list[str], high: list[str], by: str):
    metrics = {"loss": np.zeros(2), "gain": np.zeros(2)}
    with pytest.raises(UnknownNameError, match=r"no name 'los' among the metrics\. Did you mean 'loss'"):
        choose(metrics, low=low, high=high, by=by)
    with pytest.raises(UnknownNameError, match=r"'gai' among the metrics\. Did you mean 'gain'"):
        choose(metrics, low=["loss"], high=["gain"], by="gai")


def test_the_metric_that_decides_must_be_one_that_counts():
    metrics = {"loss": np.zeros(2), "gain": np.zeros(2)}
    with pytest.raises(SettingError, match=r"in low \['loss'\] or high \[\]; 'gain' came"):
        choose(metrics, low=["loss"], high=[], by="gain")


def test_no_metric_or_one_named_twice_or_a_text_is_refused():
    metrics = {"loss": np.zeros(2), "gain": np.zeros(2)}
    for low, high in [([], []), (["loss", "loss"], []), (["loss"], ["loss"])]:
        with pytest.raises(SettingError, match="at least one metric, each once"):
            pareto_front(metrics, low=low, high=high)
    with pytest.raises(SettingError, match="the text 'loss' came"):
        pareto_front(metrics, low="loss", high=[])


def test_metrics_of_other_shapes_are_refused():
    shapes = [(2,), (3,), (2, 1), ()]
    for one, other in itertools.permutations(shapes, 2):
        with pytest.raises(ShapeError, match="a number for each run"):
            pareto_front({"a": np.zeros(one), "b": np.zeros(other)}, low=["a"], high=["b"])
    with pytest.raises(ShapeError, match="a number for each run"):
        pareto_front({"a": np.zeros((2, 2))}, low=["a"], high=[])
