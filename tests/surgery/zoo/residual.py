"""Residual streams: one feature, written and read by every block."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from .blocks import MLP, Attention, Block, GatedMLP, LanguageModel, RMSNorm
from .case import Case, out, tokens, zeroed

__all__ = ["CASES"]

WIDTH = 12
STREAM = (out("embed"), out("blocks.*.attn"), out("blocks.*.mlp"))
NORMS = (out("blocks.*.norm1"), out("blocks.*.norm2"), out("norm"))


def language_model(norm: Any, post: bool = False, **settings: Any) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        blocks: list[nn.Module] = [
            Block(WIDTH, norm, Attention(WIDTH), MLP(WIDTH, 16), post) for _ in range(2)
        ]
        return LanguageModel(blocks, nn.Identity() if post else norm(WIDTH), **settings)

    return build


class LearnedPosition(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(16, WIDTH)

    def forward(self, x: Tensor):
        return x + self.table(torch.arange(x.shape[1]))


class ParameterPosition(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Parameter(torch.randn(1, 16, WIDTH))

    def forward(self, x: Tensor):
        return x + self.table[:, : x.shape[1]]


class SinusoidalPosition(nn.Module):
    def __init__(self):
        super().__init__()
        angles = torch.outer(torch.arange(16.0), 50.0 ** -(torch.arange(0, WIDTH, 2) / WIDTH))
        self.register_buffer("table", torch.cat([angles.sin(), angles.cos()], dim=-1), persistent=False)

    def forward(self, x: Tensor):
        return x + self.get_buffer("table")[: x.shape[1]]


def at_position(make: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        return language_model(nn.LayerNorm, position=make())()

    return build


class ScaledBlock(nn.Module):
    """Attention and MLP side by side, each with a learned gain on every feature of the stream."""

    def __init__(self):
        super().__init__()
        self.norm, self.attn, self.mlp = nn.LayerNorm(WIDTH), Attention(WIDTH), GatedMLP(WIDTH, 16)
        self.gamma1, self.gamma2 = (nn.Parameter(torch.full((WIDTH,), 0.7)) for _ in range(2))

    def forward(self, x: Tensor):
        y = self.norm(x)
        return x + self.gamma1 * self.attn(y) + self.gamma2 * self.mlp(y)


class Memory(nn.Module):
    """Cross-attention reads a second stream; the one that is cut gives the queries."""

    def __init__(self):
        super().__init__()
        self.embed, self.other = nn.Embedding(24, WIDTH), nn.Embedding(24, WIDTH)
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 3)
        self.q, self.k, self.v, self.o = (nn.Linear(WIDTH, WIDTH, bias=i > 1) for i in range(4))

    def forward(self, tokens: Tensor):
        x, memory = self.embed(tokens), self.other(tokens.flip(1))
        scores = self.q(self.norm(x)) @ self.k(memory).mT / WIDTH**0.5
        return self.head(x + self.o(scores.softmax(-1) @ self.v(memory)))


CASES = [
    Case(
        "prenorm_layernorm_residual_stream",
        language_model(nn.LayerNorm),
        tokens(),
        "blocks.0",
        (2, 9),
        zeroed(*STREAM, *NORMS),
        note="The statistics of each norm still count the absent features as zeros.",
    ),
    Case(
        "postnorm_residual_stream",
        language_model(nn.LayerNorm, post=True),
        tokens(),
        "blocks.1",
        (0, 5),
        zeroed(*STREAM, *NORMS),
    ),
    Case(
        "rmsnorm_residual_stream",
        language_model(RMSNorm),
        tokens(),
        "blocks.0",
        (3, 8),
        zeroed(*STREAM, *NORMS),
        prune="exact after folding",
        float64_tolerance=1e-5,
        note="A class of the model's own, to be recognised by what it computes; it does so in float32.",
    ),
    Case(
        "nn_rmsnorm_residual_stream",
        language_model(lambda width: nn.RMSNorm(width, eps=1e-2)),
        tokens(),
        "blocks.0",
        (3, 8, 11),
        zeroed(*STREAM, *NORMS),
        prune="exact after folding",
    ),
    Case(
        "nn_rmsnorm_with_eps_of_its_dtype",
        language_model(nn.RMSNorm),
        tokens(),
        "embed",
        (1,),
        zeroed(*STREAM, *NORMS),
        prune="exact after folding",
        note="An eps of None is the smallest step of the dtype.",
    ),
    Case(
        "tied_embeddings_residual_stream",
        language_model(nn.LayerNorm, tied=True),
        tokens(),
        "embed",
        (4, 7),
        zeroed(*STREAM, *NORMS),
        note="What writes the stream first reads it last, and stays one parameter.",
    ),
    Case(
        "learned_position_embedding",
        at_position(LearnedPosition),
        tokens(),
        "embed",
        (6,),
        zeroed(*STREAM, *NORMS, out("position.table")),
    ),
    Case(
        "position_parameter_sliced",
        at_position(ParameterPosition),
        tokens(),
        "position",
        (6, 0),
        zeroed(*STREAM, *NORMS, out("position")),
    ),
    Case(
        "sinusoidal_buffer_added",
        at_position(SinusoidalPosition),
        tokens(),
        "embed",
        (1, 10),
        zeroed(*STREAM, *NORMS, out("position")),
        note="A buffer that is not saved writes the features too.",
    ),
    Case(
        "layer_scale_parallel_block",
        lambda: LanguageModel([ScaledBlock(), ScaledBlock()], nn.LayerNorm(WIDTH)),
        tokens(),
        "blocks.1",
        (5,),
        zeroed(*STREAM, out("blocks.*.norm"), out("norm")),
    ),
    Case(
        "cross_attention_queries",
        Memory,
        tokens(),
        "embed",
        (2, 3),
        zeroed(out("embed"), out("norm"), out("o")),
    ),
    Case("cross_attention_memory", Memory, tokens(), "other", (2, 3), zeroed(out("other"))),
    Case(
        "mlp_neurons_of_a_block",
        language_model(nn.LayerNorm),
        tokens(),
        "blocks.1.mlp.up",
        (0, 3, 15),
        zeroed(out("blocks.1.mlp.up")),
    ),
]
