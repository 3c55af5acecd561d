"""What a trace says of small models; the zoo says it of large ones."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from excise.errors import UnfollowableError, UnknownLayerError
from excise.surgery import Part, Trace, trace


@pytest.mark.parametrize("layer", ["encoder", "encoder.2", "bottleneck", "bottleneck:normalize"])
def test_a_trace_names_who_writes_carries_and_reads_from_any_place_on_the_way(
    autoencoder: Callable[..., Any], layer: str
):
    parts = (
        Part("encoder.2.weight", (0,), (4, 16), "writes"),
        Part("encoder.2.bias", (0,), (4,), "writes"),
        Part("decoder.0.weight", (1,), (16, 4), "reads"),
    )
    carriers = ("encoder.2:linear", "bottleneck:normalize")
    assert trace(autoencoder(), layer) == Trace(layer, 4, carriers, parts)


def test_the_writers_are_found_before_the_place_and_the_readers_behind_it(between: Callable[..., Any]):
    model = between(nn.Sequential(nn.GELU(), nn.Dropout(), nn.Tanh()))
    for layer in ("writer", "middle.0", "middle.1", "middle.2", "middle"):
        found = trace(model, layer)
        assert (found.writers, found.readers) == (("writer.weight", "writer.bias"), ("reader.weight",))
        # Dropout does nothing in evaluation mode, and so carries nothing.
        assert found.carriers == ("writer:linear", "middle.0:gelu", "middle.2:tanh")


def test_a_trace_reads_as_text(autoencoder: Callable[..., Any]):
    assert str(trace(autoencoder(), "bottleneck")) == (
        "bottleneck: 4 features\n"
        "  written by  encoder.2.weight, encoder.2.bias\n"
        "  carried by  encoder.2:linear, bottleneck:normalize\n"
        "  read by     decoder.0.weight"
    )


def test_statistics_are_said_to_scale_and_long_lists_are_cut(inputs: Callable[..., Any]):
    torch.manual_seed(0)
    normed = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    assert "  scaled by   1.running_mean, 1.running_var\n" in str(trace(normed, "0", inputs()))

    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList(nn.Linear(3, 3, bias=False) for _ in range(15))

        def forward(self, x: Tensor):
            x = self.layers[0](x)
            for layer in self.layers[1:]:
                x = x + layer(x)
            return x.sum(-1)

    text = str(trace(Residual(), "layers.0", inputs()))
    assert "layers.11.weight and 3 more" in text
    assert "layers.12" not in text.splitlines()[1]


def test_a_weight_that_writes_and_reads_by_the_same_rows_counts_as_a_writer(inputs: Callable[..., Any]):
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = nn.Linear(3, 4, bias=False)

        def forward(self, x: Tensor):
            return self.encoder(x).relu() @ self.encoder.weight

    found = trace(Tied(), "encoder", inputs())
    assert found.writers == ("encoder.weight",)
    assert found.parts == (Part("encoder.weight", (0,), (4, 3), "writes"),)


def test_the_data_flow_decides_and_neither_names_nor_sizes(inputs: Callable[..., Any]):
    class Shuffled(nn.Module):
        def __init__(self):
            super().__init__()
            self.read, self.unused, self.side = nn.Linear(4, 3), nn.Linear(4, 3), nn.Linear(3, 4)
            self.out, self.write, self.side_read = nn.Linear(3, 2), nn.Linear(3, 4), nn.Linear(4, 3)

        def forward(self, x: Tensor):
            aside = self.side(x)
            return self.out(self.read(self.write(x).tanh()) + self.side_read(aside))

    found = trace(Shuffled(), "write", inputs())
    assert (found.writers, found.readers) == (("write.weight", "write.bias"), ("read.weight",))


@pytest.mark.parametrize(
    ("asked", "nearest"),
    [("bottlenek", "bottleneck"), ("encoder.7", "encoder.0"), ("encoder:gelu", "encoder.1:gelu")],
)
def test_an_unknown_layer_is_refused_with_the_nearest_names(
    autoencoder: Callable[..., Any], asked: str, nearest: str
):
    with pytest.raises(UnknownLayerError) as caught:
        trace(autoencoder(), asked)
    assert nearest in caught.value.nearest


def test_a_trace_changes_nothing_and_says_the_same_twice(autoencoder: Callable[..., Any]):
    model = autoencoder().train()
    before, state = {name: p.clone() for name, p in model.named_parameters()}, torch.get_rng_state()
    assert trace(model, "encoder") == trace(model, "encoder")
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())


def test_features_of_an_input_and_of_an_unknown_operation_are_refused_by_name(between: Callable[..., Any]):
    def culprit(model: Any, layer: str):
        with pytest.raises(UnfollowableError) as caught:
            trace(model, layer, torch.ones(2, 3))
        return caught.value.culprit

    assert culprit(nn.Sequential(nn.GELU(), nn.Linear(3, 2)), "0") == "0"
    assert culprit(between(lambda z: torch.fft.fft(z).real), "writer") == "middle:fft_fft"
    assert trace(between(lambda z: z * 2 + 1), "writer").carriers == (
        "writer:linear",
        "middle:mul",
        "middle:add",
    )
