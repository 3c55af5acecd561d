"""How Torch-Pruning is asked for a cut of the zoo: as its README says, with what a user could add who knows the model.

The README's steps are a dependency graph from the example inputs, the group of a layer's channels, a check of it and
`prune`. Added are, read off our own plan:

- `unwrapped_parameters`: for each parameter that no layer with a pruner holds, the axis that the features lie on.
- `output_transform`: the tensors among a model's outputs.
- Where the place is no layer that it has a pruner for, the last layer or raw parameter that writes just these features.
- A second try from the layer that reads the features, as its own pruner of attention heads makes.
- The whole numbers that modules keep as attributes (heads, widths), which the README leaves to the user; they are set
  where the pruned model does not run or computes something else.

No layer is ignored. No pruner is written for it, as no rule is for excise. Dims come as whole heads, so that
`num_heads` has nothing to choose; a bidirectional LSTM's come as its hidden units.
"""

import contextlib
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.surgery.zoo import Case, tensors
from torch import Tensor, nn

from excise.errors import SurgeryError
from excise.surgery import plan
from excise.surgery.edit import Edit
from excise.surgery.origins import Origin, set_origin
from excise.surgery.rewrite import Number
from excise.surgery.sizes import refresh_sizes

tp: Any = importlib.import_module("torch_pruning")


@dataclass(frozen=True)
class Request:
    """The path of a layer or raw parameter, and which of the channels go that it writes, or reads."""

    root: str
    dims: tuple[int, ...]
    reads: bool = False


@dataclass(frozen=True)
class Job:
    """One cut, and what a user would know of the model.

    Attributes:
        case: the cut.
        requests: the ways to ask for it, the most direct one first; none where there is no way.
        raw: the axis of the features in each parameter that no layer with a pruner holds.
        numbers: the attributes that follow the new widths.
    """

    case: Case
    requests: tuple[Request, ...]
    raw: Mapping[str, int]
    numbers: tuple[Number, ...]


def job_of(case: Case) -> Job:
    """A case as a job."""
    model = case.model()
    direct = case.layer in dict(model.named_modules()) and _has_pruner(model.get_submodule(case.layer))
    requests = [Request(case.layer, case.dims)] if direct else []
    try:
        edit = plan(model, case.layer, case.dims, "prune", case.example())
    except SurgeryError:
        return Job(case, tuple(requests), {}, ())
    writers, readers, raw = _ends(edit, model)
    if not requests:
        same = [writer for writer in writers if writer.dims == tuple(sorted(case.dims))]
        requests = ([way for way in same if way.root.startswith(f"{case.layer}.")] or same)[-1:]
    numbers = tuple(number for number in edit.rewrite.numbers if isinstance(number.after, int))
    return Job(case, (*requests, *(readers[:1] if requests else ())), raw, numbers)


def torch_pruned(
    model: nn.Module, example: tuple[Tensor, ...], request: Request, raw: Mapping[str, int]
) -> nn.Module:
    """The model, pruned in place.

    Raises:
        RuntimeError: its own check refuses the group; and whatever else it raises.
    """
    parameters = dict(model.named_parameters(remove_duplicate=False))
    root = parameters[request.root] if request.root in parameters else model.get_submodule(request.root)
    graph = tp.DependencyGraph().build_dependency(
        model,
        example_inputs=example,
        output_transform=tensors,
        unwrapped_parameters=[(parameters[name], axis) for name, axis in raw.items()],
        verbose=False,
    )
    pruner = graph.get_pruner_of_module(root)
    dims = list(request.dims)
    if isinstance(root, nn.LSTM):
        dims = sorted({dim % root.hidden_size for dim in dims})
    ask = pruner.prune_in_channels if request.reads else pruner.prune_out_channels
    group = graph.get_pruning_group(root, ask, idxs=dims)
    if not graph.check_pruning_group(group):
        raise RuntimeError("its own check says that a layer would lose all channels")
    group.prune(record_history=False)  # The history has no place for a raw parameter as the root.
    return model


def set_numbers(model: nn.Module, job: Job) -> None:
    """Do by hand what the README leaves to the user: set the attributes that follow the new widths."""
    for number in job.numbers:
        with contextlib.suppress(AttributeError):
            set_origin(model, Origin(number.path, number.attribute, number.position), number.after)
    refresh_sizes(model, {name.rpartition(".")[0] for name in job.raw})


def _ends(edit: Edit, model: nn.Module) -> tuple[list[Request], list[Request], dict[str, int]]:
    """The layers and raw parameters that write the features, the layers that read them, and the raw parameters."""
    parameters = dict(model.named_parameters())
    roles = {(part.name, axis): part.role for part in edit.report.trace.parts for axis in part.axes}
    writers: list[Request] = []
    readers: list[Request] = []
    raw: dict[str, int] = {}
    for shrink in edit.rewrite.shrinks:
        if shrink.name not in parameters or len(shrink.kept_shape) > 1:
            continue
        path, _, own = shrink.name.rpartition(".")
        layer, role = model.get_submodule(path), roles[shrink.name, shrink.axis]
        gone = tuple(sorted(set(range(shrink.before)) - set(shrink.kept)))
        if not _has_pruner(layer):
            raw.setdefault(shrink.name, shrink.axis)
            if role == "writes":
                writers.append(Request(shrink.name, gone))
        elif own == "weight" and role == "writes" and _width(layer, reads=False) == shrink.before:
            writers.append(Request(path, gone))
        elif own == "weight" and role == "reads" and _width(layer, reads=True) == shrink.before:
            readers.append(Request(path, gone, reads=True))
    return writers, readers, raw


def _has_pruner(module: nn.Module) -> bool:
    """Whether it has a rule for a module; what it does not know it takes for elementwise."""
    return tp.ops.module2type(module) is not tp.ops.OPTYPE.ELEMENTWISE


def _width(module: nn.Module, *, reads: bool) -> int:
    pruner = tp.DependencyGraph().get_pruner_of_module(module)
    return pruner.get_in_channels(module) if reads else pruner.get_out_channels(module)
