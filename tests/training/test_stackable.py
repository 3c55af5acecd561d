"""What cannot be trained as one batch, and what becomes of it."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from around import SEEDS, STREAM, Around, around, assert_same, both
from excise.errors import CannotStackWarning, NonFiniteError, SettingError
from excise.seeding import generator
from excise.stream import Batch, TensorStream
from excise.training import Snapshot, fit_lockstep
from excise.training.stackable import spare_models


class Branching(nn.Module):
    def forward(self, x: Tensor):
        return x if x.sum() > 0 else -x


class Scaled(nn.Module):
    """Has a setting that is neither parameter nor buffer."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, x: Tensor):
        return x * self.scale


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.LSTM(8, 8, batch_first=True)

    def forward(self, x: Tensor):
        return self.cell(x.unsqueeze(1))[0].squeeze(1)


class Other(Around):
    """Of another class, though nothing else is different."""


class Uneven:
    """A stream whose batches differ in size between seeds."""

    labels = ("red",)

    def batches(self, generator: torch.Generator) -> Iterator[Batch]:
        size = 5 + generator.initial_seed() % 7
        for batch in STREAM.batches(generator):
            red = batch.labels["red"][:size]
            yield Batch(batch.inputs[:size], batch.targets[:size], {"red": red})


NO_LABELS = generator(SEEDS[0], "data").initial_seed()


class SomeLabelled:
    """A stream that leaves the labels of some seeds away."""

    labels = ("red",)

    def batches(self, generator: torch.Generator) -> Iterator[Batch]:
        for batch in STREAM.batches(generator):
            carried = {} if generator.initial_seed() == NO_LABELS else batch.labels
            yield Batch(batch.inputs, batch.targets, carried)


def with_middle(make: Callable[[], nn.Module], other: Callable[[int], nn.Module]):
    """Three models, the one in the middle made otherwise."""
    models: list[nn.Module] = [*around(make)]
    models[1] = other(SEEDS[1])
    return models


def linear():
    return nn.Linear(8, 8)


def batch_norm(momentum: float = 0.1):
    return nn.BatchNorm1d(8, momentum=momentum)


ONE_BY_ONE: dict[str, tuple[Callable[[], list[Any]], str]] = {
    "draws": (lambda: around(lambda: nn.Dropout(0.5)), "random operation"),
    "branches": (lambda: around(Branching), "data-dependent"),
    "recurs": (lambda: around(Recurrent), "lstm"),
    "layers": (lambda: with_middle(nn.GELU, lambda s: Around(nn.Linear(8, 8), s)), "different parameters"),
    "width": (lambda: with_middle(nn.GELU, lambda s: Around(nn.GELU(), s, width=6)), "equal size"),
    "class": (lambda: with_middle(nn.GELU, lambda s: Other(nn.GELU(), s)), "same class"),
    "function": (lambda: with_middle(nn.GELU, lambda s: Around(nn.ReLU(), s)), "middle differs by"),
    "setting": (lambda: with_middle(lambda: Scaled(1.0), lambda s: Around(Scaled(2.0), s)), "than alone"),
    "momentum": (
        lambda: with_middle(batch_norm, lambda s: Around(batch_norm(0.5), s)),
        "running_mean differs",
    ),
    "frozen": (
        lambda: with_middle(linear, lambda s: Around(linear().requires_grad_(False), s)),
        "requires_grad",
    ),
}


@pytest.mark.parametrize("name", ONE_BY_ONE)
def test_what_cannot_be_stacked_is_trained_one_after_the_other_as_a_warning_says(name: str):
    make, reason = ONE_BY_ONE[name]
    with pytest.warns(CannotStackWarning, match=f"the 3 models are trained one after the other.*{reason}"):
        models, others, outcomes = both(make())
    assert_same(models, others)
    assert [(outcome.seed, outcome.history.num_steps) for outcome in outcomes] == [
        (seed, 8) for seed in SEEDS
    ]
    assert all(outcome.snapshots[-1].step == 7 for outcome in outcomes)


@pytest.mark.parametrize(
    ("stream", "reason"), [(Uneven(), "equal size"), (SomeLabelled(), "different labels")]
)
def test_batches_that_cannot_be_stacked_are_drawn_one_after_the_other(stream: Any, reason: str):
    with pytest.warns(CannotStackWarning, match=reason):
        models, others, _ = both(around(nn.GELU), stream=stream)
    assert_same(models, others)


def test_observers_are_told_of_each_training_where_they_are_not_one():
    told: list[Snapshot] = []
    models = around(lambda: nn.Dropout(0.5))
    with pytest.warns(CannotStackWarning):
        fit_lockstep(models, STREAM, seeds=SEEDS, steps=3, lr=0.1, log_every=1, observers=[told.append])
    assert [snapshot.step for snapshot in told] == [0, 1, 2] * 3


def test_a_seed_that_diverges_is_an_outcome_there_too():
    models = around(lambda: nn.Dropout(0.5))
    with torch.no_grad():
        models[1].first.weight.fill_(torch.inf)
    with pytest.warns(CannotStackWarning):
        outcomes = fit_lockstep(models, STREAM, seeds=SEEDS, steps=3, lr=0.1)
    assert [outcome.error is None for outcome in outcomes] == [True, False, True]
    assert isinstance(outcomes[1].error, NonFiniteError)
    assert (outcomes[1].error.term, outcomes[1].error.step, outcomes[1].snapshots) == ("objective", 0, ())


def test_a_stream_that_ends_is_refused():
    class Three:
        labels = ("red",)

        def batches(self, generator: torch.Generator) -> Iterator[Batch]:
            return islice(STREAM.batches(generator), 3)

    fit_lockstep(around(nn.GELU), Three(), seeds=SEEDS, steps=3, lr=0.1)
    with (
        pytest.warns(CannotStackWarning, match="the stream ended"),
        pytest.raises(SettingError, match="the stream ended after 3 batches"),
    ):
        fit_lockstep(around(nn.GELU), Three(), seeds=SEEDS, steps=4, lr=0.1)


@pytest.mark.parametrize(
    ("samples", "batch_size", "width", "spare"),
    [(64, 64, 8, 1), (64, 16, 3, 1), (65, 64, 8, 4), (65, 64, 1, 32), (20, 64, 1, 2)],
)
def test_as_many_models_are_spare_as_fill_the_end_of_the_smallest_tensor(
    samples: int, batch_size: int, width: int, spare: int
):
    """32 numbers, in the last and smallest batch, of the narrowest layer."""
    stream = TensorStream(torch.ones(samples, 8), {}, batch_size=batch_size)
    model = nn.Sequential(nn.Linear(8, width), nn.Linear(width, 8))
    assert spare_models(model, stream) == spare
