"""The small models that wrong use of surgery is tried on."""

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = [
    "Ambiguous",
    "Attention",
    "Between",
    "Branching",
    "Conv",
    "Experts",
    "Fused",
    "Gain",
    "Lonely",
    "Made",
    "Mixed",
    "Noted",
    "Onward",
    "Pair",
    "Rotary",
    "Single",
    "Tied",
    "Twice",
    "TwoSizes",
    "between",
    "rows",
    "seeded",
    "sequence",
]

ModelT = TypeVar("ModelT", bound=nn.Module)


def rows(width: int = 3) -> Tensor:
    return torch.randn(4, width, generator=torch.Generator().manual_seed(0))


def sequence() -> Tensor:
    return torch.randn(2, 5, 6, generator=torch.Generator().manual_seed(0))


def seeded(build: Callable[[], ModelT]) -> ModelT:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build()


class Between(nn.Module):
    def __init__(
        self, middle: Any, width: int = 6, residual: bool = False, bias: bool = True, write_bias: bool = True
    ) -> None:
        super().__init__()
        self.writer: Any = nn.Linear(width if residual else 3, width, bias=write_bias)
        self.middle = middle
        self.residual = residual
        self.reader: Any = nn.Linear(width, 2, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        y = self.middle(self.writer(x))
        return self.reader(y + x if self.residual else y)


def between(middle: Any = functional.gelu, **settings: Any) -> Any:
    """writer -> middle -> reader, 3 -> 6 -> 2."""
    return seeded(lambda: Between(middle, **settings))


class Branching(Between):
    def __init__(self) -> None:
        super().__init__(torch.relu)

    def forward(self, x: Tensor) -> Tensor:
        y = self.writer(x)
        if y.sum() > 0:
            y = y * 2
        return self.reader(y)


class Ambiguous(Between):
    def __init__(self) -> None:
        super().__init__(torch.relu)

    def forward(self, x: Tensor) -> Tensor:
        return self.reader(functional.gelu(functional.gelu(self.writer(x))))


class Onward(Between):
    """A norm whose output is read, and goes on as the stream."""

    def __init__(self) -> None:
        super().__init__(nn.RMSNorm(6))
        self.block = nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        y = self.middle(self.writer(x))
        return self.reader(y + self.block(y))


class Noted(Between):
    """Its state holds more than tensors."""

    def __init__(self) -> None:
        super().__init__(torch.relu)

    def get_extra_state(self) -> dict[str, int]:
        return {"seen": 3}


class Total(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.sum()


class Single(Between):
    def __init__(self) -> None:
        super().__init__(torch.relu)
        self.total = Total()

    def forward(self, x: Tensor) -> Tensor:
        y = self.writer(x)
        return self.reader(y) * self.total(y)


class Tied(nn.Module):
    """The head is the embedding, and reads it behind a norm with a gain."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.norm = nn.Embedding(4, 6), nn.RMSNorm(6)

    def forward(self, tokens: Tensor) -> Tensor:
        return functional.linear(self.norm(self.embed(tokens)), self.embed.weight)


class Gain(nn.RMSNorm):
    """A norm that lets one feature go."""

    def __init__(self) -> None:
        super().__init__(6)
        self.weight.data[2] = 0


class Pair(nn.Module):
    """Takes two arguments, which no guess gives."""

    def __init__(self) -> None:
        super().__init__()
        self.writer, self.reader = nn.Linear(3, 6), nn.Linear(6, 2)

    def forward(self, x: Tensor, other: Tensor) -> Tensor:
        return self.reader(self.writer(x + other))


class Twice(nn.Module):
    """One module, `middle`, runs on two widths; or one reader reads two constants."""

    def __init__(self, widths: tuple[int, int], function: Any = torch.relu) -> None:
        super().__init__()
        self.writer, self.other = nn.Linear(3, widths[0]), nn.Linear(3, widths[1])
        self.middle = nn.ReLU()
        self.function = function
        self.reader = nn.Linear(widths[0], 2)
        self.last = nn.Linear(widths[1], 2)

    def forward(self, x: Tensor) -> Tensor:
        one = self.function(self.middle(self.writer(x)))
        other = self.middle(self.other(x))
        if one.shape == other.shape:
            return self.reader(one) + self.reader(one * 3)
        return self.reader(one) + self.last(other)


class Lonely(Between):
    """Holds a layer that nothing calls, or whose output nothing uses."""

    def __init__(self, call: bool = False) -> None:
        super().__init__(torch.relu)
        self.lonely = nn.Linear(3, 6)
        self.call = call

    def forward(self, x: Tensor) -> Tensor:
        if self.call:
            self.lonely(x)
        return super().forward(x)


class Noise(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.ones(x.shape[0], 6).cumsum(0)


class Made(nn.Module):
    """A layer gives what the forward pass makes, and no weight writes."""

    def __init__(self) -> None:
        super().__init__()
        self.noise, self.reader = Noise(), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.reader(self.noise(x))


class Experts(nn.Module):
    """Two experts read the stream; the second never runs on a few rows."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.reader = nn.Linear(3, 6), nn.Linear(6, 2)
        self.experts = nn.ModuleList(nn.Linear(6, 6) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        y = self.up(x)
        return self.reader(y + self.experts[0 if len(x) < 100 else 1](y))


class Mixed(nn.Module):
    """An LSTM in some way that is not followed."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        layers = 2 if kind in ("inner", "stack") else 1
        self.rnn = nn.LSTM(6, 4, layers, batch_first=True, proj_size=3 if kind == "projected" else 0)
        self.reader = nn.Linear(3 if kind == "projected" else 4, 2)

    def forward(self, x: Tensor) -> Tensor:
        if self.kind == "inner":
            output, (hidden, _) = self.rnn(x)
            return self.reader(output[:, -1] + hidden[0])
        if self.kind != "packed":
            return self.reader(self.rnn(x)[0])
        lengths = torch.tensor([5, 3])
        packed: Any = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True)
        return self.reader(self.rnn(packed)[0].data)


class TwoSizes(nn.Module):
    """`width` is the size of an axis that gets shorter, and of one that does not."""

    def __init__(self) -> None:
        super().__init__()
        self.width = 3
        self.writer, self.other = nn.Linear(3, 6), nn.Linear(3, 6)
        self.reader, self.last = nn.Linear(3, 2), nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        one = self.writer(x).view(x.shape[0], -1, self.width)
        other = self.other(x).view(x.shape[0], -1, self.width)
        return self.reader(one) + self.last(other)


class Attention(nn.Module):
    """Two heads of three features."""

    def __init__(self) -> None:
        super().__init__()
        self.heads = 2
        self.query, self.key, self.value = (nn.Linear(6, 6) for _ in range(3))
        self.out = nn.Linear(6, 2)

    def split(self, x: Tensor) -> Tensor:
        return x.view(x.shape[0], x.shape[1], self.heads, -1).transpose(1, 2)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (self.split(layer(x)) for layer in (self.query, self.key, self.value))
        mixed = functional.scaled_dot_product_attention(q, k, v)
        return self.out(mixed.transpose(1, 2).flatten(2))


class Rotary(Attention):
    """The first half of a head is turned into the second."""

    def __init__(self) -> None:
        super().__init__()
        self.heads = 1

    def split(self, x: Tensor) -> Tensor:
        split = super().split(x)
        one, other = split.chunk(2, dim=-1)
        angle = torch.arange(split.shape[-2])[:, None]
        return split * angle.cos() + torch.cat([-other, one], dim=-1) * angle.sin()


class Fused(nn.Module):
    """Queries, keys and values of two heads of two features, in one projection."""

    def __init__(self, heads: int = 2) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.out = nn.Linear(6, 12), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, _ = x.shape
        q, k, v = self.qkv(x).view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q, k, v)
        return self.out(mixed.transpose(1, 2).reshape(batch, length, -1))


class Conv(nn.Module):
    def __init__(self, middle: nn.Module, padding: int = 0) -> None:
        super().__init__()
        self.writer, self.middle = nn.Conv2d(3, 6, 3), middle
        self.reader = nn.Conv2d(6, 2, 3, padding=padding)

    def forward(self, x: Tensor) -> Tensor:
        return self.reader(self.middle(self.writer(x)))
