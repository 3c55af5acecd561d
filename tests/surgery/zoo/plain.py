"""Layers one after the other: what stands between a writer and its readers."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from excise.errors import SurgeryError, UnfollowableError

from .case import Case, Reference, floats, out, without, zeroed

__all__ = ["CASES", "Between", "Function"]

INPUTS = floats(6, 5)


class Function(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]):
        super().__init__()
        self.function = function

    def forward(self, x: Tensor):
        return self.function(x)


class Between(nn.Module):
    """Writer -> middle -> reader, 8 features wide."""

    def __init__(self, middle: nn.Module | Callable[[Tensor], Tensor], read: int = 8):
        super().__init__()
        self.writer = nn.Linear(5, 8)
        self.middle = middle if isinstance(middle, nn.Module) else Function(middle)
        self.reader = nn.Linear(read, 3)

    def forward(self, x: Tensor):
        return self.reader(self.middle(self.writer(x)))


BETWEEN = zeroed(out("writer"), out("middle"))


def sigmoid_then(finish: Callable[[Tensor], Tensor]) -> Reference:
    def reference(model: Any, dims: tuple[int, ...], inputs: tuple[Tensor, ...]) -> Tensor:
        return model.reader(finish(without(model.writer(*inputs).sigmoid(), dims)))

    return reference


class Normalized(nn.Module):
    """An encoder whose latent is normalised by a function call, of which no module knows."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(5, 16), nn.GELU(), nn.Linear(16, 6))
        self.decoder = nn.Sequential(nn.Linear(6, 16), nn.Dropout(0.3), nn.GELU(), nn.Linear(16, 5))

    def forward(self, x: Tensor):
        return self.decoder(functional.normalize(self.encoder(x), dim=-1))


class Siamese(nn.Module):
    """One encoder, called on both inputs."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 6))
        self.head = nn.Linear(6, 2)

    def forward(self, x: Tensor, y: Tensor):
        return self.head((self.encoder(x) - self.encoder(y)).abs())


class Recurrence(nn.Module):
    """A square layer that reads what it wrote: its features are also those of whatever it first reads."""

    def __init__(self):
        super().__init__()
        self.encoder, self.shared, self.head = nn.Linear(5, 6), nn.Linear(6, 6), nn.Linear(6, 2)

    def forward(self, x: Tensor):
        x = self.encoder(x)
        for _ in range(2):
            x = torch.relu(self.shared(x))
        return self.head(x)


class Branches(nn.Module):
    """Two branches, concatenated: the second one's features sit behind the first one's."""

    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(5, 4), nn.Linear(5, 6)
        self.norm, self.head = nn.LayerNorm(10), nn.Linear(10, 2)

    def forward(self, x: Tensor):
        return self.head(self.norm(torch.cat([self.left(x), self.right(x).relu()], dim=-1)))


def first(layer: nn.Module) -> Callable[[], nn.Module]:
    """Nothing but layers in a row, of which the cut one is the last to matter."""
    return lambda: nn.Sequential(nn.Linear(5, 8), nn.GELU(), layer)


CASES = [
    Case("gelu_between_linears", lambda: Between(nn.GELU()), INPUTS, "writer", (5, 1), BETWEEN),
    Case(
        "batchnorm_between_linears",
        lambda: Between(nn.Sequential(nn.BatchNorm1d(8), nn.ReLU())),
        INPUTS,
        "writer",
        (0, 7),
        zeroed(out("writer"), out("middle.0")),
        note="The normalisation turns a zero into a constant, which goes with the feature.",
    ),
    Case(
        "sigmoid_turns_zero_to_constant",
        lambda: Between(nn.Sigmoid()),
        INPUTS,
        "writer",
        (2,),
        BETWEEN,
        note="sigmoid(0) is 0.5, and that is absent too.",
    ),
    Case("cosine_of_zero_is_one", lambda: Between(torch.cos), INPUTS, "writer", (2, 3), BETWEEN),
    Case("layernorm_between_linears", lambda: Between(nn.LayerNorm(8)), INPUTS, "writer", (2, 6), BETWEEN),
    Case(
        "layernorm_without_affine",
        lambda: Between(nn.LayerNorm(8, elementwise_affine=False)),
        INPUTS,
        "writer",
        (2, 6),
        BETWEEN,
        note="The normalised zeros are not zero, and no gain can make them so: only the readers' columns can.",
    ),
    Case(
        "functional_layer_norm",
        lambda: Between(lambda x: functional.layer_norm(x, x.shape[-1:])),
        INPUTS,
        "writer",
        (1,),
        BETWEEN,
        prune=UnfollowableError,
        note="There is no module that could remember the original width.",
    ),
    Case(
        "softmax_over_features_is_refused",
        lambda: Between(nn.Softmax(-1)),
        INPUTS,
        "writer",
        (3,),
        BETWEEN,
        prune=UnfollowableError,
        note="A zero still takes its share of the softmax; a missing feature takes none.",
    ),
    Case(
        "sigmoid_before_normalisation",
        lambda: Between(lambda x: functional.normalize(x.sigmoid(), dim=-1)),
        INPUTS,
        "writer",
        (2,),
        sigmoid_then(lambda x: functional.normalize(x, dim=-1)),
        ablate=SurgeryError,
        note="No weight keeps the constant out of the norm, so only a narrower model is exact.",
    ),
    Case(
        "sigmoid_before_layernorm",
        lambda: Between(nn.Sequential(nn.Sigmoid(), nn.LayerNorm(8))),
        INPUTS,
        "writer",
        (2,),
        zeroed(out("writer"), out("middle.0"), out("middle.1")),
        ablate=SurgeryError,
        note="The same for the statistics of a LayerNorm, unless another module takes its place.",
    ),
    Case(
        "sum_over_features",
        lambda: Between(lambda x: x.sum(-1, keepdim=True), 1),
        INPUTS,
        "writer",
        (3,),
        zeroed(out("writer")),
    ),
    Case(
        "mean_over_features_is_refused",
        lambda: Between(lambda x: x.mean(-1, keepdim=True), 1),
        INPUTS,
        "writer",
        (3,),
        zeroed(out("writer")),
        prune=UnfollowableError,
        note="The mean of fewer features divides by fewer.",
    ),
    Case("functional_normalisation", Normalized, INPUTS, "encoder", (1, 4), zeroed(out("encoder"))),
    Case(
        "functional_normalisation_by_its_operation",
        Normalized,
        INPUTS,
        ":normalize",
        (0,),
        zeroed(out("encoder")),
        note="The layer is a point in the data flow that no module owns.",
    ),
    Case("twice_called_module", Siamese, floats(4, 5, count=2), "encoder", (0, 3), zeroed(out("encoder"))),
    Case(
        "twice_called_module_reads_itself",
        Recurrence,
        INPUTS,
        "shared",
        (2,),
        zeroed(out("encoder"), out("shared")),
        note="The column that reads the feature is the one that reads the encoder's: that feature goes as well.",
    ),
    Case(
        "concatenated_branches",
        Branches,
        INPUTS,
        "right",
        (0, 5),
        zeroed(out("right"), out("norm", dims=(4, 9))),
    ),
    Case(
        "features_leave_as_output_is_refused",
        first(nn.Linear(8, 4)),
        INPUTS,
        "2",
        (1,),
        zeroed(out("2")),
        prune=UnfollowableError,
        note="The output would change its shape.",
    ),
]
