"""Each rule is held against what its operation really does, and what is carried against prune = ablate."""

import operator
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from excise.errors import UnfollowableError
from excise.surgery import ablate, prune, rules, trace
from excise.surgery.graph import record
from excise.surgery.rules import Call, Effect, rule

ARGUMENTS = {
    nn.Threshold: (0.1, 0.5),
    functional.threshold: (0.1, 0.5),
    nn.Dropout: (0.0,),
    functional.dropout: (0.0,),
    functional.alpha_dropout: (0.0,),
    torch.clamp: (-0.5, 0.5),
    torch.clip: (-0.5, 0.5),
    "clamp": (-0.5, 0.5),
    "clip": (-0.5, 0.5),
    torch.clamp_min: (-0.5,),
    "clamp_min": (-0.5,),
    torch.clamp_max: (0.5,),
    "clamp_max": (0.5,),
    "to": (torch.float64,),
    **dict.fromkeys(
        [
            operator.add, operator.sub, operator.mul, operator.truediv, operator.iadd, operator.isub,
            operator.imul, operator.itruediv, torch.add, torch.sub, torch.mul,
            torch.div, torch.true_divide, "add", "sub", "mul", "div",
        ],
        (0.5,),
    ),
}  # fmt: skip
NORMS = {functional.normalize, torch.norm, torch.linalg.norm, torch.linalg.vector_norm, "norm"}
ELEMENTWISE = [kind for kind in rules._RULES if kind not in NORMS and kind != "cuda"]


def as_module(kind: Any, make_function: Callable[..., Any]):
    if isinstance(kind, type):
        return kind(*ARGUMENTS.get(kind, ())).eval()
    if isinstance(kind, str):
        return make_function(lambda x: getattr(x, kind)(*ARGUMENTS.get(kind, ())))
    return make_function(lambda x: kind(x, *ARGUMENTS.get(kind, ())))


@pytest.mark.parametrize("kind", ELEMENTWISE, ids=lambda kind: getattr(kind, "__name__", kind))
# Some of these operations are deprecated, and models that use them are followed all the same.
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")
def test_every_elementwise_rule_says_what_the_operation_does(kind: Any, between: Callable[..., Any]):
    model = between(nn.Identity()).double()
    function = type(between(torch.relu).middle)
    model.middle = as_module(kind, function)
    graph = record(model.eval())
    writer = next(node for node in graph.nodes if node.target == "writer")
    (user,) = writer.users
    effect = Call(user, graph.modules).effect

    x = torch.randn(32, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    changed = x.clone()
    changed[:, 1] += 0.25
    with torch.no_grad():
        differs = (model.middle(x.clone()) != model.middle(changed)).any(0)
        at_zero = model.middle(torch.zeros(1, 4, dtype=torch.float64))
    assert not differs[[0, 2, 3]].any()
    if effect is Effect.KEEPS_ZERO:
        assert not at_zero.any()
    else:
        assert effect is Effect.MOVES_ZERO


def augmented(z: Tensor):
    """Every augmented assignment, where it is exact."""
    z *= 2.0
    norm = z.norm(dim=-1, keepdim=True)
    norm += 1e-8
    z /= norm
    z += 1.0
    z -= 0.5
    return z


def layer_gap(model: Any, x: Tensor):
    with torch.no_grad():
        return (prune(model, "writer", [0, 2])(x) - ablate(model, "writer", [0, 2])(x)).abs().max().item()


@pytest.mark.parametrize(
    "middle",
    [
        lambda z: functional.normalize(z, dim=-1),
        functional.normalize,
        lambda z: functional.normalize(z, p=1.0, dim=-1),
        lambda z: functional.normalize(z, dim=0),
        lambda z: z / z.norm(dim=-1, keepdim=True),
        lambda z: z / z.norm(p=2, dim=-1, keepdim=True).clamp_min(1e-8),
        lambda z: z / (z.norm(2, -1, True) + 1e-8),
        lambda z: z / (1e-8 + torch.norm(z, dim=-1, keepdim=True)),
        lambda z: z / functional.softplus(z.norm(dim=-1, keepdim=True).detach()),
        lambda z: z.div(torch.linalg.norm(z, dim=-1, keepdim=True)),
        lambda z: torch.div(z, torch.linalg.vector_norm(z, ord=2, dim=(-1,), keepdim=True).clamp(min=1e-8)),
        lambda z: functional.normalize(z.tanh() * 3, dim=-1).sigmoid() + 1,
        lambda z: functional.normalize(z.clamp(-0.5, 0.5), dim=-1),
        lambda z: functional.normalize(functional.hardtanh(z), dim=-1),
        lambda z: functional.hardtanh(z, 0.5, 1.0),
        lambda z: 1 - z.exp(),
        augmented,
        lambda z: normalized_alias(operator.imul, z, 2),
        lambda z: normalized_alias(operator.itruediv, z, 2),
    ],
)
def test_prune_equals_ablate_through_what_is_carried(
    between: Callable[..., Any], inputs: Callable[..., Any], middle: Any
):
    model = between(middle).double()
    assert layer_gap(model, inputs(dtype=torch.float64)) < 1e-13


def test_a_norm_over_another_axis_is_exact_on_a_batch_of_sequences(between: Callable[..., Any]):
    model = between(lambda z: functional.normalize(z, dim=1)).double()
    x = torch.randn(5, 7, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert layer_gap(model, x) < 1e-13


@pytest.mark.parametrize(
    "middle",
    [
        lambda z: z / z.norm(dim=0, keepdim=True),  # 0 / 0 in the ablated model
        lambda z: z / z.norm(dim=-1),  # broadcast along the features
        lambda z: z / z.norm(),
        lambda z: z / z.norm(p=0, dim=-1, keepdim=True),
        lambda z: z / z.norm(p=-1, dim=-1, keepdim=True),
        lambda z: z / z.tanh().norm(dim=-1, keepdim=True),
        lambda z: z / torch.ones(1, 4).norm(dim=-1, keepdim=True),
        lambda z: z / z.tanh(),
        lambda z: (z, z.norm(dim=-1, keepdim=True).softmax(0))[0],
        lambda z: z * z.norm(dim=-1, keepdim=True),
        lambda z: functional.normalize(z, p=-2.0, dim=-1),
        lambda z: functional.normalize(z, dim=0, eps=0.0),
    ],
)
def test_a_norm_that_is_not_exact_is_refused(between: Callable[..., Any], middle: Any):
    with pytest.raises(UnfollowableError, match="middle"):
        trace(between(middle), "writer")


def normalized_alias(overwrite: Callable[..., Any], z: Tensor, number: float):
    """Overwrites `z`, and normalises it under a name that it had before."""
    alias = z
    overwrite(z, number)
    return functional.normalize(alias, dim=-1)


@pytest.mark.parametrize(
    ("middle", "culprit"),
    [
        (lambda z: functional.normalize(z.sigmoid(), dim=-1), "middle (sigmoid)"),
        (lambda z: functional.normalize((z + 1).relu(), dim=-1), "middle (add)"),
        (lambda z: functional.normalize(z.clamp(min=0.1), dim=-1), "middle (clamp)"),
        (lambda z: normalized_alias(operator.iadd, z, 1), "middle (iadd)"),
        (lambda z: normalized_alias(operator.isub, z, 1), "middle (isub)"),
        (
            lambda z: (functional.hardtanh(z, 0.5, 1.0, True), functional.normalize(z, dim=-1))[1],
            "middle (hardtanh)",
        ),
    ],
)
def test_a_norm_after_zero_has_moved_is_refused(between: Callable[..., Any], middle: Any, culprit: str):
    model = between(middle)
    with pytest.raises(UnfollowableError, match="no edit of weights removes that") as caught:
        trace(model, "writer")
    assert caught.value.culprit == culprit


def test_a_module_that_is_named_like_an_operation_is_not_one():
    class Divides(nn.Module):
        def __init__(self):
            super().__init__()
            self.writer, self.reader = nn.Linear(3, 4), nn.Linear(4, 2)
            self.norm = nn.GELU()

        def forward(self, x: Tensor):
            latent = self.writer(x)
            return self.reader(latent / self.norm(latent))

    with pytest.raises(UnfollowableError, match="'truediv' is in the way"):
        trace(Divides(), "writer")


def test_a_norm_of_something_else_is_refused():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.writer, self.reader = nn.Linear(3, 4), nn.Linear(4, 2)

        def forward(self, x: Tensor):
            return self.reader(self.writer(x) / x.norm(dim=-1, keepdim=True))

    with pytest.raises(UnfollowableError, match="'truediv' is in the way"):
        trace(Scaled(), "writer")


def test_a_norm_that_leaves_the_model_is_refused():
    class Measured(nn.Module):
        def __init__(self):
            super().__init__()
            self.writer, self.reader = nn.Linear(3, 4), nn.Linear(4, 2)

        def forward(self, x: Tensor):
            latent = self.writer(x)
            return self.reader(latent), latent.norm(dim=-1, keepdim=True)

    with pytest.raises(UnfollowableError, match="'output' is in the way: it reads a norm of"):
        trace(Measured(), "writer")


def test_a_rule_holds_only_for_features_that_come_first(
    between: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(rules, "_RULES", dict(rules._RULES))

    @rule(torch.maximum)
    def _maximum(call: Call) -> Effect | None:
        return Effect.KEEPS_ZERO

    limit = torch.zeros(4)
    assert trace(between(lambda z: torch.maximum(z, limit)), "writer").carriers == ("middle (maximum)",)
    with pytest.raises(UnfollowableError, match=r"'middle \(maximum\)' is in the way"):
        trace(between(lambda z: torch.maximum(limit, z)), "writer")


def test_a_new_rule_takes_a_few_lines(
    between: Callable[..., Any], inputs: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
):
    class Swish(nn.Module):
        """A leaf to fx, as a torch module would be."""

        __module__ = "torch.nn.modules.activation"

        def forward(self, x: Tensor):
            return x * x.sigmoid()

    model = between(Swish()).double()
    with pytest.raises(UnfollowableError, match="a Swish"):
        trace(model, "writer")
    monkeypatch.setattr(rules, "_RULES", dict(rules._RULES))

    @rule(Swish)
    def _swish(call: Call) -> Effect | None:
        return Effect.KEEPS_ZERO if call.alone else None

    assert layer_gap(model, inputs(dtype=torch.float64)) < 1e-13
