"""The tensors of a model on disk: safetensors, each tied one once, and read back into a model that they fit exactly."""

from collections.abc import Iterable
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from excise.errors import RunError, SurgeryError, shorten

__all__ = ["give_weights", "read_weights", "write_weights"]


def write_weights(model: nn.Module, path: Path) -> None:
    """Write all parameters and persistent buffers; which names share a tensor is noted in the file's metadata.

    Raises:
        SurgeryError: the state of a module is no tensor, or a tensor of a type that safetensors has no name for.
        OSError: the file cannot be written.
    """
    held = _state(model)
    tied = _ties(held)
    kept = {name: tensor.cpu().contiguous() for name, tensor in held.items() if name not in tied}
    # Tensors that overlap without being the same (one is a slice of the other) are kept one by one.
    kept = {name: tensor.clone() if _shares(tensor, kept) else tensor for name, tensor in kept.items()}
    try:
        save_file(kept, path, metadata={"format": "pt", **tied})
    except SafetensorError as error:
        raise OSError(str(error)) from error
    except (KeyError, ValueError, RuntimeError, NotImplementedError) as error:
        raise SurgeryError(
            f"the weights of this {type(model).__name__} cannot be kept as safetensors: {error}."
        ) from error


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a file, and for each name that was not kept by itself, the one whose tensor it shares.

    Raises:
        RunError: the file cannot be read, or is not safetensors.
    """
    try:
        with path.open("rb"), safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dict
            return tensors, file.metadata() or {}
    except SafetensorError as error:
        raise RunError(
            f"{path} is no safetensors file, or damaged ({error}). Other files of weights hold pickles, which can run "
            f"anything when they are read: convert one where you trust it, with "
            f"`safetensors.torch.save_model(model, path)`."
        ) from error
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror or error}.") from error


def give_weights(model: nn.Module, tensors: dict[str, Tensor], tied: dict[str, str], source: str) -> None:
    """Copy the tensors of a file into `model`, in place, if every one has its place and every place its tensor.

    Args:
        model: the model; tensors that are tied in it need one entry only.
        tensors: by their names in the state dict.
        tied: names that the file holds under another name.
        source: where they come from, for messages.

    Raises:
        SurgeryError: names are missing or too many, a shape differs, or numbers would lose digits.
    """
    held = _state(model)
    first = {name: name for name in held} | _ties(held)
    groups: dict[str, list[str]] = {}
    for name, stored_as in first.items():
        groups.setdefault(stored_as, []).append(name)
    chosen: dict[str, str] = {}
    missing: list[str] = []
    for names in groups.values():
        there = [name for name in names if name in tensors]
        if not there:
            missing += names
            continue
        for other in there[1:]:
            if not torch.equal(tensors[there[0]], tensors[other]):
                raise _unfit(
                    model,
                    source,
                    f"{there[0]!r} and {other!r} are one tensor in the model and two in the file",
                )
        chosen |= dict.fromkeys(names, there[0])
    _check_names(model, source, missing, [name for name in tensors if name not in held], tied)
    for name, stored_as in chosen.items():
        given, wanted = tensors[stored_as], held[name]
        if given.shape != wanted.shape:
            raise _unfit(
                model,
                source,
                f"{name!r} is {list(given.shape)} in the file and {list(wanted.shape)} in the model",
            )
        if torch.promote_types(given.dtype, wanted.dtype) != wanted.dtype:
            raise _unfit(
                model, source, f"{name!r} is {given.dtype} in the file and {wanted.dtype} in the model, which would "
                f"lose digits; build the model with `.to({given.dtype})`",
            )  # fmt: skip
    model.load_state_dict({name: tensors[stored_as] for name, stored_as in chosen.items()})


def _state(model: nn.Module) -> dict[str, Tensor]:
    state = model.state_dict()
    for name, value in state.items():
        if not isinstance(value, Tensor):
            raise SurgeryError(
                f"{name!r} in the state of this {type(model).__name__} is no tensor but a {type(value).__name__}, "
                f"which no safetensors file holds. Hold it in a buffer, or keep it elsewhere."
            )
    return state


def _ties(held: dict[str, Tensor]) -> dict[str, str]:
    """For each name whose tensor has been seen under another name before, that name."""
    first: dict[object, str] = {}
    tied: dict[str, str] = {}
    for name, tensor in held.items():
        if not tensor.numel() or tensor.layout is not torch.strided:
            continue
        memory = (tensor.device, tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype)
        if first.setdefault(memory, name) != name:
            tied[name] = first[memory]
    return tied


def _shares(tensor: Tensor, others: dict[str, Tensor]) -> bool:
    storage = tensor.untyped_storage().data_ptr()
    return any(
        other is not tensor and other.untyped_storage().data_ptr() == storage for other in others.values()
    )


def _check_names(
    model: nn.Module, source: str, missing: list[str], extra: Iterable[str], tied: dict[str, str]
) -> None:
    lines: list[str] = []
    if missing:
        lines.append(f"the file lacks {shorten(missing, 8)}")
    if extra := list(extra):
        lines.append(f"the model lacks {shorten(extra, 8)}")
    untied = next((name for name in missing if name in tied), None)
    if untied is not None:
        lines.append(f"{untied!r} and {tied[untied]!r} are one tensor in the file and two in the model")
    if lines:
        raise _unfit(model, source, "; ".join(lines))


def _unfit(model: nn.Module, source: str, difference: str) -> SurgeryError:
    return SurgeryError(f"the weights in {source} do not fit this {type(model).__name__}: {difference}.")
