"""Tables of vectors, looked up by index."""

from excise.surgery.flow import Effect, Flow, Role
from excise.surgery.operations.registry import rule
from excise.surgery.recording import Call

__all__: list[str] = []


@rule("embedding", "embedding_bag")
def _embedding(call: Call, flow: Flow) -> None:
    weight = call.argument(1, "weight")
    for array in flow.of(weight):
        if array.axes == (1,):
            flow.join(call.out, array.moved(array.ids.flatten()))
    for array in flow.of(call.out):
        if array.axes == (call.out.ndim - 1,):
            flow.join(weight, array.moved(array.ids.reshape(1, -1), Role.CARRIES))
    flow.effect(call, Effect.READS)
