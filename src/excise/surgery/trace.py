"""Who writes the features of a place, which tensors carry them, who reads them: found by following the data flow."""

from dataclasses import dataclass, field

from torch import nn

from excise.compute import suited_to
from excise.surgery.editable import check_asked
from excise.surgery.examples import ExampleInputs, Examples, examples_for
from excise.surgery.flow import Flow, Role, follow
from excise.surgery.operations import find_rule
from excise.surgery.places import find_place
from excise.surgery.recording import record

__all__ = ["Part", "Trace", "describe", "follow_features", "trace"]

_MOST_LISTED = 12


@dataclass(frozen=True)
class Part:
    """A parameter, or another tensor that a module holds, that has to do with the features.

    Attributes:
        name: its path, as in `model.named_parameters()`.
        axes: where the features lie in it: (0,) for rows, (1,) for columns, more where they are spread.
        shape: its shape.
        role: "writes", "reads" or "scales" (statistics of a norm, a divisor).
    """

    name: str
    axes: tuple[int, ...]
    shape: tuple[int, ...]
    role: str


@dataclass(frozen=True)
class Trace:
    """The data flow around one place.

    Attributes:
        layer: the place that was asked about.
        width: how many features it has.
        carriers: the operations whose results hold the features, in the order of execution, as "module:operation".
        parts: the parameters and buffers that write, scale or read them.
        example: the shapes of what the model was run on.
    """

    layer: str
    width: int
    carriers: tuple[str, ...]
    parts: tuple[Part, ...]
    example: str = field(default="", compare=False)

    @property
    def writers(self) -> tuple[str, ...]:
        """The parameters that write the features, by path."""
        return self._names("writes")

    @property
    def readers(self) -> tuple[str, ...]:
        """The parameters that read the features, by path."""
        return self._names("reads")

    def _names(self, role: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(part.name for part in self.parts if part.role == role))

    def __str__(self) -> str:
        """The data flow, a line a role."""
        lines = [f"{self.layer}: {self.width} features"]
        for title, names in (
            ("written by", self.writers),
            ("carried by", self.carriers),
            ("scaled by", self._names("scales")),
            ("read by", self.readers),
        ):
            if names:
                more = f" and {len(names) - _MOST_LISTED} more" if len(names) > _MOST_LISTED else ""
                lines.append(f"  {title:11} {', '.join(names[:_MOST_LISTED])}{more}")
        return "\n".join(lines)


def trace(
    model: nn.Module, layer: str, example_inputs: ExampleInputs | None = None, *, axis: int | None = None
) -> Trace:
    """Find who writes, who carries and who reads the features of a place.

    The model is run once, on a copy and in evaluation mode. What its Python code does on these inputs is what is
    followed; a branch on the features themselves is refused.

    Args:
        model: any module; it is not changed.
        layer: a module's path as in `model.named_modules()`, for its output (the first tensor of it); or
            "path:operation" for an operation in a module's own forward pass, such as "encoder:normalize".
        example_inputs: what the model is called with: a tensor, a tuple of arguments, or a dict of keyword arguments.
            A few small ones are best. None tries what the first layers with weights would take.
        axis: where the features lie in the output; None is the channel axis behind convolutions, the last one
            elsewhere.

    Raises:
        UnknownLayerError: the model has no such place.
        SettingError: the model is no module, the layer no string, or it lacks the axis.
        UnfollowableError: the layer did not run, or its features come to an operation that has no rule, to a branch of
            Python code, or from an input of the model; what is in the way is named, with its line.
        SurgeryError: the model is compiled or scripted, cannot be copied, or does not run on the example inputs.
    """
    check_asked(model, layer)
    with suited_to(model):
        return describe(follow_features(model, layer, examples_for(model, example_inputs), axis))


def follow_features(model: nn.Module, layer: str, examples: Examples, axis: int | None) -> Flow:
    """The features of a place, followed through a recorded pass; raises what `trace` raises."""
    recording = record(model, examples)
    return follow(recording, layer, find_place(recording, layer, axis), find_rule)


def describe(flow: Flow) -> Trace:
    """A flow as a trace."""
    carriers = [
        str(call) for call in flow.recording.calls if any(flow.held.get(output) for output in call.outputs)
    ]
    roles = {Role.CARRIES: "writes", Role.READS: "reads", Role.SCALES: "scales"}
    parts = [
        Part(name, array.axes, value.shape, roles[array.role])
        for name, value in flow.recording.leaves.items()
        for array in flow.all_of(value)
    ]
    return Trace(flow.place, flow.features.count, tuple(dict.fromkeys(carriers)), tuple(dict.fromkeys(parts)))
