"""The check that every edit goes through: what it finds, and what it lets pass."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from excise.errors import InexactEditError
from excise.surgery import operations, plan
from excise.surgery.examples import Examples
from excise.surgery.operations.registry import _RULES
from excise.surgery.removal import Removal
from excise.surgery.trace import follow_features
from excise.surgery.verify import outputs_without


@pytest.fixture
def wrong_rule(monkeypatch: pytest.MonkeyPatch):
    """Makes a false rule for an operation: what it does is then seen by nothing but the check."""

    def use(name: str, like: str):
        monkeypatch.setitem(_RULES, name, operations.find_rule(like))

    return use


@pytest.mark.parametrize("mode", ["prune", "ablate"])
def test_an_edit_behind_a_false_rule_is_found_to_be_inexact(
    mode: Any, wrong_rule: Callable[..., None], between: Callable[..., Any], inputs: Callable[..., Any]
):
    model, x = between(lambda z: z.roll(1, -1)), inputs()
    assert plan(model, "writer", [0], mode, x).report.checked < 1e-6
    wrong_rule("roll", like="relu")
    # A removal of dim 0 at the reader would take away what came from dim 3.
    with pytest.raises(InexactEditError, match=r"rule of 'roll' is wrong"):
        plan(model, "writer", [0], mode, x)


def test_a_width_that_stands_in_the_code_is_found_with_its_line(
    between: Callable[..., Any], inputs: Callable[..., Any]
):
    model = between(nn.Identity())
    model.middle.register_forward_hook(lambda _m, _i, output: output + torch.ones(4))
    with pytest.raises(InexactEditError, match=r"the edited copy does not: .*test_verify.py, line \d+"):
        plan(model, "writer", [0], example_inputs=inputs())


def test_the_tolerance_follows_precision_and_size(between: Callable[..., Any], inputs: Callable[..., Any]):
    """A hook adds a known error to the narrower model alone."""

    def checked(error: float, scale: float = 1.0, dtype: torch.dtype = torch.float32):
        model = between(nn.Identity()).to(dtype)
        with torch.no_grad():
            model.reader.weight.mul_(scale)
        model.reader.register_forward_hook(lambda m, _i, y: y + error if m.in_features == 3 else y)
        return plan(model, "writer", [0], example_inputs=inputs(dtype=dtype)).report.checked

    assert checked(5e-6) == pytest.approx(5e-6, abs=1e-6)
    assert checked(5e-11, dtype=torch.float64) == pytest.approx(5e-11, rel=0.01)
    assert checked(1e-3, scale=1e4) == pytest.approx(1e-3, rel=0.8)
    for error, dtype in ((5e-5, torch.float32), (5e-10, torch.float64), (float("nan"), torch.float32)):
        with pytest.raises(InexactEditError):
            checked(error, dtype=dtype)


def test_a_model_that_computes_in_part_in_float32_is_held_to_float32(between: Callable[..., Any]):
    """Its weights are float64; sums in another order differ by what float32 rounds."""

    class Mixed(nn.Module):
        def forward(self, z: Tensor):
            return functional.normalize(z.float(), dim=-1).double()

    x = torch.randn(64, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    model = between(Mixed()).double()
    assert 1e-10 < plan(model, "writer", [0], example_inputs=x).report.checked < 1e-6
    assert plan(between(nn.Tanh()).double(), "writer", [0], example_inputs=x).report.checked < 1e-14


def test_the_reference_is_the_model_with_zeros_in_every_carrier(
    autoencoder: Callable[..., Any], inputs: Callable[..., Any]
):
    model, x = autoencoder(), inputs()
    examples = Examples((x,), {})
    removal = Removal(follow_features(model, "bottleneck", examples, None), (1,))
    kept = torch.tensor([1.0, 0.0, 1.0, 1.0])
    (found,) = outputs_without(removal, examples)
    latent = functional.normalize(model.encoder(x) * kept, dim=-1)
    assert torch.equal(found, model.decoder(latent))
    # Zeros behind the norm alone are another model.
    assert not torch.allclose(found, model.decoder(functional.normalize(model.encoder(x), dim=-1) * kept))


def test_in_part_the_reference_leaves_a_share(autoencoder: Callable[..., Any], inputs: Callable[..., Any]):
    model, x = autoencoder(bottleneck=nn.Identity()), inputs()
    examples = Examples((x,), {})
    removal = Removal(follow_features(model, "encoder", examples, None), (1,))
    (found,) = outputs_without(removal, examples, 0.25)
    expected = model.decoder(model.encoder(x) * torch.tensor([1.0, 0.75, 1.0, 1.0]))
    assert torch.allclose(found, expected, atol=1e-6)


def test_another_number_of_outputs_is_an_inexact_edit(
    between: Callable[..., Any], inputs: Callable[..., Any]
):
    class Counting(nn.Module):
        def __init__(self, inner: Any):
            super().__init__()
            self.inner = inner

        def forward(self, x: Tensor):
            return [self.inner(x)] * self.inner.reader.in_features

    with pytest.raises(InexactEditError, match="other outputs"):
        plan(Counting(between(nn.GELU())), "inner.writer", [0], example_inputs=inputs())


def test_a_branch_on_values_of_the_inputs_is_told():
    class Branching(nn.Module):
        def __init__(self):
            super().__init__()
            self.writer, self.reader = nn.Linear(3, 4), nn.Linear(4, 2)

        def forward(self, x: Tensor):
            return self.reader(self.writer(x if x.sum() > 0 else -x))

    x = torch.ones(2, 3)
    assert any("another way" in note for note in plan(Branching(), "writer", [0], "prune", x).report.notes)
