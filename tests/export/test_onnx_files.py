"""ONNX files, before and after surgery; exports are slow, so that each is made once."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

import excise as ex
from excise.errors import ExportError, MissingExtraError, SettingError
from excise.export import export_run, onnx_files, to_onnx
from excise.export.batches import Batch


class ConvNet(nn.Module):
    """Two convolutions beside a shortcut, averaged over places."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU())
        self.inner = nn.Conv2d(6, 6, 3, padding=1)
        self.head = nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        return self.head((x + self.inner(x)).mean((2, 3)))


class TransformerBlock(nn.Module):
    """Tokens through one block of attention and one of neurons, around a residual stream."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, 8)
        self.norm, self.norm_2 = nn.LayerNorm(8), nn.LayerNorm(8)
        self.qkv, self.out = nn.Linear(8, 24), nn.Linear(8, 8)
        self.mlp = nn.Sequential(nn.Linear(8, 12), nn.GELU(), nn.Linear(12, 8))
        self.unembed = nn.Linear(8, 11)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        x = self.embed(tokens)
        batch, length, width = x.shape
        q, k, v = (
            part.view(batch, length, 2, 4).transpose(1, 2) for part in self.qkv(self.norm(x)).split(width, -1)
        )
        mixed = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None, None, :])
        x = x + self.out(mixed.transpose(1, 2).reshape(batch, length, width))
        return self.unembed(x + self.mlp(self.norm_2(x)))


class Tagger(nn.Module):
    """An LSTM over steps; gives each step's tag and the last state."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(4, 6, batch_first=True)
        self.head = nn.Linear(6, 2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        states, _ = self.lstm(x)
        return self.head(states), self.head(states[:, -1])


def images(count: int) -> Tensor:
    return torch.randn(count, 3, 5, 5, generator=torch.Generator().manual_seed(count))


def sentences(count: int) -> dict[str, Tensor]:
    random = torch.Generator().manual_seed(count)
    mask = torch.ones(count, 7, dtype=torch.bool)
    mask[:, 5:] = False
    # The keywords come in another order than the model names them.
    return {"mask": mask, "tokens": torch.randint(11, (count, 7), generator=random)}


def steps(count: int) -> tuple[Tensor]:
    return (torch.randn(count, 5, 4, generator=torch.Generator().manual_seed(count)),)


def run_file(path: Path, inputs: Tensor | tuple[Tensor, ...] | dict[str, Tensor]) -> list[Any]:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]
    if isinstance(inputs, dict):
        named = inputs
    else:
        named = dict(zip(names, (inputs,) if isinstance(inputs, Tensor) else inputs, strict=True))
    return list(session.run(None, {name: tensor.numpy() for name, tensor in named.items()}))


@pytest.mark.parametrize(
    ("build", "inputs", "layer"),
    [(ConvNet, images, "stem"), (TransformerBlock, sentences, "mlp.1"), (Tagger, steps, "lstm")],
)
def test_a_model_leaves_as_it_is_and_after_surgery(
    build: Callable[[], nn.Module], inputs: Callable[[int], Any], layer: str,
    tmp_path: Path, capfd: pytest.CaptureFixture[str],
):  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = build().train()
    cut = ex.prune(model, layer, [1, 4], inputs(2))
    outputs = []
    for name, each in (("whole", model), ("cut", cut)):
        before = {key: value.clone() for key, value in each.state_dict().items()}
        made = to_onnx(each, inputs(2), tmp_path / f"{name}.onnx")
        assert made.largest_difference < 1e-5
        assert made.batch_sizes == (2, 3, 1)
        assert each.training, "the model is left in its mode"
        assert all(torch.equal(value, before[key]) for key, value in each.state_dict().items())
        fresh = inputs(6)
        given = fresh if isinstance(fresh, dict) else {}
        with torch.no_grad():
            each.eval()
            wanted = each(*(() if given else fresh if isinstance(fresh, tuple) else (fresh,)), **given)
        came = run_file(made.path, fresh)
        for one, other in zip(wanted if isinstance(wanted, tuple) else (wanted,), came, strict=True):
            assert torch.allclose(one, torch.from_numpy(other), atol=1e-5)
        outputs.append(came[0])
        content = made.path.read_bytes()
        assert b"site-packages" not in content, "no path of the machine leaves with the file"
        assert b".py" not in content
    assert not np.allclose(*outputs, atol=1e-3), "surgery changed the model"
    assert capfd.readouterr() == ("", "")


def test_a_run_leaves_as_onnx_before_and_after_the_cut(run: Path, tmp_path: Path):
    made = export_run(run, tmp_path / "out", onnx=True)
    assert sorted(made.onnx) == ["baseline", "pruned"]
    for checked in made.onnx.values():
        assert checked.path.parent == tmp_path / "out"
        onnx.checker.check_model(onnx.load(checked.path))
        assert checked.largest_difference < 1e-5
    assert "`model.onnx`" in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")


class Differs(onnxruntime.InferenceSession):
    """Computes a little beside what the file says."""

    def run(self, *args: Any, **settings: Any) -> list[Any]:
        outputs: list[Any] = list(super().run(*args, **settings))
        return [output + np.float32(3e-4) for output in outputs]


def test_an_export_that_computes_something_else_is_refused_and_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(onnxruntime, "InferenceSession", Differs)
    with pytest.raises(ExportError, match=r"is 3\.0e-04 from the model's, and 1\.0e-04 are allowed"):
        to_onnx(nn.Linear(3, 2), torch.zeros(2, 3), tmp_path / "x.onnx")
    assert list(tmp_path.iterdir()) == []


class Branches(nn.Module):
    """Asks its values which way to go, which no file can hold."""

    def forward(self, x: Tensor) -> Tensor:
        return x + 1 if x.sum() > 0 else x


def test_what_torch_cannot_export_is_a_typed_error(tmp_path: Path):
    with pytest.raises(ExportError, match="torch cannot export this Branches to ONNX"):
        to_onnx(Branches(), torch.ones(2, 3), tmp_path / "x.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_model_too_large_for_a_file_is_refused_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(onnx_files, "LARGEST_FILE", 10)
    with pytest.raises(ExportError, match="an ONNX file holds 2"):
        to_onnx(nn.Linear(3, 2), torch.zeros(2, 3), tmp_path / "x.onnx")


def test_without_the_package_the_error_names_the_command(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def absent(package: str, purpose: str) -> object:
        raise MissingExtraError(package, "onnx", purpose)

    monkeypatch.setattr(onnx_files, "require", absent)
    with pytest.raises(MissingExtraError, match=r"pip install 'excise\[onnx\]'"):
        export_run(run, tmp_path / "out", onnx=True)
    assert not (tmp_path / "out").exists()


def test_a_missing_onnx_is_told_by_its_name_although_another_package_would_stumble_over_it(
    monkeypatch: pytest.MonkeyPatch,
):
    for name in [name for name in sys.modules if name.partition(".")[0] in ("onnx", "onnxscript", "onnx_ir")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingExtraError, match=r"needs onnx, which is not installed"):
        onnx_files.require_onnx()


def test_a_batch_of_another_size_is_made_of_the_examples_in_another_order():
    x, table = torch.arange(6.0).reshape(3, 2), torch.zeros(5)
    batch = Batch(((x, table), {"scale": 2}), 0)
    assert batch.sizes == (3, 4, 1)
    (same, kept), keywords = batch.of(3)
    assert torch.equal(same, x)
    assert keywords == {"scale": 2}
    (four, kept), _ = batch.of(4)
    assert torch.equal(four, x[[2, 1, 0, 2]])
    assert torch.equal(kept, table), "what does not count examples stays as it is"
    assert Batch(((x[:1],), {}), 0).sizes == (2, 3, 1)
    assert Batch(((x,), {}), None).sizes == (0,)


@pytest.mark.parametrize("axis", [2, -3])
def test_an_axis_that_the_inputs_do_not_have_is_refused(axis: int):
    with pytest.raises(SettingError, match="is no axis of the first example input"):
        Batch(((torch.zeros(3, 2),), {}), axis)
