"""What commands tell besides their results: errors, warnings, and what is kept of a run that ended early."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from excise.errors import ExciseError, ExciseWarning

__all__ = ["say", "saying_what_is_kept", "show_warning", "silence_output"]


@contextmanager
def saying_what_is_kept(path: Path, advice: str = "") -> Iterator[None]:
    """Tell the user, when a run ends early, where what it had written is."""
    try:
        yield
    except (ExciseError, KeyboardInterrupt) as error:
        if (path / "status.json").exists():
            error.add_note(f"What was finished is kept in {path}{f'; {advice}' if advice else ''}.")
        raise


def say(message: str, error: BaseException) -> None:
    """Print a message, with what was noted on the error, to standard error; nothing in it steers the terminal."""
    from excise.report.tables import visible

    message, *notes = map(visible, (message, *getattr(error, "__notes__", ())))
    print(message, *notes, sep="\n", file=sys.stderr)


def silence_output() -> None:
    """Drop what could not be written, so that Python does not complain of it once more as it exits."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in filter(None, (sys.stdout, sys.stderr)):
        try:
            stream.flush()
        except OSError:
            os.dup2(nowhere, stream.fileno())


def show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    *_file_and_line: object,
) -> None:
    """Print a warning as one line; only a foreign one says where it comes from."""
    where = "" if issubclass(category, ExciseWarning) else f" ({filename}:{lineno}, {category.__name__})"
    print(f"warning: {message}{where}", file=sys.stderr)
