"""Recurrent networks, whose state carries the features from step to step where no hook can reach.

So the reference of a hidden unit unrolls the network by hand and zeroes the unit after every step.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from excise.errors import DimsError, SurgeryError

from .case import Case, Reference, floats, into, out, without, zeroed

__all__ = ["CASES"]

SEQUENCES = floats(3, 5, 4)


def unrolled(rnn: nn.LSTM | nn.GRU, x: Tensor, cut: Sequence[Sequence[int]]) -> Tensor:
    """What an LSTM or GRU gives for `x` `[batch, time, features]`; `cut` has the absent units of each direction."""
    names = [
        name.removeprefix("weight_ih") for name, _ in rnn.named_parameters() if name.startswith("weight_ih")
    ]
    directions = 2 if rnn.bidirectional else 1
    for layer in range(rnn.num_layers):
        halves = []
        for direction, name in enumerate(names[directions * layer :][:directions]):
            steps = x.flip(1) if direction else x
            absent = cut[directions * layer + direction]
            outputs = _one_direction(rnn, name, steps, absent)
            halves.append(outputs.flip(1) if direction else outputs)
        x = torch.cat(halves, dim=-1)
    return x


def _one_direction(rnn: Any, name: str, x: Tensor, absent: Sequence[int]) -> Tensor:
    read, kept = getattr(rnn, f"weight_ih{name}"), getattr(rnn, f"weight_hh{name}")
    read_bias, kept_bias = getattr(rnn, f"bias_ih{name}"), getattr(rnn, f"bias_hh{name}")
    h = c = x.new_zeros(len(x), rnn.hidden_size)
    outputs = []
    for step in x.unbind(1):
        given, own = step @ read.T + read_bias, h @ kept.T + kept_bias
        if isinstance(rnn, nn.LSTM):
            i, f, g, o = (given + own).chunk(4, dim=-1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
        else:
            (r, z, n), (own_r, own_z, own_n) = given.chunk(3, dim=-1), own.chunk(3, dim=-1)
            z = (z + own_z).sigmoid()
            h = (1 - z) * (n + (r + own_r).sigmoid() * own_n).tanh() + z * h
        h = without(h, absent)
        outputs.append(h)
    return torch.stack(outputs, dim=1)


class Tagger(nn.Module):
    """Embeds its inputs, runs recurrent modules over them and reads each step."""

    def __init__(self, *layers: nn.Module, read: int = 6):
        super().__init__()
        self.embed = nn.Linear(4, 5)
        self.layers = nn.ModuleList(layers)
        self.head = nn.Linear(read, 2)

    def forward(self, x: Tensor):
        x = self.embed(x)
        for layer in self.layers:
            x, _ = layer(x)
        return self.head(x)


def by_hand(*cut: Callable[[tuple[int, ...]], Sequence[Sequence[int]]]) -> Reference:
    """A tagger unrolled; `cut` says the absent units of each recurrent module from the asked dims."""

    def reference(model: Any, dims: tuple[int, ...], inputs: tuple[Tensor, ...]) -> Tensor:
        (x,) = inputs
        x = model.embed(x)
        for layer, absent in zip(model.layers, cut, strict=True):
            x = unrolled(layer, x, absent(dims))
        return model.head(x)

    return reference


def lstm(read: int = 5, **settings: Any) -> nn.LSTM:
    return nn.LSTM(read, 6, batch_first=True, **settings)


def gru(read: int = 5, **settings: Any) -> nn.GRU:
    return nn.GRU(read, 6, batch_first=True, **settings)


class LastState(nn.Module):
    """Reads the state after the last step, time first, not the outputs."""

    def __init__(self):
        super().__init__()
        self.rnn, self.head = nn.LSTM(4, 6), nn.Linear(6, 2)

    def forward(self, x: Tensor):
        _, (state, _) = self.rnn(x.transpose(0, 1))
        return self.head(state[-1])


def last_state(model: Any, dims: tuple[int, ...], inputs: tuple[Tensor, ...]) -> Tensor:
    return model.head(unrolled(model.rnn, inputs[0], [dims])[:, -1])


class Cell(nn.Module):
    """A GRU written as a loop over its cell, which starts from zeros of its own width."""

    def __init__(self):
        super().__init__()
        self.cell, self.head = nn.GRUCell(4, 6), nn.Linear(6, 2)

    def forward(self, x: Tensor):
        state = x.new_zeros(x.shape[0], self.cell.hidden_size)
        for step in x.unbind(1):
            state = self.cell(step, state)
        return self.head(state)


def nothing(_dims: tuple[int, ...]) -> Sequence[Sequence[int]]:
    return [[]]


CASES = [
    Case(
        "lstm_stack",
        lambda: Tagger(lstm(), lstm(6)),
        SEQUENCES,
        "layers.0",
        (1, 4),
        by_hand(lambda dims: [dims], nothing),
        note="A unit has four gates, reads itself, and is read by the second LSTM.",
    ),
    Case("lstm_to_linear", lambda: Tagger(lstm()), SEQUENCES, "layers.0", (0,), by_hand(lambda dims: [dims])),
    Case("gru_to_linear", lambda: Tagger(gru()), SEQUENCES, "layers.0", (5, 2), by_hand(lambda dims: [dims])),
    Case("lstm_input_features", lambda: Tagger(lstm()), SEQUENCES, "embed", (3,), zeroed(out("embed"))),
    Case("gru_input_features", lambda: Tagger(gru()), SEQUENCES, "embed", (0, 3), zeroed(out("embed"))),
    Case(
        "lstm_two_layers_one_module",
        lambda: Tagger(lstm(num_layers=2)),
        SEQUENCES,
        "layers.0",
        (1,),
        by_hand(lambda dims: [[], dims]),
        prune=SurgeryError,
        note="The output is the second layer's, and one hidden_size holds for both.",
    ),
    Case(
        "lstm_two_layers_input_features",
        lambda: Tagger(lstm(num_layers=2)),
        SEQUENCES,
        "embed",
        (1,),
        zeroed(out("embed")),
    ),
    Case(
        "bidirectional_lstm",
        lambda: Tagger(lstm(bidirectional=True), read=12),
        SEQUENCES,
        "layers.0",
        (1, 7),
        by_hand(lambda dims: [dims[:1], [dims[1] - 6]]),
        note="The same unit of both directions.",
    ),
    Case(
        "bidirectional_lstm_one_direction_is_refused",
        lambda: Tagger(lstm(bidirectional=True), read=12),
        SEQUENCES,
        "layers.0",
        (7,),
        by_hand(lambda dims: [[], [dims[0] - 6]]),
        prune=DimsError,
        note="Both directions have one hidden_size.",
    ),
    Case("lstm_last_state", LastState, SEQUENCES, "rnn", (3,), last_state),
    Case(
        "gru_cell_in_a_loop",
        Cell,
        SEQUENCES,
        "cell",
        (2,),
        zeroed(out("cell"), into("cell", item=1)),
        note="The starting state is as wide as the cell says it is.",
    ),
]
