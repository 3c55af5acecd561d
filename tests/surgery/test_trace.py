import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from excise.errors import UnfollowableError, UnknownLayerError
from excise.surgery import Trace, trace


@pytest.mark.parametrize(
    ("layer", "carriers"),
    [("encoder", ("bottleneck (normalize)",)), ("encoder.2", ("bottleneck (normalize)",))],
)
def test_a_trace_names_who_writes_carries_and_reads(
    autoencoder: Callable[..., Any], layer: str, carriers: tuple[str, ...]
):
    assert trace(autoencoder(), layer) == Trace(layer, 4, ("encoder.2",), carriers, ("decoder.0",))


def test_the_whole_path_is_found_from_any_place_on_it(between: Callable[..., Any]):
    model = between(nn.Sequential(nn.GELU(), nn.Dropout(), nn.Tanh()))
    for layer in ("writer", "middle.0", "middle.1", "middle.2", "middle"):
        found = trace(model, layer)
        assert (found.writers, found.readers) == (("writer",), ("reader",))
        assert found.carriers == ("middle.0", "middle.1", "middle.2")


def test_a_hidden_layer_and_a_bare_sequential_are_layers_too(autoencoder: Callable[..., Any]):
    assert trace(autoencoder(), "encoder.1").writers == ("encoder.0",)
    assert trace(nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2)), "0").readers == ("1",)


def test_a_trace_reads_as_text(autoencoder: Callable[..., Any]):
    assert str(trace(autoencoder(), "bottleneck")) == (
        "bottleneck: 4 features\n"
        "  written by  encoder.2\n"
        "  carried by  bottleneck (normalize)\n"
        "  read by     decoder.0"
    )
    direct = trace(nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2)), "0")
    assert "carried by  (nothing in between)" in str(direct)


@pytest.mark.parametrize(
    ("asked", "nearest"), [("bottlenek", "bottleneck"), ("encoder.7", "encoder.0"), ("", None)]
)
def test_an_unknown_layer_is_refused_with_the_nearest_names(
    autoencoder: Callable[..., Any], asked: str, nearest: str | None
):
    with pytest.raises(UnknownLayerError) as caught:
        trace(autoencoder(), asked)
    assert "bottleneck" in caught.value.known
    assert nearest is None or nearest in caught.value.nearest


def refusal(model: Any, layer: str):
    with pytest.raises(UnfollowableError) as caught:
        trace(model, layer)
    return caught.value


@pytest.mark.parametrize(
    ("middle", "culprit"),
    [
        (nn.LayerNorm(4), "middle"),
        (nn.BatchNorm1d(4), "middle"),
        (nn.Softmax(-1), "middle"),
        (nn.Sequential(nn.GELU(), nn.Conv1d(1, 1, 1)), "middle.1"),
        (nn.Sequential(nn.GELU(), nn.Sequential(nn.LayerNorm(4))), "middle.1.0"),
        (nn.Bilinear(4, 4, 4), "middle"),
        (lambda z: z.softmax(-1), "middle (softmax)"),
        (lambda z: z + z, "middle (add)"),
        (lambda z: z * z, "middle (mul)"),
        (lambda z: z + torch.relu(z), "middle (add)"),
        (lambda z: torch.cat([z, z], -1)[..., :4], "middle (cat)"),
        (lambda z: z.reshape(-1, 2, 2).reshape(-1, 4), "middle (reshape)"),
        (lambda z: z @ torch.eye(4), "middle (matmul)"),
        (lambda z: z[:, [1, 0, 2, 3]], "middle (getitem)"),
        (lambda z: z / z.shape[-1], "middle (getattr)"),
        (lambda z: z * torch.arange(4.0), "middle (mul)"),
        (lambda z: z - z.mean(-1, keepdim=True), "middle (mean)"),
        (lambda z: 1 / z, "middle (truediv)"),
        (lambda z: functional.linear(z, torch.eye(4)), "middle (linear)"),
        (lambda z: functional.layer_norm(z, (4,)), "middle (layer_norm)"),
    ],
)
def test_an_operation_that_no_rule_covers_is_refused_by_name(
    between: Callable[..., Any], middle: Any, culprit: str | None
):
    assert refusal(between(middle), "writer").culprit == culprit
    between(lambda z: z * 2 + 1)
    assert trace(between(lambda z: z * 2 + 1), "writer").carriers == ("middle (mul)", "middle (add)")


def test_the_operation_in_the_way_is_named_on_the_writers_side_too(between: Callable[..., Any]):
    model = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.GELU(), nn.Linear(4, 2))
    error = refusal(model, "2")
    assert error.culprit == "1"
    assert "writes the features of '2'" in str(error)
    assert "a LayerNorm" in str(error)


class Leaking(nn.Module):
    def __init__(self, inner: Any):
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor):
        latent = self.inner.middle(self.inner.writer(x))
        return self.inner.reader(latent), {"latent": latent}


def test_features_that_leave_the_model_are_refused(between: Callable[..., Any]):
    error = refusal(Leaking(between(nn.GELU())), "inner.writer")
    assert "leave the model as an output (through 'inner.middle')" in str(error)
    assert "leave the model" in str(refusal(between(nn.GELU()), "reader"))


def test_features_without_a_writer_or_a_reader_are_refused():
    error = refusal(nn.Sequential(nn.GELU(), nn.Linear(3, 2)), "0")
    assert error.culprit == "input"
    assert "no Linear writes them" in str(error)

    class DeadEnd(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.unused = nn.Linear(3, 2), nn.Linear(3, 2)

        def forward(self, x: Tensor):
            self.unused(x)
            return self.used(x)

    assert "no Linear reads" in str(refusal(DeadEnd(), "unused"))


def test_a_layer_that_the_forward_pass_never_calls_is_refused(between: Callable[..., Any]):
    model = between(nn.GELU())
    model.spare = nn.Linear(4, 4)
    error = refusal(model, "spare")
    assert error.culprit == "spare"
    assert "never calls it" in str(error)


def test_a_layer_whose_output_is_no_tensor_is_refused(between: Callable[..., Any]):
    class Pair(nn.Module):
        def forward(self, x: Tensor):
            return x, x

    model = nn.Sequential(nn.Linear(3, 4), Pair())
    assert "not a single tensor" in str(refusal(model, "1"))


class Reused(nn.Module):
    """`twice` is called on the latent and on something else; `act` on two layers."""

    def __init__(self):
        super().__init__()
        self.act = nn.GELU()
        self.write = nn.Linear(4, 4)
        self.other = nn.Linear(4, 4)
        self.twice = nn.Linear(4, 4)

    def forward(self, x: Tensor):
        return self.twice(self.act(self.write(x))) + self.twice(self.act(self.other(x)))


def test_a_reader_called_on_other_features_as_well_is_refused():
    error = refusal(Reused(), "write")
    assert error.culprit == "twice"
    assert "called 2 times, and only some" in str(error)


def test_a_module_shared_by_two_layers_names_neither_of_them():
    error = refusal(Reused(), "act")
    assert error.culprit == "act"
    assert "on different features (written by write, other)" in str(error)


def test_a_writer_of_which_one_call_goes_elsewhere_is_refused():
    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.step, self.read = nn.Linear(4, 4), nn.Linear(4, 2)
            self.last = nn.GELU()

        def forward(self, x: Tensor):
            return self.read(self.last(self.step(self.step(x))))

    assert refusal(Recurrent(), "last").culprit == "step"


@pytest.mark.parametrize("edited", ["writer", "reader"])
def test_a_linear_that_shares_a_parameter_is_refused_with_its_partner(
    between: Callable[..., Any], edited: str
):
    model = between(nn.GELU())
    linear = model.get_submodule(edited)
    model.partner = nn.Linear(linear.in_features, linear.out_features)
    model.partner.weight = linear.weight
    error = refusal(model, "middle")
    assert (error.culprit, "'partner'" in str(error)) == (edited, True)


def test_a_weight_that_the_forward_pass_uses_directly_is_refused(between: Callable[..., Any]):
    class Tied(nn.Module):
        def __init__(self, inner: Any):
            super().__init__()
            self.inner = inner

        def forward(self, x: Tensor):
            return self.inner(x) + self.inner.writer.weight.sum()

    error = refusal(Tied(between(nn.GELU())), "inner.writer")
    assert "'inner.writer.weight' directly" in str(error)


@pytest.mark.parametrize("edited", ["writer", "reader"])
def test_a_parametrized_linear_is_refused_with_the_way_out(between: Callable[..., Any], edited: str):
    model = between(nn.GELU())
    nn.utils.parametrizations.weight_norm(model.get_submodule(edited))
    error = refusal(model, "middle")
    assert error.culprit == edited
    assert "remove_parametrizations" in str(error)


@pytest.mark.parametrize("edited", ["writer", "reader"])
@pytest.mark.parametrize("run_first", [False, True])
def test_a_weight_computed_at_every_call_is_refused(
    between: Callable[..., Any], inputs: Callable[..., Any], edited: str, run_first: bool
):
    model = between(nn.GELU())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nn.utils.weight_norm(model.get_submodule(edited))
    if run_first:
        model(inputs())
    error = refusal(model, "middle")
    assert error.culprit == edited
    assert "computed anew at every call" in str(error)


def test_linears_that_may_do_more_than_a_linear_are_refused(between: Callable[..., Any]):
    class Gated(nn.Linear):
        def forward(self, input: Tensor):
            return super().forward(input).sigmoid()

    model = between(nn.GELU())
    model.reader = Gated(4, 2)
    error = refusal(model, "writer")
    assert error.culprit == "reader (linear)"
    assert "outside a plain nn.Linear" in str(error)

    model = between(nn.GELU())
    model.writer.forward = lambda x: torch.zeros(4)
    assert "`forward` was replaced" in str(refusal(model, "middle"))


def test_a_model_whose_widths_do_not_fit_is_refused():
    error = refusal(nn.Sequential(nn.Linear(3, 4), nn.GELU(), nn.Linear(5, 2)), "1")
    assert error.culprit == "2"
    assert "reads 5 features, but '0' writes 4" in str(error)
