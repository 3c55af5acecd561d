"""Losses on held-out samples: in lockstep, by `fit`, and of the trained model by itself."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from excise.anchoring import Anchor, Anchoring, Term, Unitarity
from excise.color import NormalizedMLP
from excise.errors import SettingError
from excise.seeding import generator
from excise.stream import Batch
from excise.training import Snapshot, Validation, fit, fit_lockstep, reconstruction
from excise.training.validation import measure_validation
from many_seeds import ALL, STREAM, models_of, trained, weights_of

COLORS = torch.rand(40, 3, generator=torch.Generator().manual_seed(0))
HELD_OUT = Batch(COLORS, COLORS, {"red": (COLORS[:, 0] > 0.8).float(), "vibrant": torch.zeros(40)})
SEEDS = [2, 0, 1]


@pytest.fixture(scope="module")
def validated():
    """For each seed its weights and outcome, validated every four of ten steps."""
    return trained(SEEDS, steps=10, log_every=3, validation=Validation(HELD_OUT, every=4))


def test_it_is_measured_after_each_so_many_steps_and_after_the_last_and_those_are_logged(validated: Any):
    for _, outcome in validated.values():
        logged = {snapshot.step: bool(snapshot.validation) for snapshot in outcome.snapshots}
        assert logged == {0: False, 3: True, 6: False, 7: True, 9: True}


@pytest.mark.parametrize("seed", SEEDS)
def test_the_last_is_what_the_trained_model_gives_by_itself(seed: int, validated: Any):
    models = models_of(SEEDS)
    fit_lockstep(models, STREAM, ALL, seeds=SEEDS, steps=10)
    model = models[SEEDS.index(seed)]
    assert torch.equal(weights_of(model), validated[seed][0]), "measuring changes nothing"
    expected = measure_validation(model, ALL, reconstruction, HELD_OUT)
    # float32 sums over 40 samples, of one model and of several.
    assert dict(validated[seed][1].snapshots[-1].validation) == pytest.approx(expected, rel=1e-4)


def test_each_number_is_the_definition_on_the_held_out_batch(validated: Any):
    (model,) = models_of([0])
    fit(model, STREAM, ALL, seed=0, steps=10)
    found = measure_validation(model.eval(), ALL, reconstruction, HELD_OUT)
    with torch.no_grad():
        encoded = model.encoder(COLORS)
        latents = encoded / encoded.norm(dim=1, keepdim=True)
        drawn = model.decoder(latents).clamp(0, 1)
    offset = (latents - torch.tensor([1.0, 0, 0, 0])).square().sum(dim=1)
    red = HELD_OUT.labels["red"]
    assert found["objective"] == pytest.approx((drawn - COLORS).square().mean().item(), rel=1e-4)
    assert found["unit"] == pytest.approx((encoded.norm(dim=1) - 1).square().mean().item(), rel=1e-4)
    assert found["anchor"] == pytest.approx((offset * red).sum().item() / red.sum().item(), rel=1e-4)
    assert "planar" not in found, "no sample is vibrant"
    assert set(found) == set(validated[0][1].snapshots[-1].validation)


def test_fit_measures_what_lockstep_measures():
    told: list[Snapshot] = []
    validation = Validation(HELD_OUT, every=2)
    seed = 0
    fit(models_of([seed])[0], STREAM, ALL, seed=seed, steps=4, validation=validation, observers=[told.append])
    stacked = trained([seed, 1], steps=4, validation=validation)[seed][1].snapshots
    assert [snapshot.step for snapshot in told] == [snapshot.step for snapshot in stacked] == [0, 1, 3]
    for one, other in zip(told, stacked, strict=True):
        assert dict(one.validation) == pytest.approx(dict(other.validation), rel=1e-3)


class Moody(nn.Module):
    """Draws a half of what it should while it trains."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3))
        self.norm = nn.BatchNorm1d(3)

    def forward(self, x: Tensor):
        self.norm(x)
        return x * self.scale * (0.5 if self.training else 1.0)


@pytest.mark.parametrize("training", [True, False])
def test_it_is_measured_in_evaluation_mode_and_modes_and_buffers_stay(training: bool):
    model = Moody().train(training)
    mean = model.norm.running_mean
    assert mean is not None
    before = mean.clone()
    assert measure_validation(model, Anchoring([]), reconstruction, HELD_OUT) == {"objective": 0.0}
    assert model.training is training
    assert torch.equal(mean, before)
    told: list[Snapshot] = []
    models = [Moody(), Moody()]
    validation = Validation(HELD_OUT, every=1)
    fit_lockstep(
        models,
        STREAM,
        seeds=[0, 1],
        steps=2,
        lr=0.0,
        validation=validation,
        observers=[told.append],
        log_every=1,
    )
    assert [dict(snapshot.validation) for snapshot in told] == [{"objective": 0.0}] * 2
    assert all(snapshot.objective > 0 for snapshot in told)
    assert [model.norm.num_batches_tracked for model in models] == [2, 2]


def test_terms_are_measured_whatever_their_weight_and_observers_see_the_mean():
    anchoring = Anchoring(
        [Term("unit", Unitarity(), "encoder"), Term("anchor", Anchor([1, 0, 0, 0]), "encoder")]
    )
    told: list[Snapshot] = []
    models = [NormalizedMLP(generator=generator(seed, "init")) for seed in SEEDS]
    outcomes = fit_lockstep(
        models,
        STREAM,
        anchoring,
        seeds=SEEDS,
        steps=1,
        lr=0.0,
        validation=Validation(HELD_OUT),
        observers=[told.append],
    )
    rows = [outcome.snapshots[-1].row() for outcome in outcomes]
    for name in ("objective", "unit", "anchor"):
        values = [row[f"validation/{name}"] for row in rows]
        assert told[-1].validation[name] == pytest.approx(sum(values) / 3, rel=1e-12)
        assert len(set(values)) == 3


@pytest.mark.parametrize("every", [0, -1])
def test_it_takes_place_every_so_many_steps(every: int):
    with pytest.raises(SettingError, match=f"at least 1; {every} came"):
        Validation(HELD_OUT, every=every)
