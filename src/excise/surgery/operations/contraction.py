"""Sums of products: Linear and matrix multiplication in all its spellings."""

from excise.surgery.flow import Effect, Flow, refusal
from excise.surgery.operations.broadcast import Axes, alike, contract
from excise.surgery.operations.registry import rule
from excise.surgery.recording import Call, Value

__all__ = ["is_weight"]

_WRITE_OUT = "Write the equation with a letter for each axis and its result, or as other operations."


@rule("linear")
def _linear(call: Call, flow: Flow) -> None:
    x, weight, bias = (call.argument(at, name) for at, name in enumerate(("input", "weight", "bias")))
    batch = _batch(x.ndim - 1)
    contract(flow, [(x, (*batch, "i")), (weight, ("o", "i"))], (call.out, (*batch, "o")))
    _with_bias(call, flow, bias)


@rule("matmul", "mm", "bmm", "mv", "dot", "rmatmul")
def _matmul(call: Call, flow: Flow) -> None:
    one, other = call.values[:2]
    if call.name == "rmatmul":
        one, other = other, one
    _multiply(call, flow, one, other)


@rule("addmm", "baddbmm", "addmv")
def _addmm(call: Call, flow: Flow) -> None:
    bias, one, other = call.values[:3]
    _multiply(call, flow, one, other)
    _with_bias(call, flow, bias)


@rule("einsum")
def _einsum(call: Call, flow: Flow) -> None:
    equation = call.args[0]
    if not isinstance(equation, str) or "..." in equation:
        raise refusal(call, flow.place, "only equations without an ellipsis are followed", _WRITE_OUT)
    given, _, result = equation.replace(" ", "").partition("->")
    if not result:
        raise refusal(call, flow.place, "only equations that name their result are followed", _WRITE_OUT)
    terms = given.split(",")
    if any(len(set(term)) < len(term) for term in terms):
        raise refusal(call, flow.place, "a letter stands twice in one term", _WRITE_OUT)
    operands = [(value, tuple(term)) for value, term in zip(call.values, terms, strict=True)]
    contract(flow, operands, (call.out, tuple(result)))
    _with_bias(call, flow, None)


@rule("bilinear")
def _bilinear(call: Call, flow: Flow) -> None:
    one, other, weight, bias = (
        call.argument(at, name) for at, name in enumerate(("input1", "input2", "weight", "bias"))
    )
    batch = _batch(one.ndim - 1)
    terms = [(one, (*batch, "i")), (other, (*batch, "j")), (weight, ("o", "i", "j"))]
    contract(flow, terms, (call.out, (*batch, "o")))
    _with_bias(call, flow, bias)


def _multiply(call: Call, flow: Flow, one: Value, other: Value) -> None:
    batch = _batch(max(one.ndim, other.ndim, 2) - 2)
    left: Axes = ("k",) if one.ndim == 1 else (*_last(batch, one.ndim - 2), "i", "k")
    right: Axes = ("k",) if other.ndim == 1 else (*_last(batch, other.ndim - 2), "k", "j")
    out = (*batch, *(("i",) if one.ndim > 1 else ()), *(("j",) if other.ndim > 1 else ()))
    weights = [value for value in (one, other) if is_weight(value)]
    contract(flow, [(one, left), (other, right)], (call.out, out))
    flow.effect(call, Effect.READS if weights else Effect.NEEDS_ZERO)


def _with_bias(call: Call, flow: Flow, bias: Value | None) -> None:
    if isinstance(bias, Value):
        alike(flow, call.out, [bias])
    weighted = any(is_weight(value) for value in call.values)
    flow.effect(call, Effect.READS if weighted else Effect.NEEDS_ZERO)


def is_weight(value: Value) -> bool:
    """Whether a tensor comes from parameters alone, and not from the model's inputs."""
    seen: set[Value] = set()
    pending = [value]
    while pending:
        one = pending.pop()
        if one in seen:
            continue
        seen.add(one)
        if one.source in ("input", "constant") or (one.maker is not None and not one.maker.values):
            return False
        if one.maker is not None:
            pending += one.maker.values
        if len(seen) > 20:
            return False
    return True


def _batch(count: int) -> Axes:
    return tuple(f"b{place}" for place in range(count, 0, -1))


def _last(letters: Axes, count: int) -> Axes:
    return letters[len(letters) - count :] if count > 0 else ()
