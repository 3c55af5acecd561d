"""Parameters in unusual places: parametrised, masked, raw, shared with a transpose, frozen."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations
from torch.nn.utils import prune as masks

from .case import Case, floats, out, tokens, zeroed
from .plain import Between

__all__ = ["CASES"]

INPUTS = floats(6, 5)
BETWEEN = zeroed(out("writer"), out("middle"))


def weight_norm(which: str) -> nn.Module:
    model = Between(nn.GELU())
    parametrizations.weight_norm(model.get_submodule(which))
    return model


def masked() -> nn.Module:
    model = Between(nn.ReLU())
    for layer in (model.writer, model.reader):
        masks.random_unstructured(layer, "weight", 0.3)
    return model


class Raw(nn.Module):
    """Weights that no Linear owns, one of them inside a ParameterList."""

    def __init__(self):
        super().__init__()
        self.write, self.bias = nn.Parameter(torch.randn(5, 8) / 2), nn.Parameter(torch.zeros(8))
        self.temperature = nn.Parameter(torch.tensor(0.7))
        self.read = nn.ParameterList([nn.Parameter(torch.randn(3, 8) / 2)])
        self.between = nn.Tanh()

    def forward(self, x: Tensor):
        hidden = self.between(x @ self.write + self.bias) * self.temperature.exp()
        return hidden @ self.read[0].t()


class TiedAutoencoder(nn.Module):
    """Decodes with the transpose of what it encodes with."""

    def __init__(self):
        super().__init__()
        self.encoder, self.bias = nn.Linear(5, 8), nn.Parameter(torch.zeros(5))

    def forward(self, x: Tensor):
        return functional.linear(self.encoder(x).relu(), self.encoder.weight.t(), self.bias)


class Bilinear(nn.Module):
    """Each output reads products of two layers' features."""

    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(5, 6), nn.Linear(5, 4)
        self.both = nn.Bilinear(6, 4, 3)

    def forward(self, x: Tensor):
        return self.both(self.left(x).tanh(), self.right(x).tanh())


class Bag(nn.Module):
    def __init__(self):
        super().__init__()
        self.bag, self.head = nn.EmbeddingBag(24, 6, mode="mean"), nn.Linear(6, 2)

    def forward(self, tokens: Tensor):
        return self.head(self.bag(tokens).tanh())


class InPlace(nn.Module):
    """Changes tensors where they are."""

    def __init__(self):
        super().__init__()
        self.writer, self.other, self.reader = nn.Linear(5, 8), nn.Linear(5, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor):
        y = self.writer(x)
        y += self.other(x)
        y.mul_(0.5).clamp_(-1, 1)
        return self.reader(functional.relu(y, inplace=True))


class Rolled(nn.Module):
    """Its readers meet the features in another order."""

    def __init__(self):
        super().__init__()
        self.writer, self.reader = nn.Linear(5, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor):
        return self.reader(self.writer(x).flip(-1).sin())


class Sliced(nn.Module):
    """Two readers, each of a part: dim 1 has one reader, and dim 6 the other."""

    def __init__(self):
        super().__init__()
        self.writer, self.low, self.high = nn.Linear(5, 8), nn.Linear(3, 2), nn.Linear(5, 2)
        self.cut = 3

    def forward(self, x: Tensor):
        x = self.writer(x)
        return self.low(x[..., : self.cut]) + self.high(x[..., self.cut :])


class Ways(nn.Module):
    """Gives a dictionary; freezes one layer and trains another; keeps a counter in a buffer."""

    def __init__(self):
        super().__init__()
        self.writer, self.reader, self.aside = nn.Linear(5, 8), nn.Linear(8, 3), nn.Linear(5, 2)
        self.register_buffer("calls", torch.tensor(0))
        self.reader.requires_grad_(False)

    def forward(self, x: Tensor) -> dict[str, Any]:
        hidden = functional.leaky_relu(self.writer(x), 0.1)
        return {"read": self.reader(hidden), "aside": (self.aside(x), None)}


CASES = [
    Case(
        "parametrized_weight_norm",
        lambda: weight_norm("writer"),
        INPUTS,
        "writer",
        (0, 6),
        BETWEEN,
        note="Direction and length of a row are two parameters.",
    ),
    Case(
        "old_style_pruning_mask",
        masked,
        INPUTS,
        "writer",
        (3, 4),
        BETWEEN,
        note="The weight is computed before each call from weight_orig and a mask.",
    ),
    Case(
        "prelu_per_feature",
        lambda: Between(nn.PReLU(8)),
        INPUTS,
        "writer",
        (1, 2),
        BETWEEN,
    ),
    Case("raw_parameters", Raw, INPUTS, "between", (4,), zeroed(out("between"))),
    Case(
        "tied_transpose",
        TiedAutoencoder,
        INPUTS,
        "encoder",
        (0, 5),
        zeroed(out("encoder")),
        note="One row of the one weight both writes and reads the feature.",
    ),
    Case("bilinear", Bilinear, INPUTS, "left", (2, 3), zeroed(out("left"))),
    Case("bilinear_second", Bilinear, INPUTS, "right", (0,), zeroed(out("right"))),
    Case("embedding_bag", Bag, tokens(), "bag", (5,), zeroed(out("bag"))),
    Case("in_place_operations", InPlace, INPUTS, "writer", (6, 1), zeroed(out("writer"), out("other"))),
    Case("flipped_features", Rolled, INPUTS, "writer", (0, 2), zeroed(out("writer"))),
    Case("sliced_features", Sliced, INPUTS, "writer", (1, 6), zeroed(out("writer"))),
    Case("dictionary_output_frozen_reader", Ways, INPUTS, "writer", (2,), zeroed(out("writer"))),
    Case(
        "linear_that_reads_an_expanded_place",
        lambda: Between(lambda x: x.unsqueeze(1).expand(-1, 3, -1)),
        INPUTS,
        "writer",
        (4,),
        BETWEEN,
    ),
]
