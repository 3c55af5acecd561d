"""Does a forward pass compute with the width of a layer? Then pruning changes more than the features.

A recorded forward pass holds plain numbers such as `linear.out_features` as constants. So the pass of the
pruned copy is recorded too: operation by operation, it must be that of the model.
"""

from itertools import zip_longest

import torch
from torch import Tensor, fx, nn

from excise.errors import UnfollowableError
from excise.surgery.graph import ForwardGraph, operation, record

__all__ = ["check_constants"]


def check_constants(model: nn.Module, graph: ForwardGraph, pruned: nn.Module, layer: str) -> None:
    """Refuse a model of which the pruned copy has another forward pass.

    The same operations on the same modules also have the same writers, carriers and readers.

    Args:
        model: the model.
        graph: its recorded forward pass.
        pruned: its pruned copy.
        layer: the layer that got narrower.

    Raises:
        UnfollowableError: the pruned copy computes with other constants, or its forward pass fails.
    """
    way_out = "keep that number in an attribute of its own, or ablate instead of pruning."
    try:
        after = record(pruned)
    except UnfollowableError as error:
        cause = error.__cause__ or error
        raise UnfollowableError(
            error.culprit,
            f"its forward pass fails once {layer!r} is narrower ({type(cause).__name__}: {cause}), so it depends "
            f"on the width of a Linear (`in_features`, `out_features`); {way_out}",
        ) from error
    changed = _changed(graph, after)
    if changed:
        # What differs between two recordings of one model (a clock, a counter of calls) is none of pruning's doing.
        changed -= _changed(graph, record(model))
    if not changed:
        return
    first = min(changed)
    nodes = [one.nodes[first] if first < len(one.nodes) else one.nodes[-1] for one in (graph, after)]
    culprit = graph.name(next(iter(nodes[0].users), nodes[0]) if nodes[0].op == "get_attr" else nodes[0])
    raise UnfollowableError(
        culprit,
        f"a constant in it changes once {layer!r} is narrower (`{_text(nodes[0], graph)}` becomes "
        f"`{_text(nodes[1], after)}`), so it depends on the width of a Linear (`in_features`, `out_features`), and "
        f"the pruned model would differ from the ablated one; {way_out}",
    )


def _changed(before: ForwardGraph, after: ForwardGraph) -> set[int]:
    """The places at which two recorded passes differ."""
    pairs = zip_longest(before.nodes, after.nodes)
    return {
        place
        for place, (one, other) in enumerate(pairs)
        if one is None or other is None or not _same(one, other, before, after)
    }


def _same(one: fx.Node, other: fx.Node, before: ForwardGraph, after: ForwardGraph) -> bool:
    if (one.op, one.target) != (other.op, other.target):
        return False
    # A node among the arguments reads as its name there.
    if repr((one.args, one.kwargs)) != repr((other.args, other.kwargs)):
        return False
    if one.op != "get_attr":
        return True
    values = before.attribute(one), after.attribute(other)
    if not isinstance(values[0], Tensor) or not isinstance(values[1], Tensor):
        return True
    return values[0].dtype == values[1].dtype and torch.equal(values[0], values[1])


def _text(node: fx.Node, graph: ForwardGraph) -> str:
    """A node as a reader would write it; of a tensor constant, a few of its values."""
    if node.op == "get_attr":
        value = graph.attribute(node)
        if isinstance(value, Tensor):
            few = ", ".join(f"{number:.4g}" for number in value.flatten()[:4].tolist())
            return f"{few}, shape {list(value.shape)}"
    given = [*map(repr, node.args), *(f"{name}={value!r}" for name, value in node.kwargs.items())]
    return f"{operation(node)}({', '.join(given)})"
