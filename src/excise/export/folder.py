"""A folder that appears whole or not at all, and that takes the place of a former export only."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from excise.errors import ExportError, RunError

__all__ = ["check_target", "whole_folder"]

_OURS = {".onnx", ".safetensors"}
_FILES = {"CITATION.cff", "LICENSE", "README.md", "config.json", "load.py", "plan.json"}
_LEFT_BY_USE = {"__pycache__"}


def check_target(folder: Path) -> Path:
    """Where the export goes, with links followed, when nothing of a user's would be lost.

    Raises:
        ExportError: there is a file, the current directory, or a folder with something else than a former export.
        RunError: nothing can be written there.
    """
    try:
        target = folder.resolve()
        if target.exists() and not target.is_dir():
            raise ExportError(f"{folder} is a file; an export is a folder. Name another one.")
        held = {path.name: path for path in target.iterdir()} if target.exists() else {}
        current = target.exists() and target.samefile(Path.cwd())
    except OSError as error:
        raise RunError(f"cannot look at {folder}: {error.strerror or error}.") from error
    if current:
        raise ExportError("an export replaces its folder as a whole, which the current directory cannot be.")
    foreign = sorted(
        name
        for name, path in held.items()
        if name not in _FILES | _LEFT_BY_USE and not (path.suffix in _OURS and path.is_file())
    )
    if foreign or (held and not _is_export(target)):
        what = f"it holds {foreign[0]!r}" if foreign else "it is not a former export"
        raise ExportError(
            f"{folder} is not empty ({what}), and an export would replace it. Name an empty folder, one that does "
            f"not exist, or one that holds an export and nothing else."
        )
    return target


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """A folder beside `target` to write into; after the block it takes its place, after an error it is gone.

    Raises:
        RunError: it cannot be written.
    """
    staged = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    replaced = target.with_name(f".{target.name}.{os.getpid()}.old")
    try:
        staged.mkdir(parents=True)
        yield staged
        if target.exists():
            target.replace(replaced)
        try:
            staged.replace(target)
        except BaseException:
            if replaced.exists():
                replaced.replace(target)
            raise
        shutil.rmtree(replaced, ignore_errors=True)
    except OSError as error:
        if isinstance(error, RunError):
            raise
        raise RunError(f"cannot write {target}: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _is_export(folder: Path) -> bool:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and {"excise", "recipe", "conditions"} <= config.keys()
