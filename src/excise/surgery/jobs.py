"""Surgery from the command line: a model from a Python function, weights and examples from files."""

import importlib
import os
import pkgutil
import sys
import traceback
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from excise.errors import RunError, SettingError, SurgeryError, UnknownModuleError
from excise.surgery.edit import Edit, plan
from excise.surgery.examples import ExampleInputs
from excise.surgery.report import Mode
from excise.surgery.saving import PLAN, WEIGHTS, holds_cut, load, save
from excise.surgery.trace import Trace, trace
from excise.surgery.weights import give_weights, read_weights

__all__ = ["cut_model", "trace_model"]


def cut_model(
    build: str,
    layer: str,
    dims: list[int],
    mode: Mode,
    *,
    weights: Path | None,
    example: Path | None,
    out: Path | None,
    axis: int | None = None,
    strength: float = 1.0,
    may_change_output: bool = False,
) -> Edit:
    """Edit a model and save the edited copy; the planned edit.

    Args:
        build: "package.module:function", a function without arguments that gives the model.
        layer: as for `plan`.
        dims: as for `plan`.
        mode: "ablate" or "prune".
        weights: a safetensors file, or the folder of a former cut; None leaves the weights that `build` gives.
        example: a file of example inputs (see `read_example`); None guesses them.
        out: where the cut is written; None writes nothing.
        axis: as for `plan`.
        strength: as for `plan`.
        may_change_output: as for `plan`.

    Raises:
        UnknownModuleError: there is no such module or function.
        SettingError: the function gives no model, the example holds no numbers, the folder is taken.
        SurgeryError, and its kinds: the weights do not fit, or the edit cannot be made; see `plan`.
        RunError: a file cannot be read, or the folder not be written.
    """
    if out is not None:
        _check_out(out)
    model = _ready(build, weights)
    edit = plan(
        model, layer, dims, mode, _example_for(model, example),
        axis=axis, strength=strength, may_change_output=may_change_output,
    )  # fmt: skip
    if out is not None:
        save(edit.apply(model), out)
    return edit


def trace_model(
    build: str, layer: str, *, weights: Path | None, example: Path | None, axis: int | None = None
) -> Trace:
    """The data flow around a place of a model; arguments and errors as for `cut_model`."""
    model = _ready(build, weights)
    return trace(model, layer, _example_for(model, example), axis=axis)


def read_example(path: Path) -> ExampleInputs:
    """Example inputs from a file; nothing in it is unpickled.

    Args:
        path: a .npy (one argument), a .npz (keyword arguments, or positional ones where `numpy.savez` named them
            arr_0, arr_1 and so on) or a .safetensors (keyword arguments).

    Raises:
        RunError: the file cannot be read.
        SettingError: it holds no arrays of numbers.
    """
    if path.suffix == ".safetensors":
        tensors, _ = read_weights(path)
    elif path.suffix in (".npy", ".npz"):
        tensors = {name: _tensor(array, path) for name, array in _arrays(path).items()}
    else:
        raise SettingError(
            f"example inputs are read from .npy, .npz or .safetensors; {path.name!r} came. "
            f"`numpy.save(path, array)` writes the first."
        )
    if not tensors:
        raise SettingError(f"{path} holds no array.")
    if path.suffix == ".npy":
        return tensors[""]
    if all(name == f"arr_{at}" for at, name in enumerate(tensors)):
        return tuple(tensors.values())
    return tensors


def build_model(build: str) -> nn.Module:
    """The model that a function gives; modules in the current directory are found.

    Args:
        build: "package.module:function".

    Raises:
        UnknownModuleError: there is no such module or function.
        SettingError: it is no function, raises an error, or gives no model.
    """
    place, colon, name = build.partition(":")
    if not (place and colon and name):
        raise SettingError(
            f"the model is named as package.module:function, such as toy.models:build; {build!r} came."
        )
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    found: Any = _imported(place)
    for part in name.split("."):
        if not hasattr(found, part):
            known = [
                known for known, value in vars(found).items() if callable(value) and not known.startswith("_")
            ]
            raise UnknownModuleError(part, known, f"in {place}")
        found = getattr(found, part)
    if isinstance(found, nn.Module) or not callable(found):
        raise SettingError(
            f"{build} is of type {type(found).__name__}; a function without arguments is wanted that builds the model, "
            f"`def build(): return Net()`."
        )
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(
                0
            )  # So that the same command on weights that the function draws gives the same cut.
            model = found()
    # The user's function may raise anything.
    except Exception as error:
        raise SettingError(f"{build}() raised {_what(error)}") from error
    if not isinstance(model, nn.Module):
        raise SettingError(
            f"{build}() gives something of type {type(model).__name__}; a torch.nn.Module is wanted."
        )
    return model


def _ready(build: str, weights: Path | None) -> nn.Module:
    model = build_model(build)
    if weights is None:
        return model
    if weights.is_dir():
        return load(model, weights)
    tensors, tied = read_weights(weights)
    try:
        give_weights(model, tensors, tied, str(weights))
    except SurgeryError as error:
        if holds_cut(weights.parent) and weights.name == WEIGHTS:
            raise SurgeryError(
                f"{error} They are of a model that was cut: give the folder, {weights.parent}."
            ) from error
        raise
    return model


def _imported(place: str) -> object:
    try:
        return importlib.import_module(place)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{place}.".startswith(f"{error.name}."):
            raise SettingError(f"importing {place} raised {_what(error)}") from error
        outer, _, missing = error.name.rpartition(".")
        paths = getattr(sys.modules.get(outer), "__path__", ()) if outer else [str(Path.cwd())]
        where = f"in {outer}" if outer else "in the current directory or among the installed ones"
        known = [module.name for module in pkgutil.iter_modules(paths)]
        raise UnknownModuleError(missing, known, where) from error
    # Importing runs the user's code, which may raise anything, or end the program.
    except (Exception, SystemExit) as error:
        raise SettingError(f"importing {place} raised {_what(error)}") from error


def _what(error: BaseException) -> str:
    """An error of the user's code, with its innermost line."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{place}."


def _example_for(model: nn.Module, path: Path | None) -> ExampleInputs | None:
    """Example inputs where the model is, numbers with a point in its type; whole numbers stay."""
    if path is None:
        return None
    example = read_example(path)
    like = next((p for p in model.parameters() if p.is_floating_point()), torch.empty(0))

    def moved(tensor: Tensor) -> Tensor:
        return tensor.to(like) if tensor.is_floating_point() else tensor.to(like.device)

    if isinstance(example, Tensor):
        return moved(example)
    if isinstance(example, tuple):
        return tuple(moved(tensor) for tensor in example)
    assert isinstance(example, dict)
    return {name: moved(tensor) for name, tensor in example.items()}


def _arrays(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            found = np.load(file, allow_pickle=False)
            return (
                {"": found} if isinstance(found, np.ndarray) else {name: found[name] for name in found.files}
            )
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror or error}.") from error
    # A damaged file ends in whatever NumPy, zipfile or zlib raise.
    except Exception as error:
        raise SettingError(
            f"{path} holds no plain arrays ({type(error).__name__}: {error}). Arrays of Python objects are pickles, "
            f"which are never read; keep numbers."
        ) from error


def _tensor(array: Any, path: Path) -> Tensor:  # noqa: ANN401 - what NumPy read
    try:
        return torch.from_numpy(np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("=")))
    except TypeError as error:
        raise SettingError(f"{path} holds {array.dtype}, which is no type of numbers of torch.") from error


def _check_out(out: Path) -> None:
    """Refuse a folder that holds something else than a former cut, before any work is done."""
    if out.is_dir():
        if any(out.iterdir()) and not holds_cut(out):
            raise SettingError(
                f"{out} holds other files. Give --out a new or an empty folder, or that of a former cut, whose "
                f"{WEIGHTS} and {PLAN} are written anew."
            )
    elif os.path.lexists(out):
        raise SettingError(f"{out} is no folder. Give --out a new or an empty one.")
