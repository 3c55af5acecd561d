import inspect
import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from scipy import stats
from torch import Tensor

from excise.errors import SettingError, ShapeError
from excise.stream import Batch, Stream, TensorStream

unchecked_stream = inspect.unwrap(TensorStream.__init__)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def numbered(count: int, probabilities: dict[str, Tensor] | None = None, **settings: Any) -> TensorStream:
    """A stream whose sample i is the number i."""
    return TensorStream(torch.arange(count, dtype=torch.float32), probabilities or {}, **settings)


def take(stream: TensorStream, batches: int, seed: int = 0) -> list[Batch]:
    return list(itertools.islice(stream.batches(generator(seed)), batches))


def visits(stream: TensorStream, epochs: int, seed: int = 0) -> Tensor:
    """The number of every sample drawn, in the order of draws."""
    each = -(-len(stream) // stream.batch_size)
    return torch.cat([batch.inputs for batch in take(stream, epochs * each, seed)]).long()


def test_samples_are_drawn_as_often_as_their_weights_say():
    weights = torch.linspace(0, 3, 50).square()
    counts = torch.bincount(visits(numbered(50, weights=weights), epochs=400), minlength=50)
    assert counts.sum() == 20_000
    assert counts[0] == 0
    expected = (weights / weights.sum() * 20_000).double()
    assert stats.chisquare(counts[1:].double(), expected[1:], sum_check=False).pvalue > 0.01
    # Control: the same test tells these draws from uniform ones.
    assert stats.chisquare(counts.double()).pvalue < 1e-9


def test_without_weights_draws_are_uniform_and_with_replacement():
    drawn = visits(numbered(50), epochs=400)
    assert stats.chisquare(torch.bincount(drawn, minlength=50).double()).pvalue > 0.01
    # Of n draws with replacement from n samples (1 - 1/n)^n never come; without, each comes once.
    seen = sum(len(epoch.unique()) for epoch in drawn.view(400, 50)) / 400
    assert seen == pytest.approx(50 * (1 - (1 - 1 / 50) ** 50), abs=0.5)


def test_labels_are_drawn_with_the_probability_of_their_sample():
    probability = torch.tensor([0.0, 0.02, 0.3, 0.5, 0.9, 1.0])
    stream = numbered(6, {"red": probability}, batch_size=6)
    batches = take(stream, 4000)
    samples = torch.cat([batch.inputs for batch in batches]).long()
    labels = torch.cat([batch.labels["red"] for batch in batches])
    assert set(labels.tolist()) == {0.0, 1.0}
    for i, p in enumerate(probability.tolist()):
        drawn = labels[samples == i]
        assert stats.binomtest(int(drawn.sum()), len(drawn), p).pvalue > 0.01
        wrong = p + 0.05 if p < 0.5 else p - 0.05
        assert stats.binomtest(int(drawn.sum()), len(drawn), wrong).pvalue < 1e-4, "control"


def test_labels_are_drawn_anew_at_every_visit_and_each_label_for_itself():
    stream = numbered(2, {"red": torch.tensor([0.3, 0.3]), "blue": torch.tensor([0.3, 0.3])}, batch_size=2)
    batches = take(stream, 5000)
    samples = torch.cat([batch.inputs for batch in batches])
    red = torch.cat([batch.labels["red"] for batch in batches]).bool()
    blue = torch.cat([batch.labels["blue"] for batch in batches]).bool()
    of_one = red[samples == 0]
    # Two Bernoulli(p) draws that know nothing of each other differ with probability 2p(1 - p) = 0.42.
    for differ in (of_one[1:] ^ of_one[:-1], red ^ blue):
        assert differ.double().mean().item() == pytest.approx(0.42, abs=0.03)


def test_an_epoch_is_as_many_draws_as_samples_and_its_last_batch_holds_the_rest():
    assert [len(batch.inputs) for batch in take(numbered(10, batch_size=4), 6)] == [4, 4, 2, 4, 4, 2]
    assert [len(batch.inputs) for batch in take(numbered(8, batch_size=4), 3)] == [4, 4, 4]
    assert [len(batch.inputs) for batch in take(numbered(3), 2)] == [3, 3]
    # The published stream: 3,600 colours in batches of 64.
    sizes = [len(batch.inputs) for batch in take(numbered(3600), 58)]
    assert sizes == [64] * 56 + [16, 64]


def test_a_batch_keeps_samples_targets_and_labels_together():
    inputs = torch.arange(20, dtype=torch.float32).view(10, 2)
    probabilities = {"even": (torch.arange(10) % 2 == 0).float(), "low": (torch.arange(10) < 5).float()}
    stream = TensorStream(inputs, probabilities, batch_size=4, targets=inputs[:, :1] * 10)
    assert stream.labels == ("even", "low")
    for batch in take(stream, 9):
        sample = batch.inputs[:, 0] / 2
        assert torch.equal(batch.inputs[:, 1], batch.inputs[:, 0] + 1)
        assert torch.equal(batch.targets[:, 0], batch.inputs[:, 0] * 10)
        assert torch.equal(batch.labels["even"], (sample % 2 == 0).float())
        assert torch.equal(batch.labels["low"], (sample < 5).float())


def test_without_targets_a_batch_is_its_own_target():
    batch = take(numbered(10), 1)[0]
    assert torch.equal(batch.targets, batch.inputs)


def same(one: list[Batch], other: list[Batch]):
    return all(
        torch.equal(a.inputs, b.inputs) and torch.equal(a.labels["red"], b.labels["red"])
        for a, b in zip(one, other, strict=True)
    )


def test_the_same_seed_gives_the_same_batches():
    stream = numbered(50, {"red": torch.full((50,), 0.5)}, batch_size=8)
    first = take(stream, 30)
    assert same(first, take(stream, 30))
    assert not same(first, take(stream, 30, seed=1))
    assert not same(first[:7], first[7:14]), "epochs differ"


def test_two_iterators_and_the_global_generator_do_not_disturb_each_other():
    stream = numbered(50, {"red": torch.full((50,), 0.5)}, batch_size=8)
    alone = take(stream, 20)
    one, other = stream.batches(generator()), stream.batches(generator(1))
    torch.manual_seed(5)
    state = torch.get_rng_state()
    mixed = []
    for _ in range(20):
        mixed.append(next(one))
        next(other)
    assert same(mixed, alone)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("targets", [None, torch.arange(50.0).view(50, 1) * 2], ids=["itself", "other"])
def test_stacked_batches_are_those_of_each_generator(targets: Tensor | None):
    stream = numbered(50, {"red": torch.full((50,), 0.5)}, batch_size=8, targets=targets)
    seeds = [3, 0, 7]
    stacked = list(itertools.islice(stream.stacked_batches([generator(seed) for seed in seeds]), 15))
    assert [batch.inputs.shape for batch in stacked[:7]] == [(3, 8)] * 6 + [(3, 2)]
    for index, seed in enumerate(seeds):
        for batch, own in zip(stacked, take(stream, 15, seed), strict=True):
            assert torch.equal(batch.inputs[index], own.inputs)
            assert torch.equal(batch.targets[index], own.targets)
            assert torch.equal(batch.labels["red"][index], own.labels["red"])
    assert not torch.equal(stacked[0].inputs[0], stacked[0].inputs[1])


def test_a_batch_that_is_overwritten_leaves_the_samples_as_they_were():
    stream = numbered(4, {"red": torch.full((4,), 0.5)})
    for batch in take(stream, 3):
        batch.inputs.zero_()
        batch.labels["red"].zero_()
    assert stream.inputs.tolist() == [0, 1, 2, 3]
    assert stream.label_probabilities["red"].tolist() == [0.5] * 4


def test_a_tensor_stream_is_a_stream():
    assert isinstance(numbered(3), Stream)
    assert not isinstance([1, 2], Stream)


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: numbered(3, batch_size=0), SettingError, "at least 1 sample; batch_size=0 came"),
        (lambda: numbered(0), ShapeError, r"inputs of shape \[0\] came"),
        (lambda: TensorStream(torch.tensor(1.0), {}), ShapeError, r"inputs of shape \[\] came"),
        (
            lambda: numbered(3, {"red": torch.ones(4)}),
            ShapeError,
            r"the probabilities of label 'red' are one number a sample, \[3\]; \[4\] came",
        ),
        (
            lambda: numbered(3, {"red": torch.tensor([0.0, 1.5, 1.0])}),
            SettingError,
            r"label 'red' lie in \[0, 1\]; 0\.0 to 1\.5 came",
        ),
        (lambda: numbered(3, {"red": torch.tensor([-0.1, 0.5, 1.0])}), SettingError, "label 'red' lie in"),
        (lambda: numbered(2, {"red": torch.tensor([float("nan"), 0.5])}), SettingError, "label 'red' lie in"),
        (lambda: numbered(3, weights=torch.ones(2)), ShapeError, r"sampling weights .*\[3\]; \[2\] came"),
        (lambda: numbered(2, weights=torch.tensor([1.0, -1.0])), SettingError, "none negative"),
        (lambda: numbered(2, weights=torch.zeros(2)), SettingError, "not all zero"),
        (lambda: numbered(2, weights=torch.tensor([1.0, float("inf")])), SettingError, "finite"),
        (lambda: numbered(2, weights=torch.tensor([1.0, float("nan")])), SettingError, "finite"),
        (lambda: numbered(3, targets=torch.ones(4, 3)), ShapeError, r"for 3 samples; \[4, 3\] came"),
        (lambda: numbered(3, targets=torch.tensor(1.0)), ShapeError, r"for 3 samples; \[\] came"),
    ],
)
def test_bad_settings_are_refused(make: Callable[[], TensorStream], error: type[Exception], says: str):
    with pytest.raises(error, match=says):
        make()


@pytest.mark.parametrize(
    "settings", [{"weights": torch.ones(3, 1)}, {"label_probabilities": {"red": torch.ones(3, 1)}}]
)
def test_a_column_instead_of_one_number_a_sample_is_refused(settings: dict[str, Any]):
    blank = TensorStream.__new__(TensorStream)
    with pytest.raises(ShapeError, match=r"one number a sample, \[3\]; \[3, 1\] came"):
        unchecked_stream(blank, torch.ones(3, 2), **({"label_probabilities": {}} | settings))


def test_whole_numbers_will_do_as_weights():
    counts = torch.bincount(visits(numbered(3, weights=torch.tensor([0, 1, 3])), epochs=400), minlength=3)
    assert counts[0] == 0
    assert 2 < counts[2] / counts[1] < 4
