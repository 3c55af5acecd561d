"""Copies that a model never notices: of its tensors, its Python state and its random numbers."""

import copy
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from excise.errors import SurgeryError

__all__ = ["ModelT", "copied", "same_randomness", "state_of"]

ModelT = TypeVar("ModelT", bound=nn.Module)


def copied(model: ModelT) -> ModelT:
    """A deep copy, hooks and ties between parameters included.

    A tensor that a module keeps from its last forward pass (a remembered latent, a weight computed by a hook)
    is copied without its gradient history, at which `copy.deepcopy` alone gives up.

    Raises:
        SurgeryError: the model holds something that Python cannot copy, such as an open file or a lock.
    """
    memo: dict[int, object] = {}
    for module in model.modules():
        for value in (*vars(module).values(), *module._buffers.values()):
            if isinstance(value, Tensor) and not value.is_leaf:
                memo[id(value)] = value.detach().clone()
    try:
        return copy.deepcopy(model, memo)
    # What a user's modules hold may refuse to be copied with any error.
    except Exception as error:
        raise SurgeryError(
            f"this {type(model).__name__} cannot be copied ({type(error).__name__}: {error}), and an edit is "
            f"made on a copy; take off the model whatever cannot be copied and try again."
        ) from error


def state_of(shadow: nn.Module, model: nn.Module) -> Callable[[], None]:
    """What puts a copy of a model back into the state it is in now, after forward passes that changed it.

    A forward pass may keep a tensor for the next one, move an average along, or shorten the rows of an embedding.

    Args:
        shadow: the copy.
        model: the model; what was written to in the copy is read from it again.
    """
    before: list[tuple[dict[str, Any], dict[str, Any]]] = [
        (now, dict(now))
        for module in shadow.modules()
        for now in (vars(module), module._parameters, module._buffers)
    ]
    versions = [
        (path, held, name, tensor, tensor._version)
        for path, module in shadow.named_modules()
        for held in ("_parameters", "_buffers", "__dict__")
        for name, tensor in getattr(module, held).items()
        if isinstance(tensor, Tensor) and not tensor.is_inference()
    ]

    def restore() -> None:
        for now, then in before:
            for name in now.keys() - then.keys():
                del now[name]
            now.update(then)
        for at, (path, held, name, tensor, version) in enumerate(versions):
            if tensor._version != version:
                with torch.no_grad():
                    tensor.copy_(getattr(model.get_submodule(path), held)[name])
                versions[at] = (path, held, name, tensor, tensor._version)

    return restore


@contextmanager
def same_randomness(model: nn.Module) -> Iterator[None]:
    """Leave the random generators of torch (on the CPU and the model's GPUs), Python and NumPy as they were.

    Inside, Python and NumPy draw the same numbers every time, so that a model which draws from them behaves alike.
    """
    devices = {parameter.device for parameter in model.parameters() if parameter.device.type == "cuda"}
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 - the user's code may draw from it
    try:
        random.seed(0)
        np.random.seed(0)  # noqa: NPY002 - as above
        with torch.random.fork_rng(devices=sorted(devices, key=str)):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002 - as above
