"""Who writes a layer's features and who reads them, found by following the data flow.

The model is traced symbolically (torch.fx), so no example inputs are needed and the order in which modules are
registered means nothing. From the layer's output the trace walks both ways through operations that carry features
on (see `rules`), to the Linears that write them and the Linears that read them. What it cannot follow it refuses,
naming the module or operation in the way: a wrong edit would be worse than none.
"""

import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import fx, nn
from torch.nn.utils import parametrize

from excise.activations import find_layer
from excise.errors import UnfollowableError
from excise.surgery.rules import Effect, carried_input, effect_of

__all__ = ["Trace", "trace"]


@dataclass(frozen=True)
class Trace:
    """The data flow around one layer.

    Attributes:
        layer: the module whose output was asked about.
        width: how many features it has.
        writers: the Linears whose outputs are the features, by module path.
        carriers: the operations that carry the features, in the order of execution.
        readers: the Linears whose inputs are the features, by module path.
    """

    layer: str
    width: int
    writers: tuple[str, ...]
    carriers: tuple[str, ...]
    readers: tuple[str, ...]

    def __str__(self) -> str:
        """The data flow, a line a role."""
        return (
            f"{self.layer}: {self.width} features\n"
            f"  written by  {', '.join(self.writers)}\n"
            f"  carried by  {', '.join(self.carriers)}\n"
            f"  read by     {', '.join(self.readers)}"
        )


def trace(model: nn.Module, layer: str) -> Trace:
    """Find who writes and who reads the features of a layer.

    Args:
        model: a model that torch.fx can trace; it is not changed.
        layer: the module whose output holds the features on its last axis, as in `model.named_modules()`.

    Raises:
        UnknownLayerError: the model has no such layer.
        UnfollowableError: the forward pass cannot be traced, does not run the layer, or does something with its
            features that no rule covers; the module or operation in the way is named.
    """
    module = find_layer(model, layer)
    graph, outputs = _traced(model)
    places = outputs.get(id(module), [])
    if not places:
        raise UnfollowableError(layer, "the forward pass never calls it, so nothing is known of its features.")
    return _Walk(model, layer, graph).run(places)


class _Tracer(fx.Tracer):
    """Remembers the output of every module, also of those that fx inlines."""

    def __init__(self) -> None:
        super().__init__()
        self.outputs: dict[int, list[fx.Node]] = {}

    def call_module(self, m: nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:  # noqa: ANN401
        output = super().call_module(m, forward, args, kwargs)
        nodes = self.outputs.setdefault(id(m), [])
        if isinstance(output, fx.Proxy):
            nodes.append(output.node)
        return output


def _traced(model: nn.Module) -> tuple[fx.Graph, dict[int, list[fx.Node]]]:
    tracer = _Tracer()
    try:
        graph = tracer.trace(model)
    # Tracing runs the user's own forward pass, which may raise anything.
    except Exception as error:
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "torch" not in frame.filename]
        where = f"{frames[-1].filename}, line {frames[-1].lineno}: {frames[-1].line}" if frames else "its forward pass"
        raise UnfollowableError(
            type(model).__name__,
            f"torch.fx cannot follow {where} ({type(error).__name__}: {error}). Control flow that depends on data "
            f"has no fixed graph; pass a smaller module that holds the layer, its writer and its readers.",
        ) from error
    return graph, tracer.outputs


class _Walk:
    """One walk through a graph, from a layer's output to all writers and readers of its features."""

    def __init__(self, model: nn.Module, layer: str, graph: fx.Graph) -> None:
        self.layer = layer
        self.graph = graph
        self.model = model
        self.modules: Mapping[str, nn.Module] = dict(model.named_modules(remove_duplicate=False))
        self.carriers: set[fx.Node] = set()
        self.measures: set[fx.Node] = set()

    def run(self, places: list[fx.Node]) -> Trace:
        pending = list(places)
        writers: set[fx.Node] = set()
        readers: set[fx.Node] = set()
        while pending:
            node = pending.pop()
            if node in self.carriers:
                continue
            self.carriers.add(node)
            if self._linear(node) is not None:
                writers.add(node)
            else:
                pending.append(self._source(node))
            for user in node.users:
                if self._linear(user) is not None:
                    readers.add(user)
                elif self._effect_on(user, node) is Effect.MEASURES:
                    self._check_measure(user, node)
                else:
                    pending.append(user)
        if not readers:
            raise UnfollowableError(self.layer, "no Linear reads its features.")
        self._check_zeros()
        self._check_calls(writers, readers)
        written, read = self._paths(writers), self._paths(readers)
        linears = [self._module(path) for path in written]
        width = linears[0].out_features
        assert all(linear.out_features == width for linear in linears)
        assert all(self._module(path).in_features == width for path in read)
        for path in dict.fromkeys((*written, *read)):
            self._check_editable(path)
        ordered = [self._name(node) for node in self.graph.nodes if node in self.carriers]
        return Trace(self.layer, width, written, tuple(dict.fromkeys(ordered)), read)

    def _source(self, node: fx.Node) -> fx.Node:
        effect = effect_of(node, self.modules)
        if node.op == "placeholder":
            raise UnfollowableError(self._name(node), "the features are an input of the model; no Linear writes them.")
        if effect is None or effect is Effect.MEASURES:
            raise self._refusal(node, "writes")
        return carried_input(node)

    def _effect_on(self, user: fx.Node, carrier: fx.Node) -> Effect:
        if user.op == "output":
            raise UnfollowableError(
                self.layer,
                f"its features leave the model as an output (through {self._name(carrier)!r}), so cutting them "
                f"would change what the model returns.",
            )
        effect = effect_of(user, self.modules)
        if effect is None or carried_input(user) is not carrier:
            raise self._refusal(user, "reads")
        return effect

    def _refusal(self, node: fx.Node, does: str) -> UnfollowableError:
        name = self._name(node)
        module = self.modules.get(str(node.target)) if node.op == "call_module" else None
        if module is not None and parametrize.is_parametrized(module):
            return UnfollowableError(
                name,
                "its weight is parametrized, so an edit would be overwritten; make it plain first with "
                "torch.nn.utils.parametrize.remove_parametrizations.",
            )
        what = f"a {type(module).__name__}" if module is not None else f"the operation {_target_name(node)!r}"
        return UnfollowableError(
            name,
            f"it {does} the features of {self.layer!r}, and what {what} does to single features is not known here. "
            f"Features are followed through Linear, elementwise functions, dropout and L2 normalisation; choose "
            f"a layer between two Linears.",
        )

    def _check_measure(self, measure: fx.Node, carrier: fx.Node) -> None:
        """A norm of the features may only serve to divide them."""
        self.measures.add(measure)
        for user in measure.users:
            effect = effect_of(user, self.modules)
            if effect is Effect.SCALES and carried_input(user) is carrier:
                continue
            if effect in (Effect.KEEPS_ZERO, Effect.MOVES_ZERO) and carried_input(user) is measure:
                self._check_measure(user, carrier)
                continue
            raise self._refusal(user, "reads a norm of")

    def _check_zeros(self) -> None:
        """Refuse a norm over features of which the removed ones are no longer zero when they get there."""
        moved: dict[fx.Node, str] = {}
        for node in self.graph.nodes:
            if node not in self.carriers or self._linear(node) is not None:
                continue
            source, effect = carried_input(node), effect_of(node, self.modules)
            if effect is Effect.SCALES and source in moved:
                raise UnfollowableError(
                    moved[source],
                    f"it turns a removed feature from zero into another constant, which {self._name(node)!r} then "
                    f"counts; no edit of weights removes that.",
                )
            if effect is Effect.MOVES_ZERO:
                moved[node] = self._name(node)
            elif source in moved:
                moved[node] = moved[source]

    def _check_calls(self, writers: set[fx.Node], readers: set[fx.Node]) -> None:
        """Refuse a Linear of which some calls touch the features and others do not."""
        calls: dict[int, list[fx.Node]] = {}
        for node in self.graph.nodes:
            linear = self._linear(node)
            if linear is not None:
                calls.setdefault(id(linear), []).append(node)
        for nodes in calls.values():
            for role in (writers, readers):
                inside = [node in role for node in nodes]
                if any(inside) and not all(inside):
                    raise UnfollowableError(
                        self._name(nodes[0]),
                        f"it is called {len(nodes)} times, and only some of the calls touch the features of "
                        f"{self.layer!r}; an edit would change the others too.",
                    )

    def _check_editable(self, path: str) -> None:
        linear = self._module(path)
        for name in ("weight", "bias"):
            if linear._parameters.get(name) is None and getattr(linear, name, None) is not None:
                raise UnfollowableError(
                    path,
                    f"its {name} is computed anew at every call (weight or spectral normalisation), so an edit "
                    f"would be overwritten; remove the normalisation first.",
                )
        own = {id(parameter) for parameter in linear.parameters(recurse=False)}
        for other_path, other in self.model.named_modules():
            shared = own & {id(parameter) for parameter in other.parameters(recurse=False)}
            if other is not linear and shared:
                raise UnfollowableError(path, f"it shares a parameter with {other_path!r}; an edit would change both.")
        for node in self.graph.nodes:
            if node.op == "get_attr" and id(_attribute(self.model, str(node.target))) in own:
                raise UnfollowableError(
                    path, f"the forward pass also uses its parameter {node.target!r} directly, outside the Linear."
                )

    def _linear(self, node: fx.Node) -> nn.Linear | None:
        module = self.modules.get(str(node.target)) if node.op == "call_module" else None
        return module if type(module) is nn.Linear else None

    def _module(self, path: str) -> nn.Linear:
        module = self.modules[path]
        assert isinstance(module, nn.Linear)
        return module

    def _paths(self, nodes: set[fx.Node]) -> tuple[str, ...]:
        ordered = [str(node.target) for node in self.graph.nodes if node in nodes]
        return tuple(dict.fromkeys(ordered))

    def _name(self, node: fx.Node) -> str:
        """The module path of a node, or the operation and the module in whose forward pass it stands."""
        if node.op == "call_module":
            return str(node.target)
        stack = node.meta.get("nn_module_stack") or {}
        inside = [path for path, _ in stack.values() if path] if stack else []
        operation = _target_name(node)
        return f"{inside[-1]} ({operation})" if inside else operation


def _target_name(node: fx.Node) -> str:
    return str(getattr(node.target, "__name__", node.target))


def _attribute(model: nn.Module, path: str) -> object:
    value: object = model
    for part in path.split("."):
        value = getattr(value, part)
    return value
