"""Loads the models of this folder with torch and Python's own library, and nothing else.

```python
from load import load
model = load()  # what model.safetensors holds
before = load("baseline")  # the same model before the edit
```
"""

import json
from math import prod
from pathlib import Path

import torch
from torch import Tensor, nn

__all__ = ["Model", "load", "read_safetensors"]

DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "I64": torch.int64, "I32": torch.int32, "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip


class L2Norm(nn.Module):
    """Scales each activation vector `[..., features]` to length 1."""

    def forward(self, x: Tensor) -> Tensor:
        """The activations on the unit hypersphere."""
        return nn.functional.normalize(x, dim=-1)


class Model(nn.Module):
    """The parts that config.json names, one after the other: `[..., inputs]` to `[..., outputs]`.

    In evaluation mode the outputs are clamped where config.json says so; in training they are not.
    """

    def __init__(self, parts: dict[str, list[dict]], clamp: list[float] | None) -> None:
        super().__init__()
        for name, layers in parts.items():
            self.add_module(name, nn.Sequential(*map(_layer, layers)))
        self.clamp = clamp

    def forward(self, x: Tensor) -> Tensor:
        """What the model makes of `x`."""
        for part in self.children():
            x = part(x)
        return x if self.training or self.clamp is None else x.clamp(*self.clamp)


def load(condition: str | None = None, folder: str | Path | None = None) -> Model:
    """A model of this folder, on the CPU and in evaluation mode.

    Args:
        condition: one of config.json's conditions, such as "baseline"; None is the one in model.safetensors.
        folder: where config.json lies; None is where this file lies.

    Raises:
        KeyError: there is no such condition.
        ValueError: the weights are damaged, or of another model.
    """
    folder = Path(__file__).parent if folder is None else Path(folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    asked = config["condition"] if condition is None else condition
    if asked not in config["conditions"]:
        raise KeyError(f"there is no condition {asked!r} here; there are {', '.join(config['conditions'])}.")
    found = config["conditions"][asked]
    path = folder / Path(found["file"]).name
    model = Model(found["parts"], config["clamp"])
    try:
        model.load_state_dict(read_safetensors(path))
    except RuntimeError as error:
        raise ValueError(f"the weights in {path} are not of the model in config.json: {error}") from error
    return model.eval()


def read_safetensors(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file by name; nothing outside the file's bounds is ever read.

    Raises:
        ValueError: the file is no safetensors file, or damaged.
    """
    data = Path(path).read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    if not 8 < start <= len(data):
        raise ValueError(f"{path} is no safetensors file, or was cut off.")
    try:
        header = json.loads(data[8:start])
        header.pop("__metadata__", None)
        body = data[start:]
        return {name: _tensor(body, **entry) for name, entry in header.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is damaged: {error}") from error


def _tensor(data: bytes, dtype: str, shape: list[int], data_offsets: list[int]) -> Tensor:
    first, last = data_offsets
    size = prod(shape) * DTYPES[dtype].itemsize
    if min([0, *shape]) < 0 or not 0 <= first <= last <= len(data) or last - first != size:
        raise ValueError(f"a tensor of {shape} {dtype} cannot lie in bytes {first} to {last} of {len(data)}.")
    if size == 0:
        return torch.empty(shape, dtype=DTYPES[dtype])
    return torch.frombuffer(bytearray(data[first:last]), dtype=DTYPES[dtype]).reshape(shape)


def _layer(layer: dict) -> nn.Module:
    if layer["kind"] == "Linear":
        return nn.Linear(layer["inputs"], layer["outputs"], bias=layer["bias"])
    return {"GELU": nn.GELU, "Sigmoid": nn.Sigmoid, "L2Norm": L2Norm}[layer["kind"]]()


if __name__ == "__main__":
    print(load())
