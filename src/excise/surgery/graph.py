"""A model's forward pass as a graph of operations, recorded without running it (torch.fx).

The pass is recorded on a copy, because a forward pass may store what it computes, count its calls or draw
random numbers, and the user's model must not notice. It is recorded as it runs in the model's present mode
(training or evaluation), and every argument after the first that has a default is taken to have it. Forward
hooks are neither run nor seen. Tensors are stood in for by proxies, which are no `torch.Tensor`: of a branch on
`isinstance(x, torch.Tensor)` or `torch.is_tensor(x)`, the side for what is no tensor is recorded.
"""

import inspect
import operator
import os
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import jaxtyping
import torch
from torch import fx, nn
from torch.utils._pytree import tree_leaves

from excise.errors import UnfollowableError
from excise.surgery.copying import copied, same_randomness

__all__ = ["ForwardGraph", "record"]


@dataclass(frozen=True)
class ForwardGraph:
    """A recorded forward pass.

    Attributes:
        model: the copy of the model on which it was recorded.
        nodes: the operations, in the order of execution.
        modules: the modules of the copy, by every path that leads to them.
        outputs: for each module called, by path, the node of each call's output; None where that is not a
            single tensor.
        touched: for each module called, by path, what goes into it and what comes out.
    """

    model: nn.Module
    nodes: tuple[fx.Node, ...]
    modules: Mapping[str, nn.Module]
    outputs: Mapping[str, list[fx.Node | None]]
    touched: Mapping[str, set[fx.Node]]

    def linear(self, node: fx.Node) -> nn.Linear | None:
        """The Linear that `node` calls; None for all else, subclasses included, whose forward may differ."""
        module = self.modules[str(node.target)] if node.op == "call_module" else None
        return module if type(module) is nn.Linear else None

    def name(self, node: fx.Node) -> str:
        """The module path of `node`, or the operation and the module in whose forward pass it stands."""
        if node.op == "call_module":
            return str(node.target)
        inside = [path for path, _ in node.meta.get("nn_module_stack", {}).values() if path]
        return f"{inside[-1]} ({operation(node)})" if inside else operation(node)

    def attribute(self, node: fx.Node) -> object:
        """What a node that reads an attribute of the model reads."""
        value: object = self.model
        for part in str(node.target).split("."):
            value = getattr(value, part)
        return value


def operation(node: fx.Node) -> str:
    """The plain name of the function or method that `node` calls."""
    return str(getattr(node.target, "__name__", node.target))


def record(model: nn.Module) -> ForwardGraph:
    """The forward pass of `model`, which is not changed.

    Raises:
        SurgeryError: the model cannot be copied.
        UnfollowableError: its control flow depends on data, or a parameter has no shape yet.
    """
    for name, parameter in model.named_parameters():
        if nn.parameter.is_lazy(parameter):
            raise UnfollowableError(
                name, "it has no shape before the first batch; call the model once, then edit."
            )
    shadow = copied(model)
    recorder = _Recorder()
    try:
        with same_randomness(model), _unchecked_shapes():
            graph = recorder.trace(shadow, _defaults(type(model).forward))
    # Recording runs the user's own forward pass, which may raise anything.
    except Exception as error:
        raise UnfollowableError(
            type(model).__name__,
            f"torch.fx cannot follow {_user_line(error)} ({type(error).__name__}: {error}). Control "
            f"flow that depends on data has no fixed graph; pass a smaller module that holds the layer, its "
            f"writer and its readers.",
        ) from error
    modules = dict(shadow.named_modules(remove_duplicate=False))
    return ForwardGraph(shadow, tuple(graph.nodes), modules, recorder.outputs, recorder.touched)


class _Proxy(fx.Proxy):
    """Tells `x += y` from `x = x + y`: the first changes the tensor for all who hold it."""

    def _overwrite(self, how: Callable[..., Any], other: object) -> fx.Proxy:
        return self.tracer.create_proxy("call_function", how, (self, other), {})

    def __iadd__(self, other: object) -> fx.Proxy:
        return self._overwrite(operator.iadd, other)

    def __isub__(self, other: object) -> fx.Proxy:
        return self._overwrite(operator.isub, other)

    def __imul__(self, other: object) -> fx.Proxy:
        return self._overwrite(operator.imul, other)

    def __itruediv__(self, other: object) -> fx.Proxy:
        return self._overwrite(operator.itruediv, other)


class _Recorder(fx.Tracer):
    """Remembers what goes into and comes out of every module, also of those that fx inlines."""

    def __init__(self) -> None:
        super().__init__()
        self.outputs: dict[str, list[fx.Node | None]] = {}
        self.touched: dict[str, set[fx.Node]] = {}

    def proxy(self, node: fx.Node) -> fx.Proxy:
        return _Proxy(node, self)

    def call_module(self, m: nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:  # noqa: ANN401, ARG002 - fx's own
        # fx would pass a `forward` that runs the user's hooks on its proxies.
        output = super().call_module(m, m.forward, args, kwargs)
        node = output.node if isinstance(output, fx.Proxy) else None
        path = self.path_of_module(m)
        self.outputs.setdefault(path, []).append(node)
        # A plain fx.Proxy would be an attribute of one, which becomes a node only when it is asked for it.
        proxies = [leaf for leaf in tree_leaves((args, kwargs, output)) if isinstance(leaf, _Proxy)]
        self.touched.setdefault(path, set()).update(proxy.node for proxy in proxies)
        return output


def _defaults(forward: Callable[..., Any]) -> dict[str, Any]:
    """The arguments of `forward` after the first (and `self`) that have a plain default.

    Recorded as inputs, they would be neither None nor False.
    """
    parameters = list(inspect.signature(forward).parameters.values())[2:]
    plain = (type(None), bool, int, float, str)
    return {
        parameter.name: parameter.default for parameter in parameters if isinstance(parameter.default, plain)
    }


@contextmanager
def _unchecked_shapes() -> Iterator[None]:
    """Switch jaxtyping's run-time checks off: a proxy in a traced pass is no tensor to them."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", before)


def _user_line(error: Exception) -> str:
    ours_and_torchs = (os.path.dirname(torch.__file__) + os.sep, __file__)
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if not frame.filename.startswith(ours_and_torchs):
            return f"{frame.filename}, line {frame.lineno}: `{frame.line}`"
    return "its forward pass"
