"""One forward pass, written down: every operation on tensors, with the module and the line it stands in.

The model runs as it is, on example inputs, under a `TorchFunctionMode` that sees each call of torch's interface:
linear, view, scaled_dot_product_attention. So nothing about a model's code is forbidden: it may branch on shapes,
build lists, call modules twice. What depends on the values of the inputs is recorded as it went for these ones; a
branch on features that are to be edited is refused later, by the line it stands in.

It costs one forward pass and holds its activations until the recording is made. Use few and small examples.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import jaxtyping
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from excise.errors import SurgeryError
from excise.surgery.copying import copied, same_randomness, state_of
from excise.surgery.examples import Examples, tensors_in
from excise.surgery.origins import origins_noted
from excise.surgery.replacements import NarrowedAttention, NarrowedLayerNorm, set_module, take_over_hooks
from excise.surgery.rms import looks_like_rms_norm

__all__ = ["Call", "Recording", "Value", "is_counted", "map_nested", "record"]

_SEEN_WITHOUT_VALUES = {
    "shape", "size", "dim", "ndim", "ndimension", "numel", "nelement", "stride", "dtype", "device", "layout", "is_cuda",
    "requires_grad", "is_leaf", "grad", "grad_fn", "names", "is_floating_point", "is_complex", "is_contiguous", "hash",
    "get_device", "element_size", "storage_offset", "data_ptr", "is_sparse", "is_quantized", "is_meta", "is_nested",
    "requires_grad_", "is_mkldnn", "is_signed", "untyped_storage", "can_cast", "is_pinned", "_version", "version",
    "len",
    "is_inference", "is_same_size", "broadcast_shapes", "result_type", "promote_types", "finfo", "itemsize", "nbytes",
    "is_cpu", "is_xpu", "is_mps", "is_xla", "is_vulkan", "is_ort", "is_ipu", "is_mtia", "base", "is_view", "repr",
    "format",
    "is_conj", "is_neg", "is_tensor", "is_storage", "deepcopy", "output_nr", "backward_hooks", "set_", "dim_order",
}  # fmt: skip
"""What may be asked of a tensor without learning its values."""


@dataclass(eq=False, slots=True)
class Value:
    """A tensor of the recorded pass, without its numbers.

    Attributes:
        shape: its shape.
        dtype: its type.
        source: where it comes from: an input of the model, a parameter or buffer of it (`leaf`), a tensor that was
            there before and belongs to no module (`constant`), or a call.
        name: of a leaf, its path.
        data: the numbers of an index or a mask; None for floating-point tensors.
        users: the calls that take it.
        maker: the call that made it.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype
    source: Literal["input", "leaf", "constant", "call"]
    name: str = ""
    data: Tensor | None = None
    users: list["Call"] = field(default_factory=list)
    maker: "Call | None" = None

    @property
    def ndim(self) -> int:
        """How many axes it has."""
        return len(self.shape)


@dataclass(eq=False, slots=True)
class Call:
    """One operation of the recorded pass.

    Attributes:
        name: the operation's plain name, such as "linear" or "add" (also for `+`, `add_` and `+=`).
        function: what was called.
        args: its arguments; tensors are `Value`s.
        kwargs: its keyword arguments.
        outputs: the tensors it gave.
        module: the path of the module in whose forward pass it stands; "" for the model itself.
        line: the file and the line of the caller.
        in_place: whether it wrote into its first argument.
        aliased: whether that is a view, so that the tensor behind it changed too.
        index: its place among the calls.
        serial: how many operations were seen before it, those inside a norm that counts as one included.
        values: all tensors that go in, in the order of the arguments.
    """

    name: str
    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    outputs: tuple[Value, ...]
    module: str
    line: tuple[str, int]
    in_place: bool = False
    aliased: bool = False
    index: int = -1
    serial: int = -1
    values: tuple[Value, ...] = ()

    def __post_init__(self) -> None:
        """Find the tensors among the arguments once, since rules ask for them again and again."""
        found: list[Value] = []
        map_nested(
            (self.args, self.kwargs), lambda leaf: found.append(leaf) if isinstance(leaf, Value) else None
        )
        self.values = tuple(found)

    @property
    def out(self) -> Value:
        """Its first output."""
        return self.outputs[0]

    def argument(self, position: int, name: str, default: object = None) -> Any:  # noqa: ANN401 - whatever the caller gave
        """An argument by its position or its name."""
        return self.args[position] if position < len(self.args) else self.kwargs.get(name, default)

    def __str__(self) -> str:
        """Where it stands, for people."""
        return f"{self.module}:{self.name}" if self.module else f":{self.name}"


@dataclass(eq=False)
class Recording:
    """A recorded forward pass.

    Attributes:
        model: the copy of the model that was run; its tensors are those of the leaves.
        calls: the operations, in order.
        leaves: parameters, buffers and other tensors that modules hold, by their first path.
        tensors: the same as tensors.
        paths: every path of each leaf (more than one where it is tied), by its first.
        parametrized: the leaves that are computed from other parameters by `torch.nn.utils.parametrize`.
        outputs: the tensors that the model returned.
        results: for each module, by path, the first tensor of each of its outputs.
        reads: the calls that took a number out of a tensor into Python.
        modules: the modules of the copy, by every path.
        rms_norms: the eps attribute and the offset of the gain, for modules found to compute an RMS norm.
        parameters: for those leaves that are parameters, or are computed from some, the shapes of these.
        opened: attention modules of torch that were put as single operations for the recording, by path.
        coarsest: the least precise floating-point type that the pass computes in.
        restore: puts the copy of the model back into the state it had before the pass.
    """

    model: nn.Module
    calls: list[Call]
    leaves: dict[str, Value]
    tensors: dict[str, Tensor]
    paths: dict[str, tuple[str, ...]]
    parametrized: frozenset[str]
    outputs: list[Value]
    results: dict[str, list[Value]]
    reads: list[Call]
    modules: dict[str, nn.Module]
    rms_norms: dict[str, tuple[str, float]]
    parameters: dict[str, list[tuple[int, ...]]]
    opened: tuple[str, ...]
    coarsest: torch.dtype
    restore: Callable[[], None]

    def release(self) -> nn.Module | None:
        """Let go of the copy of the model, when only names and shapes are needed any more.

        It is given back to be used up, unless attention modules were opened in it, so that it is no true copy.
        """
        self.restore()
        self.restore = lambda: None  # It holds the copy.
        spare = None if self.opened else self.model
        self.model = nn.Module()
        self.tensors.clear()
        self.modules.clear()
        for call in self.calls:
            call.function = type(call)
        return spare


def record(model: nn.Module, examples: Examples) -> Recording:
    """Run a copy of the model, in evaluation mode, and write down what it does.

    Raises:
        SurgeryError: the model cannot be copied or does not run on the example inputs.
    """
    shadow = copied(model).eval()
    config: Any = getattr(shadow, "config", None)
    if getattr(
        config, "use_cache", False
    ):  # Keys and values that only leave in a cache would be followed for nothing.
        config.use_cache = False
    opened = _open_attention(shadow)
    recorder = _Recorder(shadow)
    restore = state_of(shadow, model)
    with torch.no_grad(), same_randomness(model), ExitStack() as stack:
        stack.enter_context(parametrize.cached())
        recorder.find_leaves()
        arguments, keywords = examples.copies()
        for leaf in tree_leaves((arguments, keywords)):
            if isinstance(leaf, Tensor):
                recorder.note(leaf, "input")
        stack.enter_context(origins_noted(shadow))
        stack.enter_context(recorder.inside_modules())
        stack.enter_context(recorder)
        try:
            output = shadow(*arguments, **keywords)
        # The user's own forward pass may raise anything.
        except Exception as error:
            raise SurgeryError(
                f"this {type(model).__name__} does not run on the example inputs ({examples.shapes()}): "
                f"{type(error).__name__}: {error}. Give them as the model takes them: a tensor, a tuple of "
                f"arguments or a dict of keyword arguments."
            ) from error
    returned = tensors_in(output)
    restore()
    if not returned:
        raise SurgeryError(
            f"this {type(model).__name__} gives no tensor back, but a {type(output).__name__}, so that no edit of it "
            f"can be checked; wrap it in a module that returns the tensors that matter."
        )
    return recorder.finish([recorder.value(tensor) for tensor in returned], opened, restore)


def _open_attention(model: nn.Module) -> tuple[str, ...]:
    """Put `NarrowedAttention` in the place of torch's attention, whose operations cannot be seen."""
    found = [
        path
        for path, module in model.named_modules()
        if isinstance(module, nn.MultiheadAttention) and NarrowedAttention.covers(module)
    ]
    for path in found:
        old = model.get_submodule(path)
        assert isinstance(old, nn.MultiheadAttention)
        new = NarrowedAttention(old)
        take_over_hooks(old, new)
        set_module(model, path, new)
    return tuple(found)


def map_nested(value: Any, change: Callable[[Any], Any]) -> Any:  # noqa: ANN401 - arguments of any kind
    """`value` with `change` done to everything in its tuples, lists, dicts and slices."""
    if isinstance(value, torch.Size):
        return tuple(change(item) for item in value)
    if isinstance(value, tuple | list):
        return (
            type(value)([map_nested(item, change) for item in value])
            if type(value) in (tuple, list)
            else tuple(map_nested(item, change) for item in value)
        )
    if isinstance(value, dict):
        return {key: map_nested(item, change) for key, item in value.items()}
    if isinstance(value, slice):
        return slice(*(map_nested(part, change) for part in (value.start, value.stop, value.step)))
    return change(value)


def is_counted(function: Any, args: tuple[Any, ...], result: object) -> Tensor | bool | None:  # noqa: ANN401 - any of torch's
    """Whether an operation gives tensors: the tensor that it wrote into, or True; None where it gives none."""
    name, in_place = _plain(function)
    if name in _SEEN_WITHOUT_VALUES:
        return None
    if in_place and args and isinstance(args[0], Tensor):
        return args[0]
    if any(result is given for given in args):  # `x.float()` of what is float already, a dropout that is off
        return None
    return True if any(isinstance(leaf, Tensor) for leaf in tree_leaves(result)) else None


class _Recorder(TorchFunctionMode):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.calls: list[Call] = []
        self.reads: list[Call] = []
        self.known: dict[int, Value] = {}
        self.alive: list[Tensor] = []
        self.leaves: dict[str, Value] = {}
        self.tensors: dict[str, Tensor] = {}
        self.paths: dict[str, tuple[str, ...]] = {}
        self.parametrized: set[str] = set()
        self.parameters: dict[str, list[tuple[int, ...]]] = {}
        self.results: dict[str, list[Value]] = {}
        self.serial = 0
        self.coarsest = torch.float64
        self.stack: list[tuple[str, int]] = [("", 0)]
        self.rms_norms: dict[str, tuple[str, float]] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # noqa: ANN401 - torch's protocol has no types
        """See torch; whatever is called may take and give anything."""
        kwargs = kwargs or {}
        name, _ = _plain(func)
        if name in _SEEN_WITHOUT_VALUES:
            return func(*args, **kwargs)
        if name == "iter":
            with self:
                return iter(args[0].unbind(0))
        before = map_nested(args, self._described), map_nested(kwargs, self._described)
        result = func(*args, **kwargs)
        target = is_counted(func, args, result)
        in_place = isinstance(target, Tensor)
        aliased = isinstance(target, Tensor) and target._is_view()
        call = Call(name, func, *before, (), self.stack[-1][0], _caller(), in_place, aliased)
        if target is None:
            if call.values and not any(result is given for given in args):
                self.reads.append(call)
            return result
        given = (
            [target]
            if isinstance(target, Tensor)
            else [t for t in tree_leaves(result) if isinstance(t, Tensor)]
        )
        call.serial = self.serial
        self.serial += 1
        call.outputs = tuple(self.note(tensor, "call", maker=call) for tensor in given)
        self.calls.append(call)
        return result

    def note(self, tensor: Tensor, source: Any, name: str = "", maker: Call | None = None) -> Value:  # noqa: ANN401 - see Value
        """The value that stands for `tensor` from now on."""
        shape, kept = tuple(int(size) for size in tensor.shape), not tensor.is_floating_point()
        value = Value(shape, tensor.dtype, source, name, tensor if kept else None, [], maker)
        if not kept and torch.finfo(tensor.dtype).eps > torch.finfo(self.coarsest).eps:
            self.coarsest = tensor.dtype
        self.known[id(tensor)] = value
        self.alive.append(tensor)
        return value

    def value(self, tensor: Tensor) -> Value:
        """The value that stands for `tensor`; one seen for the first time was there before."""
        return self.known.get(id(tensor)) or self.note(tensor, "constant")

    def _described(self, leaf: object) -> object:
        return self.value(leaf) if isinstance(leaf, Tensor) else leaf

    def find_leaves(self) -> None:
        """Name the tensors that the modules hold; of a parametrized one, what the modules see."""
        for path, module in self.model.named_modules(remove_duplicate=True):
            prefix = f"{path}." if path else ""
            if isinstance(module, parametrize.ParametrizationList) or _inside_parametrization(path):
                continue
            held = {**module._parameters, **module._buffers}
            if parametrize.is_parametrized(module):
                assert isinstance(module.parametrizations, nn.ModuleDict)
                computed = {name: getattr(module, name) for name in module.parametrizations}
                self.parametrized |= {prefix + name for name in computed}
                for name, chain in module.parametrizations.items():
                    self.parameters[prefix + name] = [tuple(p.shape) for p in chain.parameters()]
                held |= computed
            held |= {name: value for name, value in vars(module).items() if isinstance(value, Tensor)}
            for name, tensor in held.items():
                if tensor is None:
                    continue
                first = next((known for known, other in self.tensors.items() if other is tensor), None)
                if first is None:
                    self.tensors[prefix + name] = tensor
                    self.paths[prefix + name] = (prefix + name,)
                    self.leaves[prefix + name] = self.note(tensor, "leaf", prefix + name)
                    if isinstance(tensor, nn.Parameter):
                        self.parameters[prefix + name] = [tuple(tensor.shape)]
                else:
                    self.paths[first] += (prefix + name,)

    @contextmanager
    def inside_modules(self) -> Iterator[None]:
        """Keep track of the module in whose forward pass an operation stands."""
        with ExitStack() as stack:
            for path, module in self.model.named_modules():
                before = module.register_forward_pre_hook(self._entering(path), prepend=True)
                stack.callback(before.remove)
                after = module.register_forward_hook(self._leaving(path), always_call=True)
                stack.callback(after.remove)
            yield

    def _entering(self, path: str) -> Callable[..., None]:
        def enter(_module: nn.Module, _args: object) -> None:
            self.stack.append((path, len(self.calls)))

        return enter

    def _leaving(self, path: str) -> Callable[..., None]:
        def leave(module: nn.Module, args: tuple[object, ...], output: object) -> None:
            _, first = self.stack.pop()
            tensors = [leaf for leaf in tree_leaves(output) if isinstance(leaf, Tensor)]
            if not tensors:
                return
            source = args[0] if args else None
            if isinstance(source, Tensor) and len(tensors) == 1 and id(source) in self.known:
                if isinstance(module, NarrowedLayerNorm):
                    self._as_one("narrowed_layer_norm", path, source, tensors[0], first)
                with torch._C.DisableTorchFunction():
                    found = self.rms_norms.get(path) or looks_like_rms_norm(module, source)
                if found:
                    self._as_one("rms_norm_module", path, source, tensors[0], first)
                    self.rms_norms[path] = found
            self.results.setdefault(path, []).append(self.value(tensors[0]))

        return leave

    def _as_one(self, name: str, path: str, source: Tensor, output: Tensor, first: int) -> None:
        """Put one call in the place of those inside a module that is known as a whole."""
        inside = self.calls[first:]
        line = inside[0].line if inside else ("", 0)
        del self.calls[first:]
        module = self.model.get_submodule(path)
        own = (self.known[id(parameter)] for parameter in module.parameters(recurse=False))
        arguments = self.known[id(source)], *own
        call = Call(name, module.forward, arguments, {}, (), path, line, serial=self.serial - 1)
        call.outputs = (self.note(output, "call", maker=call),)
        self.calls.append(call)

    def finish(self, outputs: list[Value], opened: tuple[str, ...], restore: Callable[[], None]) -> Recording:
        """The recording; numbers that nothing needs any more are let go."""
        for index, call in enumerate(self.calls):
            call.index = index
            for value in dict.fromkeys(call.values):
                value.users.append(call)
        self.alive.clear()
        return Recording(
            self.model,
            self.calls,
            self.leaves,
            self.tensors,
            self.paths,
            frozenset(self.parametrized),
            outputs,
            self.results,
            self.reads,
            dict(self.model.named_modules(remove_duplicate=False)),
            self.rms_norms,
            self.parameters,
            opened,
            self.coarsest,
            restore,
        )


def _inside_parametrization(path: str) -> bool:
    return "parametrizations" in path.split(".")


def _plain(function: Any) -> tuple[str, bool]:  # noqa: ANN401 - anything torch calls a function
    """The plain name of a function of torch, and whether it writes into its first argument."""
    name = getattr(function, "__name__", "")
    if name in ("__get__", "__set__"):
        return getattr(function.__self__, "__name__", name), name == "__set__"
    dunder = name.startswith("__") and name.endswith("__")
    plain = name.strip("_")
    if dunder:
        if plain in (
            "iadd",
            "isub",
            "imul",
            "itruediv",
            "idiv",
            "ipow",
            "ifloordiv",
            "iand",
            "ior",
            "ixor",
            "imatmul",
        ):
            return plain[1:], True
        return plain, plain == "setitem"
    in_place = name.endswith("_") and not name.startswith("_") and name != "requires_grad_"
    return (name if name == "requires_grad_" else plain), in_place


_OURS_AND_TORCHS = (torch.__path__[0], __file__, jaxtyping.__path__[0], "<@beartype")


def _caller() -> tuple[str, int]:
    """The innermost line of code that is neither ours, nor torch's, nor of a type checker around ours."""
    frame = sys._getframe(2)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_OURS_AND_TORCHS):
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno
