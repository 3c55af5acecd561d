"""Whole networks in the shape of well-known ones, each with that family's own habits."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from .blocks import MLP, Attention, Block, GatedMLP, LanguageModel, RMSNorm
from .case import Case, floats, into, out, tokens, zeroed

__all__ = ["CASES"]

WIDTH = 16


def llama(tied: bool = False) -> nn.Module:
    blocks: list[nn.Module] = [
        Block(WIDTH, RMSNorm, Attention(WIDTH, n_kv_heads=2, rotate=True), GatedMLP(WIDTH, 24))
        for _ in range(2)
    ]
    return LanguageModel(blocks, RMSNorm(WIDTH), width=WIDTH, tied=tied)


class Conv1D(nn.Module):
    """GPT-2's Linear, its weight the other way round: `[read, written]`."""

    def __init__(self, read: int, written: int):
        super().__init__()
        self.nf = written
        self.weight, self.bias = (
            nn.Parameter(torch.randn(read, written) / 4),
            nn.Parameter(torch.zeros(written)),
        )

    def forward(self, x: Tensor):
        flat = torch.addmm(self.bias, x.view(-1, x.size(-1)), self.weight)
        return flat.view(*x.shape[:-1], self.nf)


class GPT2Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.c_attn, self.c_proj = Conv1D(WIDTH, 3 * WIDTH), Conv1D(WIDTH, WIDTH)
        self.c_fc, self.c_out = Conv1D(WIDTH, 32), Conv1D(32, WIDTH)
        self.split_size, self.head_dim = WIDTH, 4
        self.register_buffer("mask", torch.ones(16, 16).tril().bool(), persistent=False)

    def forward(self, x: Tensor):
        q, k, v = (
            part.view(*part.shape[:-1], -1, self.head_dim).transpose(1, 2)
            for part in self.c_attn(self.ln_1(x)).split(self.split_size, dim=2)
        )
        scores = q @ k.transpose(-1, -2) / self.head_dim**0.5
        scores = scores.masked_fill(~self.get_buffer("mask")[: x.shape[1], : x.shape[1]], float("-inf"))
        mixed = (scores.softmax(-1) @ v).transpose(1, 2).contiguous()
        x = x + self.c_proj(mixed.view(*mixed.shape[:-2], -1))
        return x + self.c_out(functional.gelu(self.c_fc(self.ln_2(x)), approximate="tanh"))


class GPT2(nn.Module):
    def __init__(self):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(24, WIDTH), nn.Embedding(16, WIDTH)
        self.h, self.ln_f = nn.ModuleList(GPT2Block() for _ in range(2)), nn.LayerNorm(WIDTH)
        self.lm_head = nn.Linear(WIDTH, 24, bias=False)
        self.lm_head.weight = self.wte.weight

    def forward(self, tokens: Tensor):
        x = self.wte(tokens) + self.wpe(torch.arange(tokens.shape[1]))
        for block in self.h:
            x = block(x)
        return self.lm_head(self.ln_f(x))


class Bert(nn.Module):
    """Three embeddings summed and normalised; blocks normalised behind; a tied decoder with a bias of its own."""

    def __init__(self):
        super().__init__()
        self.word, self.position, self.kind = (nn.Embedding(n, WIDTH) for n in (24, 16, 2))
        self.norm = nn.LayerNorm(WIDTH)
        self.blocks = nn.ModuleList(
            Block(WIDTH, nn.LayerNorm, Attention(WIDTH), MLP(WIDTH, 32), post=True) for _ in range(2)
        )
        self.dense, self.dense_norm = nn.Linear(WIDTH, WIDTH), nn.LayerNorm(WIDTH)
        self.decoder = nn.Linear(WIDTH, 24)
        self.decoder.weight = self.word.weight
        self.pooler = nn.Linear(WIDTH, 5)

    def forward(self, tokens: Tensor):
        x = self.word(tokens) + self.position(torch.arange(tokens.shape[1])) + self.kind(tokens % 2)
        x = self.norm(x)
        for block in self.blocks:
            x = block(x)
        return self.decoder(self.dense_norm(functional.gelu(self.dense(x)))), torch.tanh(self.pooler(x[:, 0]))


class ViT(nn.Module):
    def __init__(self):
        super().__init__()
        self.patch = nn.Conv2d(3, WIDTH, 4, stride=4)
        self.cls, self.position = (
            nn.Parameter(torch.randn(1, 1, WIDTH)),
            nn.Parameter(torch.randn(1, 5, WIDTH)),
        )
        self.blocks = nn.ModuleList(
            Block(WIDTH, nn.LayerNorm, Attention(WIDTH), MLP(WIDTH, 24)) for _ in range(2)
        )
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 3)

    def forward(self, images: Tensor):
        x = self.patch(images).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls.expand(len(x), -1, -1), x], dim=1) + self.position
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)[:, 0])


BLOCKS = (
    out("blocks.*.attn"),
    out("blocks.*.mlp"),
    out("blocks.*.norm1"),
    out("blocks.*.norm2"),
    out("norm"),
)
LLAMA = zeroed(out("embed"), *BLOCKS)
BERT = zeroed(out("word"), out("position"), out("kind"), *BLOCKS)
GPT2_STREAM = zeroed(
    out("wte"), out("wpe"), out("h.*.c_proj"), out("h.*.c_out"), out("h.*.ln_1"), out("h.*.ln_2"), out("ln_f")
)


def bert_prediction(model: Any, dims: tuple[int, ...], inputs: tuple[Tensor, ...]) -> Any:
    """The stream is cut and, because the decoder's weight is the embedding's, what the decoder reads as well."""
    return zeroed(
        out("word"), out("position"), out("kind"), *BLOCKS, out("dense"), out("dense_norm"), into("decoder")
    )(model, dims, inputs)


CASES = [
    Case(
        "llama_like",
        llama,
        tokens(),
        "blocks.0",
        (3, 10),
        LLAMA,
        prune="exact after folding",
        float64_tolerance=1e-5,
    ),
    Case(
        "llama_like_tied",
        lambda: llama(tied=True),
        tokens(),
        "embed",
        (0,),
        LLAMA,
        prune="exact after folding",
        float64_tolerance=1e-5,
    ),
    Case("llama_like_mlp", llama, tokens(), "blocks.1.mlp.gate", (0, 23), zeroed(out("blocks.1.mlp.gate"))),
    Case(
        "rotary_llama_like_kv_head",
        llama,
        tokens(),
        "blocks.0.attn.v_proj",
        (0, 1, 2, 3),
        zeroed(out("blocks.0.attn.v_proj"), into("blocks.0.attn.o_proj", dims=range(8))),
    ),
    Case("gpt2_like", GPT2, tokens(), "h.0", (5, 12), GPT2_STREAM),
    Case(
        "gpt2_like_value_head",
        GPT2,
        tokens(),
        "h.1.c_attn",
        tuple(range(40, 44)),
        zeroed(out("h.1.c_attn"), into("h.1.c_proj", dims=(8, 9, 10, 11))),
    ),
    Case("gpt2_like_mlp", GPT2, tokens(), "h.0.c_fc", (0, 31), zeroed(out("h.0.c_fc"))),
    Case(
        "bert_like",
        Bert,
        tokens(),
        "norm",
        (2, 13),
        bert_prediction,
        note="The tied decoder reads another tensor at the embedding's dims, which therefore lose them too.",
    ),
    Case(
        "bert_like_head",
        Bert,
        tokens(),
        "blocks.0.attn.v_proj",
        (12, 13, 14, 15),
        zeroed(out("blocks.0.attn.v_proj"), into("blocks.0.attn.o_proj")),
    ),
    Case(
        "vit_like",
        ViT,
        floats(2, 3, 8, 8),
        "patch",
        (1, 14),
        zeroed(out("patch", 1), into("blocks.0"), *BLOCKS),
        axis=1,
        note="The class token and the positions are written by parameters that no layer owns.",
    ),
    Case("vit_like_mlp", ViT, floats(2, 3, 8, 8), "blocks.0.mlp.up", (4,), zeroed(out("blocks.0.mlp.up"))),
]
