from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np
import torch
from numpy.testing import assert_allclose, assert_array_equal
from torch import Tensor, nn
from torch.testing import assert_close

from excise.anchoring import Anchor, Anchoring, Term
from excise.color import NormalizedMLP, WeakLabel, hsv_stream
from excise.schedule import Dopesheet
from excise.seeding import generator
from excise.stream import Batch, Stream, TensorStream
from excise.training import fit

LABELS = {"red": WeakLabel("redness", 10.0, 0.5)}
RED = Term("red", Anchor([1, 0, 0, 0]), layer="bottleneck", affinities={"red": 1.0})
SHEET = "STEP,PHASE,ACTION,lr::linear,pull::linear\n0,,,0.1,0\n10,,,0.2,5\n20,,,0,5\n"


def mlp(seed: int = 0, hidden: int = 16, depth: int = 1):
    return NormalizedMLP(generator=generator(seed, "init"), hidden=hidden, depth=depth)


def linear(width: int):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(width, width))


def weights_of(model: nn.Module):
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


class Repeat:
    """A stream of the user's own: one batch, over and over, and what it was asked for."""

    labels = ("red",)

    def __init__(self, inputs: Tensor, targets: Tensor | None = None) -> None:
        carried = {"red": torch.ones(len(inputs))}
        self.batch = Batch(inputs, inputs if targets is None else targets, carried)
        self.generators: list[torch.Generator] = []

    def batches(self, generator: torch.Generator) -> Iterator[Batch]:
        self.generators.append(generator)
        while True:
            yield self.batch


class Spy(torch.optim.SGD):
    """Plain gradient descent that keeps the learning rate and the gradients of each step."""

    def __init__(self, parameters: Iterable[nn.Parameter]) -> None:
        super().__init__(parameters, lr=123.0)
        self.rates: list[float] = []
        self.gradients: list[Tensor] = []

    def step(self, closure: None = None) -> None:
        (group,) = self.param_groups
        self.rates.append(group["lr"])
        self.gradients.append(torch.cat([p.grad.flatten() for p in group["params"] if p.grad is not None]))
        super().step(closure)


def spied(made: list[Spy]):
    def make(parameters: Iterable[nn.Parameter]):
        made.append(Spy(parameters))
        return made[-1]

    return make


def driven_by(sheet: str, steps: int | None = None):
    """Rates and gradients of a training whose gradient is the weight of its only term: d(w x)/dw at x = 1."""
    anchoring = Anchoring([Term("pull", lambda a: a.sum(dim=-1), layer="0")], Dopesheet.parse(sheet))
    made: list[Spy] = []
    fit(
        nn.Sequential(nn.Linear(1, 1, bias=False)),
        Repeat(torch.ones(4, 1)),
        anchoring,
        objective=lambda y, _batch: 0 * y.sum(),
        optimizer=spied(made),
        steps=steps,
    )
    return made[0].rates, torch.stack(made[0].gradients).squeeze(1).tolist()


def test_fit_lowers_the_loss_and_a_learning_rate_of_zero_does_not():
    model, still = mlp(), mlp()
    before = weights_of(model)
    history = fit(model, hsv_stream({}), steps=300, lr=0.01)
    assert history.table["objective"][-1] < 0.2 * history.table["objective"][0]
    fit(still, hsv_stream({}), steps=5, lr=0.0)
    assert torch.equal(weights_of(still), before)
    assert not torch.equal(weights_of(model), before)


def test_an_anchoring_brings_red_to_its_place_which_training_alone_does_not():
    def cosine(anchoring: Anchoring | None):
        model = mlp()
        fit(model, hsv_stream(LABELS), anchoring, steps=200, lr=0.01)
        return float(model.bottleneck(model.encoder(torch.tensor([1.0, 0, 0])))[0].detach())

    assert cosine(Anchoring([RED])) > 0.99
    assert cosine(None) < 0.9


def test_learning_rate_and_weight_are_those_of_the_schedule_at_each_step():
    rates, gradients = driven_by(SHEET)
    assert len(rates) == 21
    assert_allclose(rates, np.interp(range(21), [0, 10, 20], [0.1, 0.2, 0]), atol=1e-12)
    assert_allclose(gradients, np.interp(range(21), [0, 10, 20], [0, 5, 5]), rtol=1e-6)


def test_steps_past_the_schedules_end_hold_its_last_values_and_fewer_steps_cut_it():
    long_rates, long_gradients = driven_by(SHEET.replace("20,,,0,5", "20,,,0.3,7"), steps=25)
    assert long_rates[20:] == [0.3] * 5
    assert long_gradients[20:] == [7.0] * 5
    rates, gradients = driven_by(SHEET, steps=4)
    assert_allclose(rates, [0.1, 0.11, 0.12, 0.13], atol=1e-12)
    assert_allclose(gradients, [0, 0.5, 1, 1.5], rtol=1e-6)


def test_a_learning_rate_of_ones_own_holds_beside_a_schedule_without_one():
    anchoring = Anchoring([], Dopesheet.parse("STEP,PHASE,ACTION\n0,,\n6,,\n"))
    made: list[Spy] = []
    fit(mlp(), hsv_stream({}), anchoring, lr=0.5, optimizer=spied(made))
    assert made[0].rates == [0.5] * 7


def test_one_step_is_gradient_descent_on_objective_plus_weighted_terms():
    x, model = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), linear(2)
    naive = linear(2)
    sheet = Dopesheet.parse("STEP,PHASE,ACTION,lr,anchor\n0,,,0.01,0.3\n5,,,0.01,0.3\n")
    anchoring = Anchoring([Term("anchor", Anchor([1, -1]), layer="0", affinities={"red": 1.0})], sheet)
    fit(model, Repeat(x), anchoring, steps=1, optimizer=lambda p: torch.optim.SGD(p, lr=9.0))

    y = naive(x)
    loss = (y - x).square().mean() + 0.3 * (y - torch.tensor([1.0, -1.0])).square().sum(dim=1).mean()
    loss.backward()
    for parameter in naive.parameters():
        assert parameter.grad is not None
        parameter.data -= 0.01 * parameter.grad
    assert_close(weights_of(model), weights_of(naive))


def test_targets_and_an_objective_of_ones_own_are_what_is_learned():
    colors = torch.rand(32, 3, generator=generator(0, "inputs"))
    stream, inverse = TensorStream(colors, {}, targets=1 - colors), linear(3)
    history = fit(inverse, stream, steps=400, lr=0.05)
    assert history.table["objective"][-1] < 1e-4
    assert_close(inverse(colors).detach(), 1 - colors, atol=0.05, rtol=0)

    def distance_to_half(y: Tensor, batch: Batch):
        return (y - 0.5 * torch.ones_like(batch.inputs)).abs().mean()

    half = linear(3)
    history = fit(half, stream, steps=400, lr=0.01, objective=distance_to_half)
    assert history.table["objective"][-1] < 0.05
    assert float((half(colors).detach() - 0.5).abs().mean()) < 0.05


def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not():
    def trained(seed: int, global_seed: int):
        torch.manual_seed(global_seed)
        model = mlp()
        state = torch.get_rng_state()
        history = fit(model, hsv_stream(LABELS), Anchoring([RED]), seed=seed, steps=40, lr=0.01)
        assert torch.equal(torch.get_rng_state(), state), (
            "a training draws nothing from torch's own generator"
        )
        return weights_of(model), history.table["loss"]

    (weights, losses), (again, same), (other, _) = trained(0, 1), trained(0, 2), trained(1, 1)
    assert torch.equal(weights, again)
    assert_array_equal(losses, same)
    assert not torch.equal(weights, other)


def test_initial_weights_and_data_are_independent_of_each_other():
    def seen(model: nn.Module, seed: int):
        stream = hsv_stream(LABELS)
        batches: list[Batch] = []

        class Recorded:
            labels = stream.labels

            def batches(self, generator: torch.Generator) -> Iterator[Batch]:
                for batch in stream.batches(generator):
                    batches.append(batch)
                    yield batch

        assert isinstance(Recorded(), Stream)
        fit(model, Recorded(), seed=seed, steps=3, lr=0.01)
        return torch.cat([batch.inputs for batch in batches[:3]])

    data = seen(mlp(0), 0)
    assert torch.equal(data, seen(mlp(1, hidden=8, depth=3), 0))
    assert not torch.equal(data, seen(mlp(0), 1))
    expected = torch.cat([b.inputs for b in islice(hsv_stream(LABELS).batches(generator(0, "data")), 3)])
    assert torch.equal(data, expected)
    draws = [torch.rand(1000, generator=generator(0, purpose)) for purpose in ("init", "data")]
    assert abs(np.corrcoef(draws)[0, 1]) < 0.15


def test_the_seed_also_fixes_what_the_model_draws_and_the_global_generator_is_left_alone():
    def trained(seed: int, state: int):
        model = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.5), nn.Linear(8, 3))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.fill_(0.1)
        torch.manual_seed(state)
        before = torch.get_rng_state()
        fit(model, hsv_stream({}), seed=seed, steps=5, lr=0.01)
        assert torch.equal(torch.get_rng_state(), before)
        return next(model.parameters())

    assert torch.equal(trained(0, 1), trained(0, 2))
    assert not torch.equal(trained(0, 1), trained(1, 1))
