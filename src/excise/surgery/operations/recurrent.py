"""LSTM, GRU and plain recurrent networks, as torch calls them: all layers and directions in one operation."""

from typing import Any

from excise.surgery.flow import ALL_LAYERS, Array, Effect, Flow, Role, refusal
from excise.surgery.operations.registry import rule
from excise.surgery.recording import Call, Value

__all__ = ["RECURRENT"]

_GATES = {"lstm": 4, "gru": 3, "rnn_tanh": 1, "rnn_relu": 1}


RECURRENT = (*_GATES, "gru_cell", "lstm_cell", "rnn_tanh_cell", "rnn_relu_cell")
"""Operations in which features come round again, unseen."""


@rule(*_GATES)
def _recurrent(call: Call, flow: Flow) -> None:
    """A hidden feature that is zero at the start, written and read by no weight, stays zero: h = o tanh(c), c = 0."""
    packed = isinstance(call.args[3], tuple | list)
    if packed:
        raise refusal(
            call, flow.place, "packed sequences are not followed", "Give example inputs without padding."
        )
    x, states, weights, biased, layers, _, _, both_ways, _ = call.args
    states = states if isinstance(states, tuple | list) else (states,)
    directions = 2 if both_ways else 1
    each = len(weights) // (layers * directions)
    if each != (4 if biased else 2):
        raise refusal(call, flow.place, "projections (`proj_size`) are not followed")
    parameters = [weights[at : at + each] for at in range(0, len(weights), each)]
    gates = _GATES[call.name]
    hidden = parameters[0][1].shape[1]
    _only_last(call, flow, x)
    _only_last(call, flow, call.out)
    for array in flow.of(x):
        for own in parameters[:directions]:
            flow.spare(own[0], array.moved(array.ids.reshape(1, -1), Role.READS))
    for array in flow.of(call.out):
        for direction, ids in enumerate(array.ids.flatten().reshape(directions, hidden)):
            if layers > 1:
                flow.count(call, call.out, ALL_LAYERS)
            _hidden(flow, parameters[(layers - 1) * directions + direction], array.moved(ids), gates)
    _states(
        call, flow, [*states, *call.outputs[1:]], layers * directions, hidden=hidden, directions=directions
    )
    flow.effect(call, Effect.READS)


def _hidden(flow: Flow, own: Any, array: Array, gates: int) -> None:  # noqa: ANN401 - weights and biases of one layer
    """The features of a layer's hidden state: rows of all gates, and the columns by which it reads itself."""
    rows = array.ids.repeat(gates)
    flow.join(own[0], array.moved(rows[:, None], Role.CARRIES))
    flow.join(own[1], array.moved(rows[:, None], Role.CARRIES))
    flow.spare(own[1], array.moved(array.ids[None], Role.READS))
    for bias in own[2:]:
        flow.join(bias, array.moved(rows, Role.CARRIES))


@rule("gru_cell", "lstm_cell", "rnn_tanh_cell", "rnn_relu_cell")
def _cell(call: Call, flow: Flow) -> None:
    """One step: the hidden state comes in and goes out."""
    x, states, *own = call.args
    states = states if isinstance(states, tuple | list) else (states,)
    own = [value for value in own if isinstance(value, Value)]
    gates = {"gru_cell": 3, "lstm_cell": 4}.get(call.name, 1)
    for value in (x, *states, *call.outputs):
        _only_last(call, flow, value)
    for array in flow.of(x):
        flow.spare(own[0], array.moved(array.ids.reshape(1, -1), Role.READS))
    for here in (*states, *call.outputs):
        for array in flow.of(here):
            _hidden(flow, own, array.moved(array.ids.flatten()), gates)
            for there in (*states, *call.outputs):
                flow.join(there, array)
    flow.effect(call, Effect.READS)


def _states(call: Call, flow: Flow, states: list[Value], count: int, *, hidden: int, directions: int) -> None:
    """Hidden and cell states, `[layers * directions, batch, hidden]`; those of the last layer hold the features."""
    for array in flow.of(call.out):
        last = array.ids.flatten().reshape(directions, 1, hidden)
        full = last.new_zeros(count, *[1] * (states[0].ndim - 2), hidden)
        full[count - directions :] = last.reshape(directions, *[1] * (states[0].ndim - 2), hidden)
        for state in states:
            flow.join(state, array.moved(full))
    for state in states:
        for array in flow.of(state):
            if array.ids.shape[-1] != hidden or set(array.axes) - {0, state.ndim - 1}:
                raise refusal(call, flow.place, "they do not lie along its hidden state")
            full = array.ids.expand(count, *array.ids.shape[1:])
            if bool(full[: count - directions].any()):
                raise refusal(call, flow.place, "the states of its inner layers are used outside")
            ids = full[count - directions :].reshape(directions * hidden)
            flow.join(call.out, array.moved(ids))


def _only_last(call: Call, flow: Flow, value: Value) -> None:
    if any(array.axes not in ((value.ndim - 1,), ()) for array in flow.of(value)):
        raise refusal(call, flow.place, "they do not lie along its last axis")
