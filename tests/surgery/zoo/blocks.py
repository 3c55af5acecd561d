"""The parts that the transformers of the zoo are made of."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["MLP", "Attention", "Block", "GatedMLP", "LanguageModel", "RMSNorm", "rotary"]


class RMSNorm(nn.Module):
    """As Llama has it: the mean square in float32, one gain a feature."""

    def __init__(self, width: int, eps: float = 1e-2):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor):
        wide = x.float()
        wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.eps)
        return self.weight * wide.to(x.dtype)


def rotary(length: int, width: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines `[length, width]` of the angles by which a head is rotated."""
    angles = torch.outer(torch.arange(length).float(), 100.0 ** -(torch.arange(0, width, 2) / width))
    angles = torch.cat([angles, angles], dim=-1)
    return angles.cos(), angles.sin()


def rotated(x: Tensor) -> Tensor:
    half = x.shape[-1] // 2
    cos, sin = (table.to(x.dtype) for table in rotary(x.shape[-2], x.shape[-1]))
    return x * cos + torch.cat([-x[..., half:], x[..., :half]], dim=-1) * sin


class Attention(nn.Module):
    """Separate q, k and v; fewer heads for k and v, and rotation, where asked for."""

    def __init__(self, width: int, n_heads: int = 4, n_kv_heads: int | None = None, rotate: bool = False):
        super().__init__()
        self.n_heads, self.n_kv_heads, self.head_dim = n_heads, n_kv_heads or n_heads, width // n_heads
        self.rotate = rotate
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, self.n_kv_heads * self.head_dim)
        self.v_proj = nn.Linear(width, self.n_kv_heads * self.head_dim)
        self.o_proj = nn.Linear(width, width)

    def forward(self, x: Tensor):
        batch, length, _ = x.shape
        q = self.q_proj(x).view(batch, length, self.n_heads, self.head_dim).transpose(1, 2)
        k = self.k_proj(x).view(batch, length, self.n_kv_heads, self.head_dim).transpose(1, 2)
        v = self.v_proj(x).view(batch, length, self.n_kv_heads, self.head_dim).transpose(1, 2)
        if self.rotate:
            q, k = rotated(q), rotated(k)
        if self.n_kv_heads != self.n_heads:
            repeats = self.n_heads // self.n_kv_heads
            k, v = k.repeat_interleave(repeats, dim=1), v.repeat_interleave(repeats, dim=1)
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.o_proj(mixed.transpose(1, 2).reshape(batch, length, -1))


class MLP(nn.Module):
    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.up, self.down = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x: Tensor):
        return self.down(functional.gelu(self.up(x)))


class GatedMLP(nn.Module):
    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.gate, self.up = nn.Linear(width, hidden, bias=False), nn.Linear(width, hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor):
        return self.down(functional.silu(self.gate(x)) * self.up(x))


class Block(nn.Module):
    """Attention and an MLP on a residual stream, normalised before each (or after, as in BERT)."""

    def __init__(self, width: int, norm: Any, attn: nn.Module, mlp: nn.Module, post: bool = False):
        super().__init__()
        self.norm1, self.attn, self.norm2, self.mlp = norm(width), attn, norm(width), mlp
        self.post = post

    def forward(self, x: Tensor):
        if self.post:
            x = self.norm1(x + self.attn(x))
            return self.norm2(x + self.mlp(x))
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class LanguageModel(nn.Module):
    """Tokens -> embedding -> blocks -> norm -> logits."""

    def __init__(
        self,
        blocks: list[nn.Module],
        norm: nn.Module,
        *,
        width: int = 12,
        vocabulary: int = 24,
        tied: bool = False,
        position: nn.Module | None = None,
    ):
        super().__init__()
        self.embed = nn.Embedding(vocabulary, width)
        self.position = position or nn.Identity()
        self.blocks, self.norm = nn.ModuleList(blocks), norm
        self.lm_head = nn.Linear(width, vocabulary, bias=False)
        if tied:
            self.lm_head.weight = self.embed.weight

    def forward(self, tokens: Tensor):
        x = self.position(self.embed(tokens))
        for block in self.blocks:
            x = block(x)
        return self.lm_head(self.norm(x))
