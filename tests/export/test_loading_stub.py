import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from excise.export.loading_stub import DTYPES, read_safetensors


def written(path: Path, header: object, body: bytes = b"", *, size: int | None = None) -> Path:
    text = json.dumps(header).encode()
    path.write_bytes((len(text) if size is None else size).to_bytes(8, "little") + text + body)
    return path


def test_tensors_of_every_type_and_shape_are_read_as_safetensors_reads_them(tmp_path: Path):
    random = torch.Generator().manual_seed(0)
    tensors = {
        f"{name}{list(shape)}": torch.randint(0, 2, shape, generator=random).to(dtype)
        for name, dtype in DTYPES.items()
        for shape in ((), (3,), (2, 5), (0,), (4, 0, 2))
    }
    save_file(tensors, tmp_path / "x.safetensors", metadata={"format": "pt"})
    ours, theirs = read_safetensors(tmp_path / "x.safetensors"), load_file(tmp_path / "x.safetensors")
    assert ours.keys() == theirs.keys()
    for name, tensor in theirs.items():
        assert ours[name].dtype == tensor.dtype
        assert ours[name].shape == tensor.shape
        assert torch.equal(ours[name], tensor)


def entry(**changes: Any) -> dict[str, Any]:
    return {"x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} | changes}


def test_a_sound_file_is_read(tmp_path: Path):
    assert read_safetensors(written(tmp_path / "x", entry(), bytes(8)))["x"].tolist() == [0, 0]


@pytest.mark.parametrize(
    "wrong",
    [
        entry(data_offsets=[0, 12], shape=[3]),
        entry(data_offsets=[4, 12]),
        entry(data_offsets=[-8, 0]),
        entry(data_offsets=[8, 0]),
        entry(data_offsets=[0, 4]),
        entry(data_offsets=[0]),
        entry(data_offsets=[0.0, 8.0]),
        entry(data_offsets="08"),
        entry(shape=[-2]),
        entry(shape=[-1, -2]),
        entry(shape=2),
        entry(shape=[2**70]),
        entry(dtype="F99"),
        entry(more=1),
        {"x": {"dtype": "F32"}},
        {"x": [1]},
        [1, 2],
    ],
    ids=str,
)
def test_nothing_outside_the_bounds_of_a_file_is_read(tmp_path: Path, wrong: object):
    with pytest.raises(ValueError, match="is damaged"):
        read_safetensors(written(tmp_path / "x", wrong, bytes(8)))


@pytest.mark.parametrize("data", [b"", b"\x05", bytes(8), b"\xff" * 8, (2**63).to_bytes(8, "little") + b"{}"])
def test_a_file_that_was_cut_off_is_refused(tmp_path: Path, data: bytes):
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(ValueError, match="cut off"):
        read_safetensors(tmp_path / "x")


def test_a_header_that_is_no_json_is_refused(tmp_path: Path):
    (tmp_path / "x").write_bytes((4).to_bytes(8, "little") + b"\xff{}}")
    with pytest.raises(ValueError, match="is damaged"):
        read_safetensors(tmp_path / "x")
