"""Reads the log of a run that wandb writes offline: LevelDB's log format around protobuf messages."""

import importlib
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["read_wandb_file"]

_BLOCK = 32_768
_HEADER = 7
_FULL, _LAST = 1, 4


def read_wandb_file(path: Path) -> list[Any]:
    """Every record of a `.wandb` file, as wandb's own messages."""
    messages: Any = importlib.import_module("wandb.proto.wandb_internal_pb2")
    records = []
    for content in _messages(path.read_bytes()):
        record = messages.Record()
        record.ParseFromString(content)
        records.append(record)
    return records


def _messages(content: bytes) -> Iterator[bytes]:
    position, parts = _HEADER, b""  # The file begins with seven bytes of its own: a name and a version.
    while position + _HEADER <= len(content):
        if _BLOCK - position % _BLOCK < _HEADER:
            position += _BLOCK - position % _BLOCK
            continue
        _checksum, length, kind = struct.unpack_from("<IHB", content, position)
        parts += content[position + _HEADER : position + _HEADER + length]
        position += _HEADER + length
        if kind in (_FULL, _LAST):
            yield parts
            parts = b""
