"""Modules that are trained as one batch, whatever they are made of."""

import copy
import sys
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn

from around import SEEDS, STREAM, Around, around, assert_same, both
from excise.anchoring import Anchoring, Term, Unitarity
from excise.errors import CaptureError, SettingError
from excise.stream import Batch
from excise.training import fit, fit_lockstep


class Tied(nn.Module):
    """Two layers that share their weights."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Linear(8, 8)
        self.other = nn.Linear(8, 8)
        self.other.weight = self.one.weight

    def forward(self, x: Tensor):
        return self.other(self.one(x).tanh())


STACKED: dict[str, Callable[[], nn.Module]] = {
    "plain": nn.GELU,
    "norm-with-buffers": lambda: nn.BatchNorm1d(8),
    "norm": lambda: nn.LayerNorm(8),
    "in-place": lambda: nn.ReLU(inplace=True),
    "frozen": lambda: nn.Linear(8, 8).requires_grad_(False),
    "tied": Tied,
    "attention": lambda: nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True),
}


@pytest.mark.parametrize("name", STACKED)
def test_a_module_that_torch_can_batch_is_stacked_and_trained_as_alone(name: str):
    before = around(STACKED[name])
    models, others, outcomes = both(copy.deepcopy(before))
    # Eight steps of rounding in another order; gradient descent, unlike Adam, does not make more of it.
    assert_same(models, others, atol=2e-5, rtol=1e-4)
    for model, old, outcome in zip(models, before, outcomes, strict=True):
        assert outcome.error is None
        assert not torch.equal(model.first.weight, old.first.weight)


def test_frozen_parameters_stay_and_buffers_are_those_of_each_model():
    frozen, others, _ = both(around(STACKED["frozen"]))
    assert all(torch.equal(a.inner.weight, b.inner.weight) for a, b in zip(frozen, others, strict=True))
    normed, _, _ = both(around(STACKED["norm-with-buffers"]))
    means = [model.inner.running_mean for model in normed]
    assert not torch.equal(means[0], means[1])
    assert [model.inner.num_batches_tracked.item() for model in normed] == [8, 8, 8]


def test_objective_output_dtype_and_stream_are_the_users_own():
    class Doubled:
        labels = ("red",)

        def batches(self, generator: torch.Generator) -> Iterator[Batch]:
            for batch in STREAM.batches(generator):
                yield Batch(batch.inputs.double(), batch.targets[:, :1], batch.labels)

    def error(output: tuple[Tensor, str], batch: Batch):
        return (output[0].mean(dim=1, keepdim=True) - batch.targets).abs().mean()

    models = [Around(nn.GELU(), seed, end=lambda y: (y, "what else it says")).double() for seed in SEEDS]
    models, others, _ = both(models, stream=Doubled(), objective=error)
    assert_same(models, others, atol=1e-12, rtol=1e-12)
    assert models[0].first.weight.dtype == torch.float64


def test_terms_can_train_alone_where_the_objective_asks_nothing_of_the_model():
    before = around(nn.GELU)
    models, others, _ = both(copy.deepcopy(before), objective=lambda _y, _batch: torch.zeros(()))
    assert_same(models, others, atol=2e-5, rtol=1e-4)
    assert not torch.equal(models[0].first.weight, before[0].first.weight)


def test_no_time_is_spent_on_importing_a_computer_algebra(monkeypatch: pytest.MonkeyPatch):
    """torch imports sympy to start a backward pass from anything but scalars: half a second of each process."""
    monkeypatch.setitem(sys.modules, "torch.fx.experimental.symbolic_shapes", None)
    start = torch.ones(2, requires_grad=True)
    with pytest.raises(ImportError):
        torch.autograd.backward([start * 2], [torch.ones(2)])  # The control.
    anchoring = Anchoring([Term("unit", Unitarity(), "first")])
    before = around(nn.GELU)
    models = copy.deepcopy(before)
    fit_lockstep(models, STREAM, anchoring, seeds=SEEDS, steps=2, lr=0.1)
    assert not torch.equal(models[0].first.weight, before[0].first.weight)


def test_a_layer_with_a_term_that_is_overwritten_in_place_is_refused_as_it_is_alone():
    anchoring = Anchoring([Term("unit", Unitarity(), "first")])
    models = around(lambda: nn.ReLU(inplace=True))
    with pytest.raises(CaptureError, match="'first' was overwritten in place"):
        fit_lockstep(models, STREAM, anchoring, seeds=SEEDS, steps=2, lr=0.1)
    with pytest.raises(CaptureError, match="'first' was overwritten in place"):
        fit(models[0], STREAM, anchoring, steps=2, lr=0.1)


def test_a_model_with_nothing_to_train_is_refused():
    models = [model.requires_grad_(False) for model in around(nn.GELU)]
    with pytest.raises(SettingError, match="this Around has no parameter that requires a gradient"):
        fit_lockstep(models, STREAM, seeds=SEEDS, steps=2, lr=0.1)
