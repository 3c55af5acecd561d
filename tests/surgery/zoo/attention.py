"""Attention heads: whole ones can go, and one dim of every head; parts of one head cannot."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from excise.errors import DimsError, SurgeryError

from .blocks import Attention
from .case import Case, floats, into, out, zeroed

__all__ = ["CASES"]

WIDTH = 16
INPUTS = floats(2, 6, WIDTH)
HEAD = (4, 5, 6, 7)
MIXED = zeroed(out("attn.v_proj"), into("attn.o_proj"))


class Around(nn.Module):
    """Attention between two layers of its own, so that its outside stays as wide as it is."""

    def __init__(self, attn: nn.Module):
        super().__init__()
        self.first, self.attn, self.last = nn.Linear(WIDTH, WIDTH), attn, nn.Linear(WIDTH, 3)

    def forward(self, x: Tensor):
        x = self.first(x)
        y = self.attn(x)
        return self.last(x + (y[0] if isinstance(y, tuple) else y))


def around(make: Callable[..., nn.Module], *given: Any, **settings: Any) -> Callable[[], nn.Module]:
    return lambda: Around(make(*given, **settings))


class FusedAttention(nn.Module):
    """One Linear writes q, k and v; its parts are told from one another by `split`, `chunk` or `view`."""

    def __init__(self, apart: str, n_heads: int = 4):
        super().__init__()
        self.qkv, self.o_proj = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.n_heads, self.apart, self.inner = n_heads, apart, WIDTH

    def forward(self, x: Tensor):
        batch, length, width = x.shape
        qkv = self.qkv(x)
        if self.apart == "view":
            q, k, v = qkv.view(batch, length, 3, self.n_heads, -1).permute(2, 0, 3, 1, 4)
        else:
            parts = qkv.split(self.inner, dim=-1) if self.apart == "split" else qkv.chunk(3, dim=-1)
            q, k, v = (part.unflatten(-1, (self.n_heads, -1)).transpose(1, 2) for part in parts)
        scores = (q @ k.transpose(-2, -1) * (width / 4) ** -0.5).softmax(-1)
        return self.o_proj((scores @ v).transpose(1, 2).flatten(2))


class LiteralAttention(nn.Module):
    """The number of heads stands in the code."""

    def __init__(self):
        super().__init__()
        self.q_proj, self.k_proj, self.v_proj, self.o_proj = (nn.Linear(WIDTH, WIDTH) for _ in range(4))

    def forward(self, x: Tensor):
        q, k, v = (
            layer(x).view(x.shape[0], x.shape[1], 4, 4).transpose(1, 2)
            for layer in (self.q_proj, self.k_proj, self.v_proj)
        )
        return self.o_proj(functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class InferredAttention(LiteralAttention):
    """The width of a head follows from what comes; the scale of the scores is a number."""

    def forward(self, x: Tensor):
        q, k, v = (
            layer(x).unflatten(-1, (4, -1)).transpose(1, 2)
            for layer in (self.q_proj, self.k_proj, self.v_proj)
        )
        return self.o_proj(
            functional.scaled_dot_product_attention(q, k, v, scale=0.5).transpose(1, 2).flatten(2)
        )


class EinsumAttention(nn.Module):
    """Weights that are parameters with an axis for the heads."""

    def __init__(self, n_heads: int = 4):
        super().__init__()
        self.q, self.k, self.v = (nn.Parameter(torch.randn(n_heads, WIDTH, 4) / 4) for _ in range(3))
        self.o = nn.Parameter(torch.randn(n_heads, 4, WIDTH) / 4)

    def forward(self, x: Tensor):
        q, k, v = (torch.einsum("btd,hde->bhte", x, weight) for weight in (self.q, self.k, self.v))
        scores = torch.einsum("bhqe,bhke->bhqk", q, k).div(2).softmax(-1)
        return torch.einsum("bhqk,bhke,hed->bqd", scores, v, self.o)


class LinearAttention(nn.Module):
    """No softmax: keys and values meet first, and the normaliser sums over the features of the keys."""

    def __init__(self):
        super().__init__()
        self.q_proj, self.k_proj, self.v_proj, self.o_proj = (nn.Linear(WIDTH, WIDTH) for _ in range(4))

    def forward(self, x: Tensor):
        q, k = functional.elu(self.q_proj(x)) + 1, functional.elu(self.k_proj(x)) + 1
        memory = k.mT @ self.v_proj(x)
        return self.o_proj(q @ memory / (q @ k.sum(1, keepdim=True).mT))


FUSED_HEAD = tuple(2 * WIDTH + dim for dim in HEAD)
FUSED = zeroed(out("attn.qkv"), into("attn.o_proj", dims=HEAD))

CASES = [
    Case("n_heads_attribute_view", around(Attention, WIDTH), INPUTS, "attn.v_proj", HEAD, MIXED),
    Case(
        "two_value_heads", around(Attention, WIDTH), INPUTS, "attn.v_proj", (*range(4), *range(12, 16)), MIXED
    ),
    Case(
        "value_dim_in_every_head",
        around(InferredAttention),
        INPUTS,
        "attn.v_proj",
        (1, 5, 9, 13),
        MIXED,
        note="The heads stay and are narrower; `view` infers their width.",
    ),
    Case(
        "query_key_dim_in_every_head",
        around(InferredAttention),
        INPUTS,
        "attn.q_proj",
        (1, 5, 9, 13),
        zeroed(out("attn.q_proj")),
        note="The keys at the same dims meet nothing any more.",
    ),
    Case(
        "scale_from_stream_width_is_refused",
        around(FusedAttention, "chunk"),
        INPUTS,
        "attn.o_proj",
        (1, 4),
        zeroed(out("first"), out("attn.o_proj")),
        note="The scores are divided by the width of the stream, which is a number once it is computed.",
        prune=SurgeryError,
    ),
    Case(
        "value_dim_of_one_head_is_refused",
        around(Attention, WIDTH),
        INPUTS,
        "attn.v_proj",
        (5,),
        MIXED,
        prune=DimsError,
    ),
    Case("fused_qkv_value_heads", around(FusedAttention, "view"), INPUTS, "attn.qkv", FUSED_HEAD, FUSED),
    Case("fused_qkv_chunked", around(FusedAttention, "chunk"), INPUTS, "attn.qkv", FUSED_HEAD, FUSED),
    Case(
        "split_size_attribute",
        around(FusedAttention, "split"),
        INPUTS,
        "attn.qkv",
        FUSED_HEAD,
        FUSED,
        note="The width that it is split into is an attribute of the module.",
    ),
    Case(
        "literal_width_in_view",
        around(LiteralAttention),
        INPUTS,
        "attn.v_proj",
        HEAD,
        MIXED,
        prune=SurgeryError,
        note="No edit of a parameter changes a number in the code.",
    ),
    Case(
        "gqa_kv_head",
        around(Attention, WIDTH, n_kv_heads=2),
        INPUTS,
        "attn.v_proj",
        (4, 5, 6, 7),
        zeroed(out("attn.v_proj"), into("attn.o_proj", dims=range(8, 16))),
        note="Heads 2 and 3 of the queries read this one, so they go too.",
    ),
    Case(
        "gqa_single_query_head_is_refused",
        around(Attention, WIDTH, n_kv_heads=2),
        INPUTS,
        "attn.q_proj",
        HEAD,
        zeroed(out("attn.q_proj")),
        prune=DimsError,
        note="Without its query a head takes the mean of the values; and groups of unequal size cannot be repeated.",
    ),
    Case(
        "multi_query_shared_value_dim",
        around(Attention, WIDTH, n_kv_heads=1),
        INPUTS,
        "attn.v_proj",
        (2,),
        zeroed(out("attn.v_proj"), into("attn.o_proj", dims=(2, 6, 10, 14))),
        prune=SurgeryError,
        note="head_dim is one attribute for q, k and v, and the default scale hangs on the width of q.",
    ),
    Case("rotary_value_head", around(Attention, WIDTH, rotate=True), INPUTS, "attn.v_proj", HEAD, MIXED),
    Case(
        "attention_output_by_its_operation",
        around(Attention, WIDTH),
        INPUTS,
        "attn:reshape",
        (*range(4), *range(12, 16)),
        MIXED,
        note="What the heads found, before o_proj mixes it: a place that no module owns.",
    ),
    Case(
        "einsum_attention",
        around(EinsumAttention),
        INPUTS,
        "first",
        (0, 9),
        zeroed(out("first"), out("attn")),
        note="The features are the middle axis of three parameters and the last of the fourth.",
    ),
    Case(
        "linear_attention",
        around(LinearAttention),
        INPUTS,
        "attn.v_proj",
        (3, 12),
        MIXED,
    ),
]
