"""Gates and experts: products of features, halves of one layer, and routes that depend on the data."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from .blocks import GatedMLP
from .case import Case, floats, into, out, zeroed

__all__ = ["CASES"]

INPUTS = floats(9, 6)


def around(layer: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Linear(6, 6), layer, nn.Linear(6, 3))


class ChunkedGLU(nn.Module):
    """One Linear writes the gate and what it lets through."""

    def __init__(self, apart: str):
        super().__init__()
        self.fused, self.down = nn.Linear(6, 16), nn.Linear(8, 6)
        self.inner, self.apart = 8, apart

    def forward(self, x: Tensor):
        fused = self.fused(x)
        if self.apart == "glu":
            return self.down(functional.glu(fused, dim=-1))
        if self.apart == "slices":
            gate, up = fused[..., : self.inner], fused[..., self.inner :]
        elif self.apart == "split":
            gate, up = fused.split([self.inner, self.inner], dim=-1)
        else:
            gate, up = fused.chunk(2, dim=-1)
        return self.down(functional.gelu(gate) * up)


class DenseExperts(nn.Module):
    """Every expert sees every input; a softmax weighs what they say."""

    def __init__(self):
        super().__init__()
        self.router = nn.Linear(6, 3)
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(6, 8), nn.GELU(), nn.Linear(8, 6)) for _ in range(3)
        )

    def forward(self, x: Tensor):
        weights = self.router(x).softmax(-1)
        return x + (weights.unsqueeze(-1) * torch.stack([expert(x) for expert in self.experts], dim=-2)).sum(
            -2
        )


class SparseExperts(nn.Module):
    """The best two experts for each input; each runs on its inputs alone."""

    def __init__(self):
        super().__init__()
        self.router = nn.Linear(6, 3)
        self.experts = nn.ModuleList(GatedMLP(6, 8) for _ in range(3))

    def forward(self, x: Tensor):
        weights, chosen = self.router(x).softmax(-1).topk(2, dim=-1)
        y = torch.zeros_like(x)
        for number, expert in enumerate(self.experts):
            rows, place = torch.where(chosen == number)
            y.index_add_(0, rows, expert(x[rows]) * weights[rows, place, None])
        return x + y


class StackedExperts(nn.Module):
    """The experts' weights are one parameter with an axis for the expert."""

    def __init__(self):
        super().__init__()
        self.router = nn.Linear(6, 3)
        self.up = nn.Parameter(torch.randn(3, 6, 8) / 2)
        self.down = nn.Parameter(torch.randn(3, 8, 6) / 2)

    def forward(self, x: Tensor):
        hidden = torch.relu(torch.bmm(x.expand(3, -1, -1), self.up))
        return torch.einsum("ne,enw->nw", self.router(x).softmax(-1), hidden @ self.down)


def stacked(model: Any, dims: tuple[int, ...], inputs: tuple[Tensor, ...]) -> Tensor:
    x = model[0](inputs[0]).index_fill(-1, torch.tensor(dims), 0)
    moe = model[1]
    said = [torch.relu(x @ up) @ down for up, down in zip(moe.up, moe.down, strict=True)]
    return model[2](sum(moe.router(x).softmax(-1)[:, [i]] * y for i, y in enumerate(said)))


def glu(apart: str, dim: int) -> dict[str, Any]:
    """A cut of one half of a fused layer, which takes the other half's feature with it."""
    return {
        "build": lambda: around(ChunkedGLU(apart)),
        "inputs": INPUTS,
        "layer": "1.fused",
        "dims": (dim,),
        "reference": zeroed(out("1.fused"), into("1.down", dims=(dim % 8,))),
    }


CASES = [
    Case(
        "gated_mlp",
        lambda: around(GatedMLP(6, 8)),
        INPUTS,
        "1.up",
        (0, 5),
        zeroed(out("1.up")),
        note="The gate's row for a product that is gone goes too.",
    ),
    Case("gated_mlp_gate", lambda: around(GatedMLP(6, 8)), INPUTS, "1.gate", (7,), zeroed(out("1.gate"))),
    Case("chunked_glu", **glu("chunk", 3)),
    Case("chunked_glu_second_half", **glu("chunk", 11)),
    Case("split_glu_with_inner_width_attribute", **glu("split", 0)),
    Case("sliced_glu", **glu("slices", 2)),
    Case(
        "functional_glu_gate",
        **glu("glu", 13),
        note="An absent gate would be a half; the product that it gates is absent with it.",
    ),
    Case(
        "mixture_of_experts",
        lambda: around(DenseExperts()),
        INPUTS,
        "0",
        (1, 4),
        zeroed(out("0"), out("1.experts.*"), out("1")),
    ),
    Case(
        "mixture_of_experts_neuron",
        lambda: around(DenseExperts()),
        INPUTS,
        "1.experts.1.0",
        (2,),
        zeroed(out("1.experts.1.0")),
    ),
    Case(
        "sparse_mixture_of_experts",
        lambda: around(SparseExperts()),
        INPUTS,
        "0",
        (2,),
        zeroed(out("0"), out("1.experts.*"), out("1")),
        note="Which rows an expert reads is data; which columns is not.",
    ),
    Case(
        "sparse_mixture_of_experts_neuron",
        lambda: around(SparseExperts()),
        INPUTS,
        "1.experts.0.up",
        (3, 0),
        zeroed(out("1.experts.0.up")),
    ),
    Case("stacked_experts_inputs", lambda: around(StackedExperts()), INPUTS, "0", (0, 5), stacked),
]
