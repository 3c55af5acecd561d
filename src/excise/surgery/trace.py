"""Who writes a layer's features and who reads them, found by following the data flow.

The forward pass is recorded symbolically (see `graph`), so no example inputs are needed and the order in
which modules are registered means nothing. From the layer's output the trace walks both ways through
operations that carry features on (see `rules`), to the Linears that write them and the Linears that read
them. What it cannot follow it refuses, naming the module or operation in the way: a wrong edit would be
worse than none.

Forward hooks are not followed; a trace names the modules on the way that have some.
"""

from collections import defaultdict
from dataclasses import dataclass, field

from torch import fx, nn
from torch.nn import functional
from torch.nn.utils import parametrize

from excise.activations import find_layer
from excise.errors import UnfollowableError
from excise.surgery.editable import FORWARD_REPLACED, check_asked, check_editable, hooked
from excise.surgery.graph import ForwardGraph, operation, record
from excise.surgery.rules import Call, Effect

__all__ = ["Trace", "follow", "trace"]


@dataclass(frozen=True)
class Trace:
    """The data flow around one layer.

    Attributes:
        layer: the module whose output was asked about.
        width: how many features it has.
        writers: the Linears whose outputs are the features, by module path.
        carriers: the operations that carry the features from writers to readers, in the order of execution; a
            function is named after the module in whose forward pass it stands.
        readers: the Linears whose inputs are the features, by module path.
        hooked: the modules that the features go into or come out of and that have forward hooks, which may change
            them unseen; by path. The hooks of `excise.capture` do not count. Traces that differ in this alone are
            equal.
    """

    layer: str
    width: int
    writers: tuple[str, ...]
    carriers: tuple[str, ...]
    readers: tuple[str, ...]
    hooked: tuple[str, ...] = field(default=(), compare=False)

    def __str__(self) -> str:
        """The data flow, a line a role."""
        return (
            f"{self.layer}: {self.width} features\n"
            f"  written by  {', '.join(self.writers)}\n"
            f"  carried by  {', '.join(self.carriers) or '(nothing in between)'}\n"
            f"  read by     {', '.join(self.readers)}"
            + (f"\n  hooks on    {', '.join(self.hooked)} (not followed)" if self.hooked else "")
        )


def trace(model: nn.Module, layer: str) -> Trace:
    """Find who writes and who reads the features of a layer.

    The forward pass is recorded with stand-ins for tensors. A branch on `isinstance(x, torch.Tensor)` or
    `torch.is_tensor(x)` is therefore followed where it goes for what is no tensor; only example inputs, given to
    an edit, can show that the model goes another way.

    Args:
        model: a model that torch.fx can trace, in the mode (training or evaluation) that matters; it is not
            changed.
        layer: the module whose output holds the features on its last axis, as in `model.named_modules()`.

    Raises:
        UnknownLayerError: the model has no such layer.
        SettingError: the model is no module, or the layer no string.
        UnfollowableError: the forward pass cannot be recorded, does not run the layer, or does something with
            its features that no rule covers; the module or operation in the way is named.
        SurgeryError: the model is compiled or scripted, or cannot be copied.
    """
    check_asked(model, layer)
    return follow(model, layer)[0]


def follow(model: nn.Module, layer: str) -> tuple[Trace, ForwardGraph]:
    """The trace of a layer and the recorded forward pass in which it was found; raises what `trace` raises."""
    find_layer(model, layer)
    graph = record(model)
    return _Walk(layer, graph).run(_places(layer, graph)), graph


def _places(layer: str, graph: ForwardGraph) -> list[fx.Node]:
    outputs = graph.outputs.get(layer, [])
    if not outputs:
        raise UnfollowableError(
            layer,
            "the forward pass never calls it (or only inside one of torch's own modules, or through "
            "`.forward`), so nothing is known of its features.",
        )
    places = [node for node in outputs if node is not None]
    if len(places) < len(outputs):
        raise UnfollowableError(
            layer, "its output is not a single tensor; name a module inside it whose output is one."
        )
    return places


class _Walk:
    """One walk through a graph, from a layer's outputs to all writers and readers of its features."""

    def __init__(self, layer: str, graph: ForwardGraph) -> None:
        self.layer = layer
        self.graph = graph
        self.writers: set[fx.Node] = set()
        self.carriers: set[fx.Node] = set()
        self.readers: set[fx.Node] = set()

    def run(self, places: list[fx.Node]) -> Trace:
        for place in places:
            self._follow(place)
        written, read = self._names(self.writers), self._names(self.readers)
        writer, *others = written
        if others:
            raise UnfollowableError(
                self.layer,
                f"it is called {len(places)} times, on different features (written by {', '.join(written)}); "
                f"name one of these instead.",
            )
        if not read:
            raise UnfollowableError(self.layer, "no Linear reads its features.")
        self._check_zeros()
        self._check_calls()
        for path in (*written, *read):
            check_editable(path, self.graph)
        width = self._linear(writer).out_features
        for path in read:
            if self._linear(path).in_features != width:
                raise UnfollowableError(
                    path,
                    f"it reads {self._linear(path).in_features} features, but {writer!r} writes {width}; "
                    f"this model cannot run.",
                )
        hooks = hooked(self.graph, self.writers | self.carriers)
        return Trace(self.layer, width, written, self._names(self.carriers), read, hooks)

    def _follow(self, place: fx.Node) -> None:
        pending = [place]
        while pending:
            node = pending.pop()
            if node in self.carriers or node in self.writers:
                continue
            if self.graph.linear(node) is not None:
                self.writers.add(node)
            else:
                self.carriers.add(node)
                pending.append(self._source(node))
            for user in node.users:
                if self.graph.linear(user) is not None:
                    self.readers.add(user)
                elif self._effect_on(user, node) is Effect.MEASURES:
                    self._check_measure(user, node)
                else:
                    pending.append(user)

    def _source(self, node: fx.Node) -> fx.Node:
        if node.op == "placeholder":
            raise UnfollowableError(
                self.graph.name(node), "the features are an input of the model; no Linear writes them."
            )
        call = Call(node, self.graph.modules)
        if call.effect in (None, Effect.MEASURES):
            raise self._refusal(node, "writes")
        return call.tensors[0]

    def _effect_on(self, user: fx.Node, carrier: fx.Node) -> Effect:
        if user.op == "output":
            raise UnfollowableError(
                self.layer,
                f"its features leave the model as an output (through {self.graph.name(carrier)!r}), so "
                f"cutting them would change what the model returns.",
            )
        call = Call(user, self.graph.modules)
        effect = call.effect
        if effect is None or call.tensors[0] is not carrier:
            raise self._refusal(user, "reads")
        return effect

    def _check_measure(self, measure: fx.Node, carrier: fx.Node) -> None:
        """Refuse a norm of the features that serves for more than to divide them."""
        for user in measure.users:
            call = Call(user, self.graph.modules)
            effect = call.effect
            if effect in (Effect.KEEPS_ZERO, Effect.MOVES_ZERO) and call.tensors[0] is measure:
                self._check_measure(user, carrier)
            elif effect is not Effect.SCALES or call.tensors[0] is not carrier:
                raise self._refusal(user, "reads a norm of")

    def _check_zeros(self) -> None:
        """Refuse a norm over features of which the removed ones are no longer zero when they get there."""
        moved: dict[fx.Node, str] = {}
        overwritten: str | None = None
        for node in self.graph.nodes:
            if node not in self.carriers:
                continue
            call = Call(node, self.graph.modules)
            source, effect = call.tensors[0], call.effect
            culprit = overwritten or moved.get(source)
            if effect is Effect.SCALES and culprit is not None:
                raise UnfollowableError(
                    culprit,
                    f"it turns a removed feature from zero into another constant, which "
                    f"{self.graph.name(node)!r} then counts; no edit of weights removes that.",
                )
            if effect is Effect.MOVES_ZERO:
                culprit = self.graph.name(node)
                overwritten = culprit if call.in_place else overwritten
            if culprit is not None:
                moved[node] = culprit

    def _check_calls(self) -> None:
        """Refuse a Linear of which some calls touch the features and others do not."""
        calls: dict[int, list[fx.Node]] = defaultdict(list)
        for node in self.graph.nodes:
            linear = self.graph.linear(node)
            if linear is not None:
                calls[id(linear)].append(node)
        for nodes in calls.values():
            for role in (self.writers, self.readers):
                if 0 < len(role.intersection(nodes)) < len(nodes):
                    raise UnfollowableError(
                        self.graph.name(nodes[0]),
                        f"it is called {len(nodes)} times, and only some of the calls touch the features of "
                        f"{self.layer!r}; an edit would change the others too.",
                    )

    def _refusal(self, node: fx.Node, does: str) -> UnfollowableError:
        name = self.graph.name(node)
        module = self.graph.modules[name] if node.op == "call_module" else None
        if module is not None and parametrize.is_parametrized(module):
            return UnfollowableError(
                name,
                "its weight is parametrized, so an edit would be overwritten; make it plain first with "
                "torch.nn.utils.parametrize.remove_parametrizations.",
            )
        if module is not None and "forward" in vars(module):
            return UnfollowableError(name, FORWARD_REPLACED)
        if node.target is functional.linear:
            return UnfollowableError(
                name,
                "it multiplies by a weight outside a plain nn.Linear (a subclass of it is not plain), and "
                "only weights of plain Linears are edited.",
            )
        what = f"a {type(module).__name__}" if module is not None else f"the operation {operation(node)!r}"
        return UnfollowableError(
            name,
            f"it {does} the features of {self.layer!r}, and what {what} does to single features is not known "
            f"here. Features are followed through Linear, elementwise functions, dropout and L2 "
            f"normalisation (dim=-1, keepdim=True); choose a layer between two Linears.",
        )

    def _linear(self, path: str) -> nn.Linear:
        module = self.graph.modules[path]
        assert isinstance(module, nn.Linear)
        return module

    def _names(self, nodes: set[fx.Node]) -> tuple[str, ...]:
        """The names of some nodes, each once, in the order of execution."""
        return tuple(dict.fromkeys(self.graph.name(node) for node in self.graph.nodes if node in nodes))
