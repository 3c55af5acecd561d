"""`excise prune`, `ablate` and `trace`, on a model that lies in a file of the user's own."""

import contextlib
import io
import json
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file, save_model
from torch import Tensor, nn

from excise import cli
from excise.surgery import edits_of, load, prune

TOYS = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(9, 6)
        self.hidden = nn.Linear(6, 8)
        self.out = nn.Linear(8, 3)

    def forward(self, ids, scale=None):
        x = torch.relu(self.hidden(self.words(ids).mean(1)))
        return self.out(x if scale is None else x * scale)

def build():
    return nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 5))

def words():
    return Net()

def number():
    return 3

def broken():
    raise ValueError("no data here")

def asking(width):
    return nn.Linear(width, 2)

class Nets:
    build = staticmethod(build)

model = build()
constant = 4
"""


class Ended(NamedTuple):
    status: int
    out: str
    err: str


def excise(*arguments: object) -> Ended:
    printed, err = io.StringIO(), io.StringIO()
    status = 0
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.setattr(sys, "argv", ["excise", *map(str, arguments)])
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(err):
            try:
                cli.main()
            except SystemExit as end:
                status = end.code if isinstance(end.code, int) else 1
    assert "Traceback" not in err.getvalue()
    return Ended(status, printed.getvalue(), err.getvalue())


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A current directory with models in it, forgotten afterwards."""
    (tmp_path / "toys").mkdir()
    (tmp_path / "toys" / "models.py").write_text(TOYS, encoding="utf-8")
    (tmp_path / "toys" / "__init__.py").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in ("toys", "toys.models"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield tmp_path
    torch.set_num_threads(threads)
    for name in [name for name in sys.modules if name.partition(".")[0] == "toys"]:
        del sys.modules[name]


def plain(seed: int = 0) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 5))


def inputs(seed: int = 0) -> Tensor:
    return torch.randn(4, 3, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def weights(here: Path) -> Path:
    save_model(plain(), str(here / "model.safetensors"))
    return here / "model.safetensors"


@pytest.fixture
def example(here: Path) -> Path:
    # NumPy's usual float64, which the model does not take.
    np.save(here / "inputs.npy", inputs().double().numpy())
    return here / "inputs.npy"


def test_prune_writes_a_cut_that_loads_and_prints_its_report(weights: Path, example: Path):
    ended = excise(
        "prune", "toys.models:build", "--weights", weights, "--layer", "0", "--dims", 0, 3, "--example", example,
        "--out", "cut",
    )  # fmt: skip
    assert (ended.status, ended.err) == (0, "")
    loaded = load(plain(7), "cut")
    expected = prune(plain(), "0", [0, 3], inputs())
    assert torch.equal(loaded(inputs(1)), expected(inputs(1)))
    (edit,) = edits_of(loaded)
    assert ended.out == (
        f"{edit.report}\n\nwritten: {Path('cut/model.safetensors')} and {Path('cut/plan.json')}\n"
    )
    assert "prune dims 0, 3 of 0: 8 features" in ended.out
    assert "2.weight: [5, 8] -> [5, 6], removed" in ended.out


def test_ablate_keeps_the_shapes_and_takes_a_strength(weights: Path, example: Path):
    common = ("toys.models:build", "--weights", weights, "--layer", "0", "--example", example)
    assert excise("ablate", *common, "--dims", 2, "--out", "whole").status == 0
    whole = load_file("whole/model.safetensors")
    assert whole["0.weight"].shape == (8, 3)
    assert not whole["0.weight"][2].any()
    flags = ("--layer", "2", "--dims", 2, "--strength", 0.5, "--example", example)
    ended = excise("ablate", "toys.models:build", "--weights", weights, *flags, "--out", "half")
    assert ended.status == 0
    before = load_file(weights)["2.weight"]
    assert torch.allclose(load_file("half/model.safetensors")["2.weight"][2], before[2] / 2)


def test_a_dry_run_shows_the_same_report_and_writes_nothing(here: Path, weights: Path, example: Path):
    command = (
        "prune",
        "toys.models:build",
        "--weights",
        weights,
        "--layer",
        0,
        "--dims",
        1,
        "--example",
        example,
    )
    dry = excise(*command, "--dry-run")
    assert dry.status == 0
    assert not (here / "cut").exists()
    assert dry.out.endswith("\n\ndry run: nothing was written\n")
    real = excise(*command)
    assert (here / "cut" / "plan.json").exists()
    assert real.out.partition("\n\n")[0] == dry.out.partition("\n\n")[0]


def test_trace_prints_the_data_flow_with_or_without_weights(weights: Path, example: Path):
    expected = "0: 8 features\n  written by  0.weight, 0.bias\n  carried by  0:linear, 1:relu\n  read by     2.weight\n"
    assert excise("trace", "toys.models:build", "--layer", 0) == Ended(0, expected, "")
    given = ("--weights", weights, "--example", example, "--axis", -1)
    assert excise("trace", "toys.models:Nets.build", "--layer", 0, *given) == Ended(0, expected, "")


def test_a_former_cut_can_be_cut_again_in_place(weights: Path, example: Path):
    common = ("toys.models:build", "--layer", "0", "--example", example, "--out", "cut")
    assert excise("prune", *common, "--weights", weights, "--dims", 0, 3).status == 0
    again = excise("prune", *common, "--weights", "cut", "--dims", 1)
    assert again.status == 0
    loaded = load(plain(7), "cut")
    assert [edit.dims for edit in edits_of(loaded)] == [(0, 3), (1,)]
    expected = prune(plain(), "0", [0, 2, 3], inputs())
    assert torch.equal(loaded(inputs(1)), expected(inputs(1)))
    refused = excise("prune", *common, "--weights", "cut/model.safetensors", "--dims", 1)
    assert refused.status == 2
    assert "They are of a model that was cut: give the folder, cut." in refused.err


def test_without_weights_the_function_s_own_are_the_same_every_time():
    for out in ("one", "two"):
        assert excise("prune", "toys.models:build", "--layer", 0, "--dims", 1, "--out", out).status == 0
    assert Path("one/model.safetensors").read_bytes() == Path("two/model.safetensors").read_bytes()


def test_features_that_leave_as_outputs_go_when_asked(weights: Path, example: Path):
    command = (
        "prune",
        "toys.models:build",
        "--weights",
        weights,
        "--layer",
        2,
        "--dims",
        4,
        "--example",
        example,
    )
    refused = excise(*command)
    assert refused.status == 2
    assert "its features leave the model as an output" in refused.err
    assert excise(*command, "--may-change-output").status == 0
    assert load(plain(7), "cut")(inputs()).shape == (4, 4)


IDS = np.array([[1, 2, 8], [0, 4, 4]])
SCALE = np.linspace(0.5, 2, 8)
EXAMPLES: dict[str, Callable[[], Any]] = {
    "ids.npy": lambda: np.save("ids.npy", IDS),
    "big-endian.npy": lambda: np.save("big-endian.npy", IDS.astype(">i4")),
    "named.npz": lambda: np.savez("named.npz", ids=IDS, scale=SCALE),
    "in-order.npz": lambda: np.savez("in-order.npz", IDS, SCALE),
    "named.safetensors": lambda: save_file({"ids": torch.tensor(IDS)}, "named.safetensors"),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_whole_numbers_stay_whole_and_names_become_keywords(name: str):
    EXAMPLES[name]()
    ended = excise("trace", "toys.models:words", "--layer", "hidden", "--example", name)
    assert (ended.status, ended.err) == (0, "")
    assert ("hidden:linear" in ended.out, "out.weight" in ended.out) == (True, True)


BAD_EXAMPLES: dict[str, tuple[Callable[[], Any], str]] = {
    "missing.npy": (lambda: None, "error: cannot read missing.npy: No such file or directory.\n"),
    "list.json": (
        lambda: Path("list.json").write_text("[1]", encoding="utf-8"),
        "error: example inputs are read from .npy, .npz or .safetensors; 'list.json' came. `numpy.save(path, array)` "
        "writes the first.\n",
    ),
    "objects.npy": (
        lambda: np.save("objects.npy", np.array([{}, []], dtype=object), allow_pickle=True),
        "error: objects.npy holds no plain arrays (ValueError: Object arrays cannot be loaded when "
        "allow_pickle=False). Arrays of Python objects are pickles, which are never read; keep numbers.\n",
    ),
    "objects.npz": (
        lambda: np.savez("objects.npz", x=np.array([{}, []], dtype=object)),
        "error: objects.npz holds no plain arrays (ValueError: Object arrays cannot be loaded when "
        "allow_pickle=False). Arrays of Python objects are pickles, which are never read; keep numbers.\n",
    ),
    "words.npy": (
        lambda: np.save("words.npy", np.array(["a", "bc"])),
        "error: words.npy holds <U2, which is no type of numbers of torch.\n",
    ),
    "nothing.npz": (lambda: np.savez("nothing.npz"), "error: nothing.npz holds no array.\n"),
    "damaged.npz": (
        lambda: Path("damaged.npz").write_bytes(b"PK\x03\x04"),
        "error: damaged.npz holds no plain arrays (BadZipFile: File is not a zip file). Arrays of Python objects are "
        "pickles, which are never read; keep numbers.\n",
    ),
}


@pytest.mark.parametrize("name", BAD_EXAMPLES)
def test_an_example_that_is_none_is_refused(name: str):
    make, text = BAD_EXAMPLES[name]
    make()
    ended = excise("trace", "toys.models:build", "--layer", 0, "--example", name)
    assert ended == Ended(2, "", text)


BUILDS: dict[str, str] = {
    "toys.models": "the model is named as package.module:function, such as toy.models:build; 'toys.models' came.",
    "toy.models:build": "there is no module or name 'toy' in the current directory or among the installed ones. Did "
    "you mean 'toys'? Known: 'toys'.",
    "toys.model:build": "there is no module or name 'model' in toys. Did you mean 'models'? Known: 'models'.",
    "toys.models:buidl": "there is no module or name 'buidl' in toys.models. Did you mean 'build'? Known: 'Net', "
    "'build', 'words', 'number', 'broken', 'asking', 'Nets', 'model'.",
    "toys.models:constant": "toys.models:constant is of type int; a function without arguments is wanted that builds "
    "the model, `def build(): return Net()`.",
    "toys.models:model": "toys.models:model is of type Sequential; a function without arguments is wanted that builds "
    "the model, `def build(): return Net()`.",
    "toys.models:number": "toys.models:number() gives something of type int; a torch.nn.Module is wanted.",
    "toys.models:broken": "toys.models:broken() raised ValueError: no data here ({here}, line 26).",
    "toys.models:asking": "toys.models:asking() raised TypeError: asking() missing 1 required positional argument: "
    "'width'",
}


@pytest.mark.parametrize("build", BUILDS)
def test_a_function_that_gives_no_model_is_refused(build: str, here: Path):
    ended = excise("trace", build, "--layer", 0)
    assert (ended.status, ended.out) == (2, "")
    assert ended.err.startswith(f"error: {BUILDS[build].format(here=here / 'toys' / 'models.py')}")


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("import missing_library", "ModuleNotFoundError: No module named 'missing_library'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("def build(:", "SyntaxError: invalid syntax"),
        ("raise SystemExit(3)", "SystemExit: 3"),
    ],
)
def test_a_module_that_cannot_be_imported_is_refused(source: str, text: str, here: Path):
    (here / "toys" / "failing.py").write_text(source, encoding="utf-8")
    ended = excise("trace", "toys.failing:build", "--layer", 0)
    assert (ended.status, ended.out) == (2, "")
    assert ended.err.startswith(f"error: importing toys.failing raised {text}")


def test_weights_that_do_not_fit_are_named(here: Path):
    kept = {name.replace("2.", "4."): tensor for name, tensor in plain().state_dict().items()}
    save_file(kept, here / "other.safetensors")
    command = ("prune", "toys.models:build", "--layer", 0, "--dims", 1, "--weights")
    assert excise(*command, "other.safetensors") == Ended(
        2,
        "",
        "error: the weights in other.safetensors do not fit this Sequential: the file lacks '2.weight', '2.bias'; the "
        "model lacks '4.bias', '4.weight'.\n",
    )
    torch.save(plain().state_dict(), here / "model.pt")
    ended = excise(*command, "model.pt")
    assert ended.status == 2
    assert "model.pt is no safetensors file, or damaged" in ended.err
    assert "safetensors.torch.save_model(model, path)" in ended.err
    assert "cannot read nowhere.safetensors: No such file" in excise(*command, "nowhere.safetensors").err
    assert "holds no cut: there is no plan.json in it" in excise(*command, "toys").err
    assert not (here / "cut").exists()


def test_a_folder_that_holds_something_else_is_not_touched(here: Path, weights: Path):
    command = ("prune", "toys.models:build", "--weights", weights, "--layer", 0, "--dims", 1, "--out")
    assert excise(*command, "toys") == Ended(
        2,
        "",
        "error: toys holds other files. Give --out a new or an empty folder, or that of a former cut, whose "
        "model.safetensors and plan.json are written anew.\n",
    )
    assert excise(*command, weights) == Ended(
        2, "", f"error: {weights} is no folder. Give --out a new or an empty one.\n"
    )
    # A plan.json of some other program is no cut.
    (here / "other").mkdir()
    for name, content in (("plan.json", {"format": 1}), ("model.safetensors", {})):
        (here / "other" / name).write_text(json.dumps(content), encoding="utf-8")
    assert excise(*command, "other").status == 2


def test_a_refused_edit_writes_nothing_and_names_the_layers(here: Path, weights: Path):
    ended = excise("prune", "toys.models:build", "--weights", weights, "--layer", "3", "--dims", 1)
    assert ended.status == 2
    assert "there is no layer '3'" in ended.err
    assert excise("prune", "toys.models:build", "--layer", 0, "--dims", 8).status == 2
    assert not (here / "cut").exists()


def test_it_works_as_a_command_from_another_directory(weights: Path, example: Path):
    ended = subprocess.run(
        [sys.executable, "-m", "excise.cli", "ablate", "toys.models:build", "--weights", str(weights), "--layer", "0",
         "--dims", "1", "--example", str(example)],
        capture_output=True, text=True, check=True, cwd=weights.parent,
    )  # fmt: skip
    assert (
        ended.stdout.splitlines()[-1]
        == f"written: {Path('cut/model.safetensors')} and {Path('cut/plan.json')}"
    )
    assert ended.stderr == ""


@pytest.mark.parametrize("command", ["prune", "ablate", "trace"])
def test_help_of_a_command_explains_every_option(command: str):
    ended = excise(command, "--help")
    assert ended.status == 0
    assert "MODULE:FUNCTION" in ended.out
    for option in ("--layer", "--weights", "--example", "--axis"):
        assert option in ended.out
