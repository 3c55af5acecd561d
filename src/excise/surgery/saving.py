"""Keeping an edited model: `model.safetensors`, and `plan.json`, which gives a freshly built model the same shapes.

The plan holds the edits that the model was made by, as they were planned: steps that name tensors, modules and numbers,
and the report of each. Nothing in the folder is a pickle.
"""

import re
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import nn

from excise.errors import RunError, SurgeryError
from excise.record.files import read_json, write_atomically
from excise.surgery.copying import ModelT, copied
from excise.surgery.edit import _EDITS, Edit, edits_of
from excise.surgery.editable import check_asked
from excise.surgery.pretrained import follow_config
from excise.surgery.rewrite import get_tensor
from excise.surgery.weights import give_weights, read_weights, write_weights

__all__ = ["PLAN", "WEIGHTS", "holds_cut", "load", "save"]

FORMAT = 1
PLAN = "plan.json"
WEIGHTS = "model.safetensors"


class Plan(BaseModel):
    """What `plan.json` holds.

    Attributes:
        format: the version of this layout.
        excise: the version of excise that wrote it.
        model: the name of the model's class.
        edits: how the model was made, in order.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1]
    excise: str
    model: str
    edits: tuple[Edit, ...] = Field(min_length=1)


def save(edited: nn.Module, folder: str | Path) -> None:
    """Write an edited model's weights and the plan of its edits, so that `load` gives it back.

    Training it further in between does no harm: the weights are those it has now. Each file is whole or not there.

    Args:
        edited: what `prune`, `ablate` or `Edit.apply` gave.
        folder: where `model.safetensors` and `plan.json` are written; it is made if need be.

    Raises:
        SurgeryError: no edit made the model, or it holds what safetensors cannot.
        RunError: the folder cannot be written.
    """
    edits = edits_of(edited)
    if not edits:
        raise SurgeryError(
            f"no edit made this {type(edited).__name__}, so there is no plan to save with it. "
            f"`excise.surgery.plan(...).apply(model)`, `excise.prune` and `excise.ablate` make such models; a copy of "
            f"one does not count. Another model's weights are kept by `safetensors.torch.save_model`."
        )
    plan = Plan(format=FORMAT, excise=version("excise"), model=edits[-1].model, edits=edits)
    # Indented, but a list of numbers stays on its line.
    text = re.sub(
        r"\[[\d\s,.eE+-]*\]",
        lambda found: re.sub(r"\s+", " ", found[0]),
        plan.model_dump_json(indent=1, exclude_defaults=True),
    )
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"cannot make the folder {folder}: {error.strerror or error}.") from error

    def write_both(beside: Path) -> None:
        """The weights take their place when the plan is written but for its name, so that both are of one cut."""
        beside.write_text(text + "\n", encoding="utf-8")

        def write(path: Path) -> None:
            write_weights(edited, path)
            # safetensors writes for the owner alone; weights are as readable as the plan.
            shutil.copymode(beside, path)

        write_atomically(folder / WEIGHTS, write)

    write_atomically(folder / PLAN, write_both)


def load(fresh: ModelT, folder: str | Path) -> ModelT:
    """A saved edited model: a copy of `fresh` with its edits made again and its weights loaded.

    Args:
        fresh: a model as the edited one was before its edits, freshly built; it is left untouched, and its weights do
            not matter.
        folder: what `save` wrote.

    Raises:
        SurgeryError: the folder holds no cut, or a cut of another model; the difference is named.
        RunError: a file in it cannot be read.
    """
    folder = Path(folder)
    plan = _read_plan(folder)
    _check_fresh(fresh, plan, folder)
    model = copied(fresh)
    for number, edit in enumerate(plan.edits, start=1):
        try:
            edit.rewrite.check(model)
            _check_ties(model, edit)
            edit.rewrite.apply(model)
        except SurgeryError as error:
            what = f"edit {number} of {len(plan.edits)}, {edit.mode} of {edit.layer!r}"
            difference = str(error).removeprefix("this edit was planned on another model: ")
            difference = difference.removesuffix(" Plan it anew on this one.").removesuffix(".")
            raise _other_model(fresh, folder, f"{difference} ({what}).") from error
        # What a plan that was changed by hand asks for may fail in any way.
        except Exception as error:
            raise SurgeryError(
                f"edit {number} in {folder / PLAN} cannot be made on this {type(fresh).__name__} "
                f"({type(error).__name__}: {error}): it is built otherwise than the model that was cut, or the file "
                f"was changed."
            ) from error
    tensors, tied = read_weights(folder / WEIGHTS)
    give_weights(model, tensors, tied, str(folder / WEIGHTS))
    follow_config(model, *(edit.rewrite for edit in plan.edits))
    _EDITS[model] = plan.edits
    return model


def holds_cut(folder: Path) -> bool:
    """Whether a folder holds what `save` writes."""
    if not (folder / WEIGHTS).is_file():
        return False
    try:
        found = read_json(folder / PLAN)
    except RunError:
        return False
    return isinstance(found, dict) and {"format", "excise", "edits"} <= found.keys()


def _read_plan(folder: Path) -> Plan:
    path = folder / PLAN
    if not path.is_file():
        raise SurgeryError(
            f"{folder} holds no cut: there is no {PLAN} in it. `excise.surgery.save(edited, folder)` writes such a "
            f"folder."
        )
    found = read_json(path)
    if not isinstance(found, dict):
        raise SurgeryError(f"{path} is no plan of edits: a JSON object is wanted.")
    if found.get("format") != FORMAT:
        raise SurgeryError(
            f"{path} has format {found.get('format')!r}; this version of excise ({version('excise')}) reads format "
            f"{FORMAT}. It was written by excise {found.get('excise', '(unknown)')}."
        )
    try:
        return Plan.model_validate(found)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the whole file"
        raise SurgeryError(
            f"{path} is damaged: {place}: {first['msg']}. Save the edited model again."
        ) from error


def _check_fresh(fresh: nn.Module, plan: Plan, folder: Path) -> None:
    meta = next((name for name, tensor in fresh.named_parameters() if tensor.is_meta), None)
    if meta is not None:
        raise SurgeryError(
            f"{meta!r} is on the meta device, and so may be tensors that are not saved because building the model "
            f"makes them: build it on the CPU or a GPU."
        )
    check_asked(fresh, "")
    if edits_of(fresh):
        raise SurgeryError(
            f"this {type(fresh).__name__} is an edited one; a freshly built one is wanted, on which the edits in "
            f"{folder} are made anew."
        )
    if type(fresh).__name__ != plan.model:
        raise _other_model(
            fresh, folder, f"the cut is of a {plan.model} and this is a {type(fresh).__name__}."
        )


def _check_ties(model: nn.Module, edit: Edit) -> None:
    """Refuse a model in which two tensors that shrink each by itself are one."""
    held = {shrink.name: get_tensor(model, shrink.name) for shrink in edit.rewrite.shrinks}
    first: dict[int, str] = {}
    for name, tensor in held.items():
        other = first.setdefault(id(tensor), name)
        if other != name:
            raise SurgeryError(f"{other!r} and {name!r} are two tensors there and one here.")


def _other_model(fresh: nn.Module, folder: Path, difference: str) -> SurgeryError:
    return SurgeryError(
        f"this {type(fresh).__name__} is not built as the model was from which {folder} was cut: {difference} "
        f"Build it with the settings that it had before the edits."
    )
