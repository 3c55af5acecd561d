"""Pickled messages on a pipe, each after its length, between a caller and processes that it started itself."""

import pickle
import struct
from typing import IO, Any

__all__ = ["read_frame", "write_frame"]

_LENGTH = struct.Struct("<Q")


def write_frame(pipe: IO[bytes], message: object) -> None:
    """Send one message."""
    content = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    pipe.write(_LENGTH.pack(len(content)) + content)
    pipe.flush()


def read_frame(pipe: IO[bytes]) -> Any:  # noqa: ANN401 - anything may be sent
    """Receive one message.

    Raises:
        EOFError: the pipe was closed, perhaps in the middle of a message.
    """
    (length,) = _LENGTH.unpack(_exactly(pipe, _LENGTH.size))
    return pickle.loads(_exactly(pipe, length))


def _exactly(pipe: IO[bytes], size: int) -> bytes:
    content = pipe.read(size)
    if len(content) < size:
        raise EOFError
    return content
