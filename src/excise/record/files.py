"""Files that are whole or not there: written beside their place, then moved into it."""

import contextlib
import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from excise.errors import RunError

__all__ = ["read_json", "strict", "write_atomically", "write_json"]


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file beside `path`, then put it in `path`'s place.

    A reader sees the old file or the new one, never half of one; after an error the temporary file is gone, which
    also gives its space back to a full disk.

    Raises:
        RunError: the file cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(temporary)
        temporary.replace(path)
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror or error}.") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_json(path: Path, content: object) -> None:
    """Write `content` as indented JSON, whole or not at all; NaN and infinities become null.

    Raises:
        RunError: the file cannot be written.
    """
    text = json.dumps(strict(content), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def read_json(path: Path) -> Any:  # noqa: ANN401 - JSON may hold anything
    """The content of a JSON file.

    Raises:
        RunError: the file is missing, is no plain file, or is not JSON.
    """
    try:
        if path.exists() and not path.is_file():  # A pipe would never be read to its end.
            raise OSError("it is no plain file")
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror or error}.") from error
    except ValueError as error:
        raise RunError(f"{path} is not JSON: {error}.") from error
    except RecursionError as error:
        raise RunError(f"{path} is damaged: it is nested too deeply.") from error


def strict(content: object) -> object:
    """`content` with NaN and infinities, which JSON lacks, as None."""
    if isinstance(content, float):
        return content if math.isfinite(content) else None
    if isinstance(content, dict):
        return {key: strict(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [strict(value) for value in content]
    return content
