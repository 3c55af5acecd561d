import math
from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from excise.anchoring import Anchor, Anchoring, Term, Unitarity
from excise.color import NormalizedMLP, WeakLabel, hsv_stream
from excise.errors import (
    CaptureError,
    ExciseError,
    NonFiniteError,
    ScheduleError,
    SettingError,
    ShapeError,
    UnknownLabelError,
    UnknownLayerError,
)
from excise.schedule import Dopesheet
from excise.seeding import generator
from excise.stream import Batch
from excise.training import Snapshot, fit

STREAM = hsv_stream({"red": WeakLabel("redness", 2.0, 0.5)})
SHEET = "STEP,PHASE,ACTION,lr,unit\n0,,,0.01,1\n9,,,0.01,1\n"


def mlp():
    return NormalizedMLP(generator=generator(0, "init"))


def weights_of(model: nn.Module):
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def torch_settings():
    flushed = float(torch.tensor([1e-39]) * 0.5) == 0
    return torch.get_num_threads(), torch.backends.mkldnn.enabled, flushed


def term(layer: str = "encoder", label: str = "red", width: int = 4):
    return Anchoring([Term("to-red", Anchor([1.0] + [0.0] * (width - 1)), layer, affinities={label: 1.0})])


class At:
    """A function that gives another value from its n-th call on."""

    def __init__(self, call: int, value: float) -> None:
        self.calls = -1
        self.call, self.value = call, value

    def __call__(self, x: Tensor):
        self.calls += 1
        return x * 0 + self.value if self.calls >= self.call else x * 0 + 1.0


@pytest.mark.parametrize(
    ("anchoring", "error", "text"),
    [
        (term(layer="encodr"), UnknownLayerError, r"'encodr' in this NormalizedMLP.*Did you mean 'encoder'"),
        (term(label="rd"), UnknownLabelError, r"no label 'rd' for term 'to-red'.*Did you mean 'red'"),
        (term(width=3), ShapeError, r"'to-red' on layer 'encoder': .*3 coordinates, but the layer has 4"),
    ],
    ids=["layer", "label", "width"],
)
def test_an_anchoring_that_does_not_fit_is_refused_before_a_weight_moves(
    anchoring: Anchoring, error: type[ExciseError], text: str
):
    model = mlp()
    before = weights_of(model)
    with pytest.raises(error, match=text):
        fit(model, STREAM, anchoring, steps=3, lr=0.01)
    assert torch.equal(weights_of(model), before)
    fit(model, STREAM, term(), steps=3, lr=0.01)
    assert not torch.equal(weights_of(model), before), "the same call with the right names trains"


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_term_that_is_not_finite_is_named_with_its_step_and_the_log_before_it_is_kept(value: float):
    told: list[Snapshot] = []
    boom = At(7, value)
    anchoring = Anchoring(
        [Term("unit", Unitarity(), "encoder"), Term("boom", lambda a: boom(a[..., 0]), "encoder")]
    )
    with pytest.raises(NonFiniteError, match=rf"'boom' became {value} at step 7") as caught:
        fit(mlp(), STREAM, anchoring, steps=20, lr=0.01, log_every=1, observers=[told.append])
    assert (caught.value.term, caught.value.step) == ("boom", 7)
    assert [s.step for s in told] == list(range(7))
    assert all(math.isfinite(s.loss) for s in told)


@pytest.mark.parametrize("value", [math.nan, -math.inf])
def test_an_objective_that_is_not_finite_is_named_with_its_step_and_the_log_before_it_is_kept(value: float):
    told: list[Snapshot] = []
    boom = At(3, value)
    with pytest.raises(NonFiniteError, match=rf"'objective' became {value} at step 3"):
        fit(
            mlp(),
            STREAM,
            objective=lambda y, _batch: boom(y.mean()),
            steps=20,
            lr=0.01,
            log_every=1,
            observers=[told.append],
        )
    assert [s.step for s in told] == [0, 1, 2]


def test_a_learning_rate_that_explodes_is_met_by_an_error_that_names_the_objective():
    with pytest.raises(NonFiniteError, match=r"'objective' became (nan|inf)"):
        fit(mlp(), STREAM, steps=50, lr=1e30, optimizer=lambda p: torch.optim.SGD(p, lr=1.0))


@pytest.mark.parametrize(
    ("sheet", "settings", "error", "text"),
    [
        (SHEET, {"lr": 0.1}, ScheduleError, "given twice: by the schedule's column 'lr' and by lr=0.1"),
        (None, {"steps": 3}, ScheduleError, "nothing says the learning rate"),
        (SHEET.replace("lr,unit", "unit,x"), {}, ScheduleError, "nothing says the learning rate"),
        (None, {"lr": 0.1}, ScheduleError, r"nothing says how long to train: pass steps="),
        (None, {"lr": 0.1, "steps": 0}, SettingError, "at least 1 step; steps=0 came"),
        (SHEET, {"log_every": 0}, SettingError, "log_every is at least 1; 0 came"),
        (None, {"lr": -0.1, "steps": 3}, SettingError, "finite and at least 0; -0.1"),
        (None, {"lr": math.nan, "steps": 3}, SettingError, "finite and at least 0; nan"),
        (SHEET.replace("9,,,0.01", "9,,,-1"), {}, SettingError, "finite and at least 0; -1"),
        (SHEET, {"seed": -1}, SettingError, "a seed is a whole number of at least 0; -1 came"),
    ],
    ids=[
        "lr-twice",
        "no-lr",
        "no-lr-column",
        "no-length",
        "no-steps",
        "log",
        "negative",
        "nan",
        "sheet",
        "seed",
    ],
)
# The sheet has columns for terms that this anchoring lacks.
@pytest.mark.filterwarnings("ignore::excise.errors.UnusedColumnWarning")
def test_settings_that_make_no_training_are_refused(
    sheet: str | None, settings: dict[str, Any], error: type[ExciseError], text: str
):
    schedule = None if sheet is None else Dopesheet.parse(sheet)
    anchoring = Anchoring([Term("unit", Unitarity(), "encoder")], schedule)
    model = mlp()
    before = weights_of(model)
    with pytest.raises(error, match=text):
        fit(model, STREAM, anchoring, **settings)
    assert torch.equal(weights_of(model), before)


def test_a_stream_that_ends_is_refused_with_the_count_of_its_batches():
    class Three:
        labels = ("red",)

        def batches(self, generator: torch.Generator) -> Iterator[Batch]:
            return islice(STREAM.batches(generator), 3)

    with pytest.raises(SettingError, match="ended after 3 batches"):
        fit(mlp(), Three(), steps=5, lr=0.01)
    fit(mlp(), Three(), steps=3, lr=0.01)


def test_an_objective_of_one_value_a_sample_is_refused():
    with pytest.raises(ShapeError, match=r"the objective is a scalar.* shape \[64, 3\] came"):
        fit(mlp(), STREAM, steps=1, lr=0.1, objective=lambda y, batch: (y - batch.targets).square())


def test_a_model_with_nothing_to_train_is_refused_and_frozen_weights_stay():
    model = mlp()
    model.encoder.requires_grad_(False)
    before = weights_of(model.encoder), weights_of(model.decoder)
    fit(model, STREAM, steps=3, lr=0.1)
    assert torch.equal(weights_of(model.encoder), before[0])
    assert not torch.equal(weights_of(model.decoder), before[1])
    with pytest.raises(SettingError, match="this NormalizedMLP has no parameter that requires a gradient"):
        fit(model.requires_grad_(False), STREAM, steps=3, lr=0.1)


def test_a_layer_that_does_not_run_is_refused():
    class Detour(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.unused = nn.Linear(3, 3), nn.Linear(3, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.used(x)

    with pytest.raises(CaptureError, match="layer 'unused' has not run"):
        fit(Detour(), STREAM, term(layer="unused"), steps=3, lr=0.1)


@pytest.mark.parametrize("fails", [False, True], ids=["finished", "failed"])
def test_torchs_settings_the_models_modes_and_its_hooks_are_as_before(fails: bool):
    model = mlp().eval()
    model.decoder.train()
    modes = [module.training for module in model.modules()]
    during: list[Any] = []

    def look(_snapshot: Snapshot):
        during.append((torch_settings(), all(module.training for module in model.modules())))
        if fails:
            raise KeyboardInterrupt

    before = torch_settings()
    torch.set_num_threads(3)
    try:
        settings = torch_settings()
        try:
            fit(model, STREAM, term(), steps=1, lr=0.1, observers=[look])
        except KeyboardInterrupt:
            assert fails
        assert torch_settings() == settings
    finally:
        torch.set_num_threads(before[0])
    assert during == [((1, False, True), True)]
    assert [module.training for module in model.modules()] == modes
    assert not any(module._forward_hooks for module in model.modules())
