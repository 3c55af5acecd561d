"""Exports a run as a folder that others can use without us: weights, a loader, a card, the licence."""

import re
import shutil
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import nn

from excise.compute import suited_to
from excise.errors import SettingError
from excise.experiments.recipe import BASELINE
from excise.export.card import model_card
from excise.export.folder import check_target, whole_folder
from excise.export.hub import check_upload, upload
from excise.export.layers import STUB, check_same_function, describe_parts, load_stub
from excise.export.onnx_files import OnnxExport, require_onnx, to_onnx
from excise.export.source import Source, open_source
from excise.record.files import write_json
from excise.surgery.saving import WEIGHTS, save
from excise.surgery.weights import write_weights

__all__ = ["Exported", "export_run"]

FORMAT = 1
TEXTS = Path(__file__).parent / "texts"


@dataclass(frozen=True)
class Exported:
    """What `export_run` made.

    Attributes:
        folder: where it is.
        condition: the condition whose weights are in `model.safetensors`.
        choice: which seed it is, and how it was chosen, as a sentence.
        files: by condition, the file with its weights.
        not_in_weights: conditions of the run that no file can hold, because they edit activations.
        onnx: by condition, how its ONNX file was checked.
        address: where it was uploaded to; None where it was not.
    """

    folder: Path
    condition: str
    choice: str
    files: dict[str, str]
    not_in_weights: tuple[str, ...]
    onnx: dict[str, OnnxExport]
    address: str | None


def export_run(
    run: str | Path,
    folder: str | Path,
    *,
    condition: str | None = None,
    onnx: bool = False,
    repository: str | None = None,
    private: bool = False,
) -> Exported:
    """Write a finished run as a folder whose models load with torch alone.

    It holds `model.safetensors`, `baseline.safetensors`, `config.json`, `load.py`, `README.md` (a model card),
    `LICENSE`, `CITATION.cff` and, for an edited model, `plan.json`, so that `excise.surgery.load` reads it, too. What
    was written is read back and must compute what the model of the run computes, bit for bit. The folder appears whole
    or not at all, and a former export is replaced.

    Args:
        run: the run directory; of a sweep, the seed that it chose is exported.
        folder: where the export goes.
        condition: what `model.safetensors` holds: a condition that is in weights, or "all", for the last edit with
            every other one beside it; None is the last edit of weights, or the baseline where there is none.
        onnx: also write each model as ONNX.
        repository: "owner/name" on the Hugging Face Hub to upload it to.
        private: whether a repository that is made for it is private.

    Raises:
        ExportError: there is nothing to export, the folder holds something else, or the upload failed, after which
            the folder is kept.
        RunError: the run cannot be read, or the folder not written.
        UnknownNameError: the run has no such condition.
        SettingError: `private` without a repository.
        MissingExtraError: `onnx` or `repository` was asked for without the package that it needs.
    """
    if private and repository is None:
        raise SettingError("a repository can only be private if there is one: name it, as owner/name.")
    if onnx:
        require_onnx()
    if repository is not None:
        check_upload(repository)
    target = check_target(Path(folder))
    source = open_source(Path(run), condition)
    files = _files_of(source)
    config = _config_of(source, files)
    checked: dict[str, OnnxExport] = {}
    with suited_to(source.models[BASELINE]), whole_folder(target) as staged:
        for name, model in source.models.items():
            _write_model(name, model, staged / files[name], source)
        write_json(staged / "config.json", config)
        (staged / "load.py").write_text(STUB.read_text(encoding="utf-8"), encoding="utf-8")
        for text in ("LICENSE", "CITATION.cff"):
            shutil.copyfile(TEXTS / text, staged / text)
        card = model_card(source, files, config, onnx=onnx, repository=repository)
        (staged / "README.md").write_text(card, encoding="utf-8")
        stub = load_stub(staged)
        for name, model in source.models.items():
            check_same_function(stub.load(name), model, config["inputs"], name)
            if onnx:
                path = (staged / files[name]).with_suffix(".onnx")
                made = to_onnx(model, torch.rand(4, config["inputs"], generator=_generator()), path)
                checked[name] = made.moved(target)
        for path in staged.iterdir():
            shutil.copymode(staged / "README.md", path)  # safetensors writes for the owner alone.
    address = None if repository is None else upload(target, repository, private=private)
    return Exported(
        Path(folder), source.condition, source.choice(), files,
        tuple(each.condition for each in source.interventions), checked, address,
    )  # fmt: skip


def _write_model(name: str, model: nn.Module, path: Path, source: Source) -> None:
    if path.name == WEIGHTS and name in source.edits:
        save(model, path.parent)
    else:
        write_weights(model, path)


def _files_of(source: Source) -> dict[str, str]:
    """The file of each condition, named after it where the name can be a file's."""
    files: dict[str, str] = {}
    for count, name in enumerate(source.models):
        taken = name.casefold() in ("model", *map(str.casefold, files))
        stem = name if re.fullmatch(r"\w[\w-]{0,60}", name, re.ASCII) and not taken else f"condition-{count}"
        files[name] = f"{stem}.safetensors" if count else WEIGHTS
    return files


def _config_of(source: Source, files: dict[str, str]) -> dict[str, Any]:
    recipe, edits = source.recipe, source.edits
    parts = {name: describe_parts(model) for name, model in source.models.items()}
    packages = source.run.environment.get("packages", {})
    return {
        "format": FORMAT,
        "excise": version("excise"),
        "recipe": recipe.name,
        "title": recipe.title,
        "seed": source.seed,
        "trained_with": {name: packages[name] for name in ("excise", "torch") if packages.get(name)},
        "architecture": recipe.model.kind,
        "sizes": recipe.model.model_dump(mode="json", exclude={"kind"}),
        "latent_layer": recipe.latent_layer,
        "inputs": _first_width(parts[BASELINE]),
        "clamp": [0, 1] if recipe.model.kind == "NormalizedMLP" else None,
        "condition": source.condition,
        "conditions": {
            name: {
                "file": files[name],
                "edit": edits[name].model_dump(mode="json", exclude={"condition"}) if name in edits else None,
                "parameters": sum(parameter.numel() for parameter in model.parameters()),
                "parts": parts[name],
            }
            for name, model in source.models.items()
        },
    }


def _first_width(parts: dict[str, list[dict[str, Any]]]) -> int:
    return next(layer["inputs"] for layers in parts.values() for layer in layers if "inputs" in layer)


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)
