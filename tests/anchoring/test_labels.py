import inspect

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from excise.anchoring.labels import shares_of
from excise.errors import ShapeError

FAST = settings(derandomize=True, deadline=None, max_examples=100, database=None)


def given_labels(**values: list[float]):
    return {name: torch.tensor(column, dtype=torch.float64) for name, column in values.items()}


def shares(labels: dict[str, Tensor], affinities: dict[str, float]) -> list[float]:
    found = shares_of(labels, affinities)
    assert found is not None
    return found.tolist()


@FAST
@given(
    st.integers(1, 6).flatmap(
        lambda n: st.lists(st.tuples(st.floats(-2, 2), *[st.floats(0, 1)] * n), min_size=1, max_size=3)
    )
)
def test_shares_are_the_published_reduction(columns: list[tuple[float, ...]]):
    labels = given_labels(**{str(i): list(column[1:]) for i, column in enumerate(columns)})
    affinities = {str(i): column[0] for i, column in enumerate(columns)}
    weights = [
        min(
            1.0,
            max(0.0, sum(strength * value for strength, value in zip(affinities.values(), row, strict=True))),
        )
        for row in zip(*(column[1:] for column in columns), strict=True)
    ]
    if sum(weights) == 0:
        assert shares_of(labels, affinities) is None
    else:
        expected = [weight / (sum(weights) + 1e-8) for weight in weights]
        assert shares(labels, affinities) == pytest.approx(expected, rel=1e-12, abs=1e-300)


def test_a_sample_counts_by_its_labels_and_at_most_once():
    labels = given_labels(red=[1, 1, 0, 0], blue=[1, 0, 1, 0])
    assert shares(labels, {"red": 0.75, "blue": 0.5}) == pytest.approx([1 / 2.25, 0.75 / 2.25, 0.5 / 2.25, 0])
    assert shares(labels, {"red": 1.0, "blue": -1.0}) == pytest.approx([0, 1, 0, 0])


def test_faint_labels_fade_against_the_epsilon():
    assert shares(given_labels(red=[1e-8, 0]), {"red": 1.0}) == pytest.approx([0.5, 0])
    assert shares(given_labels(red=[1.0, 0]), {"red": 1.0}) == pytest.approx([1.0, 0])


def test_labels_that_the_batch_lacks_are_passed_over():
    labels = given_labels(red=[1, 0, 1])
    assert shares(labels, {"blue": 1.0, "red": 0.5}) == shares(labels, {"red": 0.5})
    assert shares_of(labels, {"blue": 1.0}) is None
    assert shares_of({}, {"red": 1.0}) is None


@pytest.mark.parametrize("strength", [1.0, 0.0, -1.0])
def test_no_share_is_given_where_no_sample_counts(strength: float):
    assert shares_of(given_labels(red=[0, 0]), {"red": strength}) is None
    assert (shares_of(given_labels(red=[0, 1]), {"red": strength}) is None) == (strength <= 0)


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64, torch.float16, torch.float32])
@pytest.mark.parametrize("strength", [1, 0.5])
def test_labels_of_any_dtype_count_alike(dtype: torch.dtype, strength: float):
    labels = {"red": torch.tensor([1, 0, 1]).to(dtype)}
    # An int is a float to Python's typing, but not to the checker that runs in tests.
    found = inspect.unwrap(shares_of)(labels, {"red": strength})
    assert found is not None
    assert found.tolist() == [0.5, 0, 0.5]


def test_the_labels_handed_in_stay_as_they_were():
    labels = given_labels(red=[1, 1, 0], blue=[1, 0, 1])
    shares_of(labels, {"red": 1.0})
    shares_of(labels, {"red": 1.0, "blue": 1.0})
    assert labels["red"].tolist() == [1, 1, 0]
    assert labels["blue"].tolist() == [1, 0, 1]


@pytest.mark.parametrize("shape", [(), (3, 1), (2, 3)])
def test_a_label_takes_one_value_a_sample(shape: tuple[int, ...]):
    with pytest.raises(ShapeError, match="label 'red' takes one value a sample"):
        shares_of({"red": torch.ones(shape)}, {"red": 1.0})
