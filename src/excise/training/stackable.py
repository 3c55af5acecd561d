"""What it takes to train models as one batch: what refuses to be stacked, and what is fed to a stack."""

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from excise.activations import capture
from excise.errors import ExciseError
from excise.stream import Batch, Stream, TensorStream

__all__ = ["OUTPUT", "CannotStackError", "compare", "refusals_told", "spare_models", "stacked_batches"]

OUTPUT = ""
"""Where, beside layers and buffers, the model's output stands: a name that no module has."""

_CLOSE = 1e-3
"""How near, beside the size of the numbers, a stacked forward pass comes to that of one model alone."""

_TAIL = 32
"""Numbers at the end of a tensor, fewer than this, that torch computes by other code than the rest."""


class CannotStackError(Exception):
    """These models, or their stream, cannot be trained as one batch; never leaves this room."""


@contextmanager
def refusals_told() -> Iterator[None]:
    """Let what torch refuses to do with a stack be the reason why these models are not trained as one."""
    try:
        yield
    except ExciseError:
        raise
    except (RuntimeError, ValueError, TypeError) as error:
        text = str(error).strip().splitlines()
        raise CannotStackError(text[0] if text else type(error).__name__) from error


def compare(
    models: Sequence[nn.Module], layers: Iterable[str], batch: Batch, stacked: Mapping[str, Tensor]
) -> None:
    """Hold what the first stacked forward pass gave, and left in the buffers, against each model run by itself.

    Args:
        models: as they were before the pass.
        layers: those that terms act on.
        batch: what the models of the stack were given, `[model, batch, ...]`.
        stacked: what layers and buffers then held, `[model, ...]`, by name, and the model's output if it is a tensor.

    Raises:
        CannotStackError: one of them differs.
        CaptureError: a layer with a term overwrites its output, which stacking hides.
    """
    layers = tuple(layers)
    for index, model in enumerate(models):
        with refusals_told(), torch.no_grad():
            alone = copy.deepcopy(model).train()
            with capture(alone, layers) as activations:
                output = alone(batch.inputs[index])
                found = {layer: activations[layer] for layer in layers}
        found |= dict(alone.named_buffers())
        if isinstance(output, Tensor):
            found[OUTPUT] = output
        for name, expected in found.items():
            given = stacked[name][index].detach()
            size = float(expected.abs().nan_to_num(0, 0, 0).max()) if expected.numel() else 0.0
            if not torch.allclose(given, expected, rtol=0, atol=_CLOSE * max(size, 1e-6), equal_nan=True):
                raise CannotStackError(
                    f"stacked, this {type(alone).__name__} computes something else than alone: "
                    f"{name or 'its output'} differs by {float((given - expected).abs().max()):.2g}."
                )


def spare_models(model: nn.Module, stream: Stream) -> int:
    """How many models more than asked a stack has at its end, where they are computed and dropped.

    Most of a tensor is computed some registers at a time, its last few numbers one by one, and the two may round
    otherwise. Those last few shall be none of a model that is asked for: what it becomes then does not depend on
    where it stands. At least one: a product of a single matrix, too, takes another path than one of several.
    """
    rows = len(stream) % stream.batch_size or stream.batch_size if isinstance(stream, TensorStream) else 1
    widths = [parameter.shape[0] for parameter in model.parameters() if parameter.ndim > 1]
    return -(-_TAIL // min(_TAIL, rows * min(widths, default=1)))


def stacked_batches(stream: Stream, generators: list[torch.Generator]) -> Iterator[Batch]:
    """The stream's batches for each generator, stacked: tensors `[generator, batch, ...]`.

    Raises:
        CannotStackError: the batches of two generators differ in size or labels, or end.
    """
    if type(stream) is TensorStream:
        return stream.stacked_batches(generators)
    return _stack_each([stream.batches(generator) for generator in generators])


def _stack_each(iterators: list[Iterator[Batch]]) -> Iterator[Batch]:
    for batches in zip(*iterators, strict=False):
        names = [tuple(batch.labels) for batch in batches]
        if len(set(names)) > 1:
            raise CannotStackError("the batches of two seeds carry different labels.")
        with refusals_told():
            inputs = torch.stack([batch.inputs for batch in batches])
            same = all(batch.targets is batch.inputs for batch in batches)
            targets = inputs if same else torch.stack([batch.targets for batch in batches])
            labels = {name: torch.stack([batch.labels[name] for batch in batches]) for name in names[0]}
        yield Batch(inputs, targets, labels)
    raise CannotStackError("the stream ended before the training did.")
