from typing import Any

import pytest
import torch
from torch import Tensor, nn

from excise.activations import capture, find_layer
from excise.errors import CaptureError, UnknownLayerError


class Branching(nn.Module):
    """Two layers, of which the second runs on demand; `alias` is another name of the first."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.second = nn.Linear(4, 4)
        self.alias = self.first
        self.pair = nn.LSTM(4, 2)

    def forward(self, x: Tensor, times: int = 1):
        hidden = self.first(x)
        for _ in range(times):
            hidden = self.second(hidden)
        return hidden


def model() -> Branching:
    torch.manual_seed(0)
    return Branching()


def x() -> Tensor:
    return torch.rand(5, 3, generator=torch.Generator().manual_seed(1))


def hooks_on(module: nn.Module):
    return sum(len(part._forward_hooks) for part in module.modules())


def test_captured_is_what_the_layer_gave_with_its_graph():
    net = model()
    with capture(net, ["first", "second"]) as activations:
        output = net(x())
        assert activations["second"] is output
        assert torch.equal(activations["first"], net.first(x()))
        activations["first"].sum().backward()
    assert net.first.weight.grad is not None
    assert net.second.weight.grad is None


def test_capturing_changes_neither_output_nor_gradient():
    net, twin = model(), model()
    with capture(net, ["first"]):
        output = net(x())
        output.sum().backward()
    expected = twin(x())
    expected.sum().backward()
    assert torch.equal(output, expected)
    assert torch.equal(net.first.weight.grad, twin.first.weight.grad)  # pyright: ignore[reportArgumentType] - not None


def test_only_the_latest_pass_is_kept_and_stays_readable_after_the_block():
    net = model()
    with capture(net, ["first"]) as activations:
        net(x())
        net(x() + 1)
    assert torch.equal(activations["first"], net.first(x() + 1))
    net(x() + 2)
    assert torch.equal(activations["first"], net.first(x() + 1))


def test_of_a_layer_that_runs_twice_in_a_pass_the_last_run_is_kept():
    net = model()
    with capture(net, ["second"]) as activations:
        output = net(x(), times=3)
    assert activations["second"] is output


def test_hooks_are_gone_after_the_block_and_after_any_exception():
    net = model()
    with capture(net, ["first", "second"]):
        assert hooks_on(net) == 2
    assert hooks_on(net) == 0
    with pytest.raises(KeyboardInterrupt), capture(net, ["first"]):
        raise KeyboardInterrupt
    assert hooks_on(net) == 0
    with pytest.raises(UnknownLayerError), capture(net, ["first", "third"]):
        pytest.fail("the block was entered")
    assert hooks_on(net) == 0


def test_a_users_own_hooks_and_other_captures_stay():
    net = model()
    calls: list[Any] = []
    net.first.register_forward_hook(lambda *_: calls.append(1))
    with capture(net, ["first"]) as outer:
        with capture(net, ["first"]) as inner:
            net(x())
        seen = inner["first"]
        net(x() + 1)
    assert calls == [1, 1]
    assert inner["first"] is seen
    assert outer["first"] is not seen
    assert hooks_on(net) == 1


def test_a_layer_named_twice_is_captured_once():
    net = model()
    with capture(net, ["first", "second", "first"]) as activations:
        assert activations.layers == ("first", "second")
        assert hooks_on(net) == 2


def test_a_shared_layer_is_found_under_each_of_its_names():
    net = model()
    assert find_layer(net, "alias") is net.first
    assert "alias" not in dict(net.named_modules()), "control: torch lists a module once"
    with capture(net, ["alias"]) as activations:
        net(x())
    assert torch.equal(activations["alias"], net.first(x()))


def test_a_layer_that_did_not_run_is_told_of_also_after_clear():
    net = model()
    with capture(net, ["first", "second"]) as activations:
        with pytest.raises(CaptureError, match="layer 'first' has not run: call the model first"):
            activations["first"]
        net(x(), times=0)
        assert activations["first"].shape == (5, 4)
        with pytest.raises(CaptureError, match="layer 'second' has not run"):
            activations["second"]
        activations.clear()
        with pytest.raises(CaptureError, match="layer 'first' has not run"):
            activations["first"]


def test_an_output_that_is_no_tensor_is_refused():
    net = model()
    with (
        capture(net, ["pair"]),
        pytest.raises(CaptureError, match="layer 'pair' gives a tuple, not a tensor"),
    ):
        net.pair(torch.zeros(1, 4))
    assert hooks_on(net) == 0


def test_an_unknown_layer_is_named_with_the_nearest():
    with pytest.raises(
        UnknownLayerError, match=r"no layer 'frist' in this Branching\. Did you mean 'first'"
    ) as caught:
        find_layer(model(), "frist")
    assert caught.value.known == ("first", "second", "alias", "pair")
    with pytest.raises(UnknownLayerError):
        find_layer(model(), "")
    with (
        capture(model(), ["first"]) as activations,
        pytest.raises(UnknownLayerError, match="'second' among the captured layers"),
    ):
        activations["second"]
