"""Modules that take the place of torch's own where those cannot be narrow: they remember the width they had.

Parameters keep their names, so a state dict of the pruned model looks like one of the model.
"""

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = [
    "NarrowedAttention",
    "NarrowedLayerNorm",
    "Projected",
    "set_module",
    "take_over_hooks",
    "without",
]


class NarrowedLayerNorm(nn.Module):
    """A LayerNorm over features of which some were removed; its statistics count them as zeros.

    Args:
        norm: the LayerNorm in whose place it comes; parameters are shared with it until they are cut.
        width: how many features the statistics are over, removed ones included.
    """

    def __init__(self, norm: nn.LayerNorm, width: int) -> None:
        super().__init__()
        self.width = width
        self.eps = norm.eps
        self.elementwise_affine = norm.elementwise_affine
        self.weight = norm.weight
        self.bias = norm.bias
        self.train(norm.training)

    @property
    def normalized_shape(self) -> tuple[int, ...]:
        """How many features come in."""
        return (self.width,) if self.weight is None else tuple(self.weight.shape)

    def forward(self, x: Tensor) -> Tensor:
        """The features `[..., left]`, normalised."""
        mean = x.sum(-1, keepdim=True) / self.width
        gone = self.width - x.shape[-1]
        centred = x - mean
        variance = (centred.square().sum(-1, keepdim=True) + gone * mean.square()) / self.width
        y = centred * torch.rsqrt(variance + self.eps)
        if self.weight is not None:
            y = y * self.weight
        return y if self.bias is None else y + self.bias

    def extra_repr(self) -> str:
        """What `print` shows."""
        return f"{self.normalized_shape[0]}, statistics over {self.width}, eps={self.eps}"


class NarrowedAttention(nn.Module):
    """`nn.MultiheadAttention`, operation by operation, with sizes read off its parameters.

    It computes the same, and goes on doing so when features of the stream, of single heads or whole heads are cut. Not
    taken over: `add_zero_attn` and biases of keys and values.

    Args:
        attention: the module in whose place it comes; parameters are shared with it until they are cut.
    """

    _qkv_same_embed_dim = (
        False  # So that torch's encoder layers do not take their fused path around `forward`.
    )

    def __init__(self, attention: nn.MultiheadAttention) -> None:
        super().__init__()
        self.num_heads = attention.num_heads
        self.scale = attention.head_dim**-0.5
        self.dropout = attention.dropout
        self.batch_first = attention.batch_first
        for name in ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight", "in_proj_bias"):
            self.register_parameter(name, getattr(attention, name))
        self.out_proj = attention.out_proj
        self.training = attention.training  # Not of what it holds: that keeps its own.

    @staticmethod
    def covers(attention: nn.MultiheadAttention) -> bool:
        """Whether it can take this module's place."""
        return (
            type(attention) is nn.MultiheadAttention
            and attention.bias_k is None
            and not attention.add_zero_attn
        )

    def forward(  # noqa: PLR0917 - torch's signature
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,  # noqa: ARG002 - torch's signature; the mask that comes with it decides
    ) -> tuple[Tensor, Tensor | None]:
        """What `nn.MultiheadAttention` gives: the outputs, and the weights if asked for."""
        single = query.dim() == 2
        q, k, v = (self._ordered(part, single=single) for part in (query, key, value))
        q, k, v = self._projected(q, k, v)
        bias = self._bias(key_padding_mask, attn_mask, q, single=single)
        weights = None
        if need_weights:
            scores = (q * self.scale) @ k.transpose(-2, -1)
            weights = (scores if bias is None else scores + bias).softmax(-1)
            mixed = functional.dropout(weights, self.dropout, self.training) @ v
        else:
            drop = self.dropout if self.training else 0.0
            mixed = functional.scaled_dot_product_attention(q, k, v, bias, drop, scale=self.scale)
        out = self.out_proj(mixed.transpose(1, 2).flatten(2))
        if weights is not None and average_attn_weights:
            weights = weights.mean(1)
        if single:
            return out[0], None if weights is None else weights[0]
        return (out if self.batch_first else out.transpose(0, 1)), weights

    def _ordered(self, part: Tensor, *, single: bool) -> Tensor:
        if single:
            return part[None]
        return part if self.batch_first else part.transpose(0, 1)

    def _projected(self, q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        if isinstance(self.in_proj_weight, Tensor):
            weights = self.in_proj_weight.chunk(3)
        else:
            weights = tuple(cast(Tensor, getattr(self, f"{name}_proj_weight")) for name in "qkv")
        biases = (None,) * 3 if not isinstance(self.in_proj_bias, Tensor) else self.in_proj_bias.chunk(3)
        parts = [
            functional.linear(x, weight, bias).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for x, weight, bias in zip((q, k, v), weights, biases, strict=True)
        ]
        return parts[0], parts[1], parts[2]

    def _bias(self, padding: Tensor | None, mask: Tensor | None, q: Tensor, *, single: bool) -> Tensor | None:
        """Both masks as numbers to be added to the scores, `[batch or 1, heads or 1, target, source]`."""
        parts: list[Tensor] = []
        if mask is not None:
            shaped = mask if mask.dim() < 3 else mask.reshape(-1, self.num_heads, *mask.shape[-2:])
            parts.append(_added(shaped, q))
        if padding is not None:
            parts.append(_added((padding[None] if single else padding)[:, None, None], q))
        return sum(parts[1:], start=parts[0]) if parts else None


def _added(mask: Tensor, like: Tensor) -> Tensor:
    if mask.dtype != torch.bool:
        return mask.to(like.dtype)
    return torch.zeros_like(mask, dtype=like.dtype).masked_fill(mask, float("-inf"))


def take_over_hooks(old: nn.Module, new: nn.Module) -> None:
    """Let the hooks of one module run on another."""
    for name, value in vars(old).items():
        if name.endswith(("_hooks", "_hooks_with_kwargs", "_hooks_always_called")) and value:
            vars(new)[name] = value


class Projected(nn.Module):
    """A module whose output lacks a subspace: behind a norm with a gain, no weight can take it out.

    Args:
        module: the module in whose place it comes.
        basis: the subspace, orthonormal rows `[k, d]`.
        scale: numbers that the output is divided by before and multiplied by after, `[d]`; None for none.
    """

    basis: Tensor
    scale: Tensor | None

    def __init__(self, module: nn.Module, basis: Tensor, scale: Tensor | None = None) -> None:
        super().__init__()
        self.module = module
        like = next(module.parameters(), basis)
        self.register_buffer("basis", basis.to(like))
        self.register_buffer("scale", None if scale is None else scale.to(like))
        self.training = module.training

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:  # noqa: ANN401 - whatever the module takes
        """The module's output `[..., d]`, without the subspace."""
        y: Tensor = self.module(*args, **kwargs)
        return without(y, self.basis, self.scale)


def without(x: Tensor, basis: Tensor, scale: Tensor | None = None, strength: float = 1.0) -> Tensor:
    """`x`, `[..., d]`, less its component in the subspace of the orthonormal rows of `basis`, `[k, d]`."""
    plain = x if scale is None else x / scale
    part = (plain @ basis.T) @ basis * strength
    return plain - part if scale is None else (plain - part) * scale


def set_module(model: nn.Module, path: str, new: nn.Module) -> None:
    """Put a module at every place where the one at `path` stands."""
    old = model.get_submodule(path)
    for module in list(model.modules()):
        for name, child in list(module._modules.items()):
            if child is old:
                module._modules[name] = new
