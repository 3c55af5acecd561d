from collections.abc import Callable
from typing import Any

import pytest
import torch
from beartype import beartype
from jaxtyping import Float, jaxtyped
from torch import Tensor, nn

from excise.activations import capture
from excise.errors import UnfollowableError
from excise.surgery import prune, trace


class Stateful(nn.Module):
    """Its forward pass does everything that one should not: stores, counts, draws, makes constants."""

    def __init__(self, inner: Any):
        super().__init__()
        self.inner = inner
        self.register_buffer("calls", torch.tensor(0))
        self.log = []

    def forward(self, x: Tensor):
        self.calls += 1
        self.log.append(x)
        self.latent = self.inner.middle(self.inner.writer(x))
        return self.inner.reader(self.latent) + torch.rand(2)


def test_recording_leaves_no_mark_on_the_model(between: Callable[..., Any]):
    model = Stateful(between(nn.GELU()))
    attributes, state = set(vars(model)), torch.get_rng_state()
    assert trace(model, "inner.middle").readers == ("inner.reader",)
    assert set(vars(model)) == attributes
    assert (model.calls, model.log) == (0, [])
    assert torch.equal(torch.get_rng_state(), state)


def test_hooks_are_not_run_so_surgery_works_inside_a_capture(
    between: Callable[..., Any], inputs: Callable[..., Any]
):
    model = between(nn.Sequential(nn.GELU()))
    with capture(model, ["middle"]) as activations:
        model(inputs())
        before = activations["middle"]
        trace(model, "middle")
        assert activations["middle"] is before


class Optional(nn.Module):
    def __init__(self, inner: Any):
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor, mask: Any = None, scale: float = 2.0, *, with_latent: bool = False):
        latent = self.inner.writer(x) * scale
        if mask is not None:
            latent = latent * mask
        y = self.inner.reader(latent)
        return (y, latent) if with_latent else y


def test_arguments_with_a_default_are_taken_to_have_it(
    between: Callable[..., Any], inputs: Callable[..., Any]
):
    model = Optional(between(nn.GELU()))
    assert trace(model, "inner.writer").carriers == ("mul",)
    pruned = prune(model, "inner.writer", [0], example_inputs=inputs())
    assert pruned(inputs()).shape == (64, 2)


def test_a_first_argument_with_a_default_is_still_an_input(between: Callable[..., Any]):
    class Lone(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = between(nn.GELU())

        def forward(self, x: Tensor | None = None):
            if x is None:
                raise ValueError("no input")
            return self.inner(x)

    assert trace(Lone(), "inner.writer").readers == ("inner.reader",)


class Branching(nn.Module):
    def __init__(self, inner: Any):
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor):
        y = self.inner(x)
        if y.sum() > 0:
            return y
        return -y


def test_control_flow_that_depends_on_data_is_refused_with_its_line_and_the_way_out(
    between: Callable[..., Any],
):
    model = Branching(between(nn.GELU()))
    with pytest.raises(UnfollowableError, match=r"test_graph\.py, line \d+: `if y\.sum\(\) > 0:`") as caught:
        trace(model, "inner.writer")
    assert caught.value.culprit == "Branching"
    assert "pass a smaller module" in str(caught.value)
    assert trace(model.inner, "writer").readers == ("reader",)


def test_a_model_without_shapes_yet_is_refused_until_it_has_run(
    between: Callable[..., Any], inputs: Callable[..., Any]
):
    model = nn.Sequential(between(nn.GELU()), nn.LazyLinear(2))
    with pytest.raises(UnfollowableError, match=r"'1\.weight' is in the way: .*call the model once"):
        trace(model, "0.writer")
    model(inputs())
    assert trace(model, "0.writer").readers == ("0.reader",)


class Annotated(nn.Module):
    @jaxtyped(typechecker=beartype)
    def forward(self, x: Float[Tensor, "*batch features"]) -> Float[Tensor, "*batch features"]:
        return x.relu()


def test_modules_with_checked_shapes_can_be_traced_and_stay_checked(between: Callable[..., Any]):
    model = between(Annotated())
    assert trace(model, "middle").carriers == ("middle (relu)",)
    with pytest.raises(Exception, match="Type-check error"):
        model.middle(torch.ones(2, dtype=torch.int64))
