"""Models that are trained in lockstep end as they do by themselves."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from numpy.testing import assert_array_equal
from torch.testing import assert_close

from excise.anchoring import Anchoring, Term
from excise.color import hsv_stream
from excise.stream import Batch
from excise.training import Snapshot, fit
from many_seeds import ALL, LABELS, STREAM, TERMS, models_of, rows_of, trained, weights_of


# Sizes that fill whole registers and sizes that do not: torch computes the last few numbers of a tensor by other code,
# and products of matrices depend on where in memory they lie.
@pytest.mark.parametrize(
    ("hidden", "batch_size"),
    [(16, 16), (7, 33), (10, 50), (5, 191)],
    ids=["even", "odd", "mixed", "one-left"],
)
def test_a_seed_ends_with_the_same_bits_alone_and_among_others(hidden: int, batch_size: int):
    stream = hsv_stream(LABELS, batch_size=batch_size, hues=12, saturations=4, values=4)
    weights, outcome = trained([5], hidden, stream=stream, log_every=1)[5]
    for seeds in ([5, 0], [0, 5, 2], [6, 4, 3, 2, 1, 0, 5]):
        found = trained(seeds, hidden, stream=stream, log_every=1)
        assert torch.equal(found[5][0], weights)
        assert rows_of(found[5][1]) == rows_of(outcome)
        assert [found[seed][1].seed for seed in seeds] == seeds
        assert not torch.equal(found[0][0], weights), "control"


def test_seed_17_is_the_same_alone_and_among_sixty():
    assert torch.equal(trained([17], steps=8)[17][0], trained(list(range(60)), steps=8)[17][0])


def test_each_seed_of_a_stack_is_trained_as_fit_trains_it():
    # Adam steps by the learning rate whichever way a gradient points, even one that is all rounding: two trainings
    # whose sums are taken in another order agree for some steps, and then part.
    seeds, steps = [3, 0, 8], 10
    found = trained(seeds, steps=steps, log_every=1)
    for seed in seeds:
        (model,) = models_of([seed])
        history = fit(model, STREAM, ALL, seed=seed, steps=steps, log_every=1)
        weights, outcome = found[seed]
        assert_close(weights, weights_of(model), atol=1e-4, rtol=0)
        assert set(outcome.history.table) == set(history.table)
        for name, column in history.table.items():
            assert_close(
                torch.tensor(outcome.history.table[name]),
                torch.tensor(column),
                atol=1e-4,
                rtol=1e-3,
                equal_nan=True,
            )
        assert outcome.error is None


@pytest.mark.parametrize("term", TERMS, ids=lambda term: term.name)
def test_every_term_pulls_in_lockstep_as_it_does_alone(term: Term):
    """On latents `[batch, seq, latent]`, with a weight that leaves no doubt whether the term acts."""

    class Sequences:
        labels = STREAM.labels

        def batches(self, generator: torch.Generator) -> Iterator[Batch]:
            for batch in STREAM.batches(generator):
                inputs = torch.stack([batch.inputs, 1 - batch.inputs], dim=1)
                yield Batch(inputs, inputs, batch.labels)

    def by_descent(parameters: Any):
        return torch.optim.SGD(parameters, lr=1.0)

    seeds, settings = [1, 2], {"steps": 5, "lr": 0.02, "optimizer": by_descent}
    pulled = trained(seeds, stream=Sequences(), anchoring=Anchoring([term]), **settings)
    free = trained(seeds, stream=Sequences(), anchoring=Anchoring([]), **settings)
    for seed in seeds:
        (model,) = models_of([seed])
        fit(model, Sequences(), Anchoring([term]), seed=seed, **settings)
        assert_close(pulled[seed][0], weights_of(model), atol=1e-5, rtol=0)
        assert (pulled[seed][0] - free[seed][0]).abs().max() > 1e-4, "control: the term does something"


def test_past_the_schedules_end_its_last_rate_and_weights_hold():
    outcome = trained([0], steps=45, log_every=1)[0][1]
    rates = outcome.history.table["lr"]
    assert rates[39:] == pytest.approx([0.05] * 6, rel=1e-12)
    assert 0.1 == rates[0] > rates[20] > rates[38] > rates[39]
    last = outcome.snapshots[-1]
    assert last.weights == pytest.approx({"unit": 0, "apart": 0, "planar": 0} | {
        "anchor": 0.1, "turn": 0.05, "empty": 0.1, "inside": 0.01, "near": 0.01, "crowd": 0.01
    })  # fmt: skip
    assert "unit" not in last.terms
    assert last.step == 44


def test_observers_are_told_the_mean_over_the_seeds():
    told: list[Snapshot] = []
    found = trained([0, 1, 2], steps=25, observers=[told.append])
    assert [snapshot.step for snapshot in told] == [0, 10, 20, 24]
    for index, mean in enumerate(told):
        each = [outcome.snapshots[index] for _, outcome in found.values()]
        assert mean.loss == pytest.approx(sum(one.loss for one in each) / 3, rel=1e-12)
        for name, value in mean.terms.items():
            having = [one.terms[name] for one in each if name in one.terms]
            assert value == pytest.approx(sum(having) / len(having), rel=1e-12)
    for _, outcome in found.values():
        assert_array_equal(outcome.history.table["step"], [0, 10, 20, 24])
        assert (outcome.history.num_steps, outcome.snapshots[0].num_steps) == (25, 25)
