"""Writes a model as ONNX, and holds what onnxruntime computes from it against what the model computes."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from excise.compute import suited_to
from excise.errors import ExportError
from excise.export.batches import Batch
from excise.extras import require
from excise.record.files import write_atomically
from excise.surgery.copying import copied
from excise.surgery.examples import ExampleInputs, examples_for

__all__ = ["OnnxExport", "require_onnx", "to_onnx"]

PURPOSE = "export to ONNX"
TOLERANCE = {torch.float64: 1e-8, torch.float16: 1e-2, torch.bfloat16: 5e-2}
DEFAULT_TOLERANCE = 1e-4
LARGEST_FILE = 2**31 - 2**24
"""How many bytes of weights go into one ONNX file, whose format ends at 2 GB; some room is left for the graph."""


@dataclass(frozen=True)
class OnnxExport:
    """An ONNX file that was tried.

    Attributes:
        path: where it is.
        batch_sizes: with how many examples at once it was tried; none where it takes the example inputs' shapes only.
        largest_difference: how far an output of onnxruntime was from the model's, at most.
        tolerance: how far it might have been.
    """

    path: Path
    batch_sizes: tuple[int, ...]
    largest_difference: float
    tolerance: float

    def moved(self, folder: Path) -> "OnnxExport":
        """The same file in another folder."""
        return replace(self, path=folder / self.path.name)

    def __str__(self) -> str:
        sizes = ", ".join(map(str, self.batch_sizes))
        tried = f"with batches of {sizes}" if sizes else "on the example inputs"
        return (
            f"{self.path}: onnxruntime differs from the model by at most {self.largest_difference:.1e} (allowed: "
            f"{self.tolerance:.1e}), tried {tried}"
        )


def require_onnx() -> tuple[ModuleType, ModuleType]:
    """The packages onnx and onnxruntime.

    Raises:
        MissingExtraError: one that the export needs is not installed.
    """
    onnx = require("onnx", PURPOSE)
    require("onnxscript", PURPOSE)  # It imports onnx, so that a missing one is told by its own name above.
    return onnx, require("onnxruntime", PURPOSE)


def to_onnx(
    model: nn.Module, example_inputs: ExampleInputs, path: str | Path, *, batch_axis: int | None = 0
) -> OnnxExport:
    """Write a model, edited or not, as one ONNX file that takes batches of any size.

    The file is tried before it is kept: onnxruntime runs it on the example inputs and on other batch sizes, and each
    output may differ from the model's by 1e-4 (1e-8 in float64, 1e-2 in float16), times the largest output where that
    is above 1. What torch notes in the file about the source (paths, lines) is left out.

    Args:
        model: any module; a copy is exported, in evaluation mode and on the CPU.
        example_inputs: what the model is called with: a tensor, a tuple of arguments, or a dict of keyword arguments.
        path: the file to be written; one that is there is replaced.
        batch_axis: the axis of the inputs that counts examples: of every input that has as many as the first has
            there. None writes a file for the shapes of the example inputs and no others.

    Raises:
        MissingExtraError: onnx, onnxscript or onnxruntime is not installed.
        SettingError: the example inputs have no such axis.
        ExportError: torch cannot export the model, or onnxruntime does not run the file or computes something else.
        RunError: the file cannot be written.
    """
    onnx, _ = require_onnx()
    name, path = type(model).__name__, Path(path)
    shadow = copied(model).cpu().eval()
    size = sum(tensor.nbytes for tensor in (*shadow.parameters(), *shadow.buffers()))
    if size > LARGEST_FILE:
        raise ExportError(f"the weights of this {name} take {size / 2**30:.1f} GB; an ONNX file holds 2.")
    batch = Batch(examples_for(shadow, example_inputs).copies(), batch_axis)
    calls = [batch.of(count) for count in batch.sizes]
    with suited_to(shadow), _quiet():
        with torch.no_grad():
            wanted = [_tensors(copied(shadow)(*arguments, **keywords)) for arguments, keywords in calls]
        try:
            program = torch.onnx.export(
                shadow, calls[0][0], kwargs=calls[0][1], dynamo=True, verbose=False, external_data=False,
                dynamic_shapes=batch.dynamic_shapes(),
            )  # fmt: skip
            assert program is not None
            proto = program.model_proto
            for part in (proto.graph, *proto.functions):
                _forget_source(part)
            onnx.checker.check_model(proto)
            content = proto.SerializeToString()
        # Whatever the exporter stumbles over comes as an error of its own kind, often with pages of advice.
        except Exception as error:
            raise ExportError(
                f"torch cannot export this {name} to ONNX: {_reason(error)}. If its computation depends on how many "
                f"examples come at once, batch_axis=None exports it for the shapes of the example inputs."
            ) from error
        made = _tried(content, name, path, list(zip(batch.sizes, calls, wanted, strict=True)))
    write_atomically(path, lambda temporary: temporary.write_bytes(content))
    return made


def _tried(content: bytes, name: str, path: Path, batches: list[tuple[int, Any, list[Tensor]]]) -> OnnxExport:
    """Run a file on every batch and hold its outputs against the model's."""
    _, runtime = require_onnx()
    settings = runtime.SessionOptions()
    settings.log_severity_level = 4
    settings.intra_op_num_threads = torch.get_num_threads()
    largest, allowed = 0.0, 0.0
    try:
        session = runtime.InferenceSession(content, settings, providers=["CPUExecutionProvider"])
        names = [each.name for each in session.get_inputs()]
        came = [
            session.run(None, dict(zip(names, (each.numpy() for each in _tensors(call)), strict=True)))
            for _, call, _ in batches
        ]
    except Exception as error:
        raise ExportError(f"onnxruntime does not run the export of this {name}: {_reason(error)}.") from error
    for (size, _, ours), outputs in zip(batches, came, strict=True):
        if [list(output.shape) for output in outputs] != [list(tensor.shape) for tensor in ours]:
            raise ExportError(f"the export of this {name} gives other shapes than it for a batch of {size}.")
        for output, tensor in zip(outputs, ours, strict=True):
            one, other = tensor.double(), torch.from_numpy(output).double()
            difference = torch.where(one == other, 0.0, (one - other).abs())  # Infinities may be equal.
            difference = difference.masked_fill(one.isnan() & other.isnan(), 0.0)
            far = difference.max().item() if difference.numel() else 0.0
            scale = max(1.0, one.nan_to_num(0, 0, 0).abs().max().item()) if one.numel() else 1.0
            limit = TOLERANCE.get(tensor.dtype, DEFAULT_TOLERANCE) * scale
            if not far <= limit:
                raise ExportError(
                    f"the export of this {name} computes something else: with a batch of {size}, an output under "
                    f"onnxruntime is {far:.1e} from the model's, and {limit:.1e} are allowed. Nothing was written."
                )
            largest, allowed = max(largest, far), max(allowed, limit)
    return OnnxExport(path, tuple(size for size, _, _ in batches if size), largest, allowed)


def _tensors(tree: object) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def _forget_source(part: Any) -> None:  # noqa: ANN401 - a graph or a function, of a package that need not be there
    """Take out where in the source each node came from: paths of the machine that it was exported on."""
    del part.metadata_props[:]
    for value in (*getattr(part, "value_info", ()), *part.node):
        del value.metadata_props[:]
        value.doc_string = ""
    for node in part.node:
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                if inner.node:
                    _forget_source(inner)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep to itself what torch and onnxscript tell of their own insides while they export."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


def _reason(error: Exception) -> str:
    """The first line of the error beneath all others, which is the one that tells."""
    while isinstance(error.__cause__, Exception):
        error = error.__cause__
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}".rstrip(".: ") if lines else type(error).__name__
