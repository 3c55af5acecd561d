import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from excise import surgery
from excise.color import NormalizedMLP
from excise.errors import ExportError, RunError, SettingError, UnknownNameError
from excise.experiments.catalogue import draw_shapes
from excise.experiments.conditions import conditions_of
from excise.experiments.restore import recipe_of, restore_model
from excise.export import export_run, layers, run_folder
from excise.record import Record, open_run
from excise.record.files import read_json, write_json

COLORS = torch.linspace(-0.5, 1.5, 99).reshape(11, 3, 3)

LONE = """
import sys
import torch

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("excise", "safetensors", "numpy"):
            raise ModuleNotFoundError(name)

for name in [name for name in sys.modules if name.partition(".")[0] in ("excise", "safetensors", "numpy")]:
    del sys.modules[name]
sys.meta_path.insert(0, Absent())
torch.set_num_threads(1)
before = {name.partition(".")[0] for name in sys.modules}
import importlib.util, json
outputs = []
for folder, condition in json.loads(sys.argv[1]):
    spec = importlib.util.spec_from_file_location("load", folder + "/load.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    model = module.load(condition)
    with torch.no_grad():
        outputs.append(model(torch.linspace(-0.5, 1.5, 99).reshape(11, 3, 3)).tolist())
new = {name.partition(".")[0] for name in sys.modules} - before - set(sys.stdlib_module_names)
for name in ("excise", "safetensors", "numpy"):
    try:
        __import__(name)
    except ModuleNotFoundError:
        continue
    raise SystemExit(f"{name} could be imported")
print(json.dumps({"outputs": outputs, "new": sorted(new)}))
"""
"""A fresh interpreter in which a folder's models are loaded while neither we nor safetensors nor numpy are there."""


def models_of(run: Path) -> dict[str, nn.Module]:
    opened = open_run(run)
    recipe = recipe_of(opened)
    return {
        name: model.eval() for name, model in conditions_of(recipe, restore_model(recipe, opened)).items()
    }


@pytest.fixture(scope="session")
def exported(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The export of the tiny 2.6, every condition of it; not to be changed."""
    folder = tmp_path_factory.mktemp("exports") / "warmth"
    export_run(run, folder, condition="all")
    return folder


def test_every_architecture_and_size_loads_with_torch_alone_and_computes_the_same_bits(
    run: Path, exported: Path, run_of: Callable[..., Path], tmp_path: Path
):
    asked: list[tuple[str, str]] = []
    wanted: list[torch.Tensor] = []
    runs = {run: exported}
    for name in ("2.2", "2.3-sigmoid", "2.7", "2.9.1"):
        made = run_of(name)
        export_run(made, tmp_path / name, condition="all")
        runs[made] = tmp_path / name
    for made, folder in runs.items():
        models = models_of(made)
        for condition in read_json(folder / "config.json")["conditions"]:
            asked.append((str(folder), condition))
            with torch.no_grad():
                wanted.append(models[condition](COLORS))
    assert len(asked) == 3 + 1 + 1 + 2 + 3
    ran = subprocess.run(
        [sys.executable, "-c", LONE, json.dumps(asked)],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    told = json.loads(ran.stdout)
    assert set(told["new"]) <= {"load"}
    for (folder, condition), came, ours in zip(asked, told["outputs"], wanted, strict=True):
        assert torch.equal(torch.tensor(came), ours), f"{condition} of {folder}"
    # A control: the cut models are others than the baselines.
    assert not torch.equal(wanted[0], wanted[1])


def test_the_last_edit_comes_first_with_the_baseline_beside_it(run: Path, tmp_path: Path):
    made = export_run(run, tmp_path / "out")
    config = read_json(tmp_path / "out" / "config.json")
    assert made.condition == config["condition"] == "pruned"
    assert made.files == {"pruned": "model.safetensors", "baseline": "baseline.safetensors"}
    assert {path.name for path in made.folder.iterdir()} == {
        "CITATION.cff", "LICENSE", "README.md", "baseline.safetensors", "config.json", "load.py",
        "model.safetensors", "plan.json",
    }  # fmt: skip
    assert config["conditions"]["pruned"]["parameters"] < config["conditions"]["baseline"]["parameters"]
    assert config["architecture"] == "NormalizedMLP"
    assert config["latent_layer"] == "bottleneck"
    assert config["recipe"] == "2.6"
    modes = {path.stat().st_mode for path in made.folder.iterdir()}
    assert len(modes) == 1, "every file is as readable as the others"


def test_surgery_reads_the_folder_too(exported: Path, run: Path):
    cut = surgery.load(NormalizedMLP(), exported).eval()
    with torch.no_grad():
        assert torch.equal(cut(COLORS), models_of(run)["pruned"](COLORS))


@pytest.mark.parametrize("condition", ["baseline", "ablated"])
def test_a_condition_can_be_asked_for(run: Path, tmp_path: Path, condition: str):
    made = export_run(run, tmp_path / "out", condition=condition)
    assert made.files == {condition: "model.safetensors"} | (
        {} if condition == "baseline" else {"baseline": "baseline.safetensors"}
    )
    assert (tmp_path / "out" / "plan.json").exists() == (condition == "ablated")


def test_of_a_sweep_the_chosen_seed_is_exported_and_said(sweep: Path, tmp_path: Path):
    chosen = read_json(sweep / "sweep.json")["chosen"]
    made = export_run(sweep, tmp_path / "out")
    assert read_json(tmp_path / "out" / "config.json")["seed"] == chosen
    assert f"seed {chosen} of 3" in made.choice
    assert f"seed {chosen} of 3" in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")


def test_interventions_are_in_no_file_and_asking_for_one_says_what_to_choose(
    run_of: Callable[..., Path], tmp_path: Path
):
    run = run_of("2.2")
    made = export_run(run, tmp_path / "out")
    assert made.files == {"baseline": "model.safetensors"}
    assert made.not_in_weights == ("suppressed", "repelled")
    with pytest.raises(ExportError, match=r"'suppressed' is an intervention.*Export 'baseline'"):
        export_run(run, tmp_path / "other", condition="suppressed")
    assert not (tmp_path / "other").exists()


def test_an_unknown_condition_names_the_nearest(run: Path, tmp_path: Path):
    with pytest.raises(UnknownNameError, match="Did you mean 'pruned'"):
        export_run(run, tmp_path / "out", condition="prund")


def test_a_private_upload_without_an_upload_is_refused(run: Path, tmp_path: Path):
    with pytest.raises(SettingError, match="owner/name"):
        export_run(run, tmp_path / "out", private=True)


def test_a_run_that_did_not_finish_is_refused(run: Path, sweep: Path, tmp_path: Path):
    for whole, advice in ((run, "Run the recipe again"), (sweep, "Go on with the command")):
        copy = Path(shutil.copytree(whole, tmp_path / whole.name))
        write_json(copy / "status.json", read_json(copy / "status.json") | {"status": "cancelled"})
        with pytest.raises(ExportError, match=f"cancelled.*{advice}"):
            export_run(copy, tmp_path / "out")


def test_a_sweep_in_which_no_seed_finished_is_refused(sweep: Path, tmp_path: Path):
    copy = Path(shutil.copytree(sweep, tmp_path / "sweep"))
    summed = read_json(copy / "sweep.json")
    failed = [{"seed": row["seed"], "failed": "diverged"} for row in summed["rows"]]
    write_json(copy / "sweep.json", summed | {"rows": failed, "chosen": None})
    with pytest.raises(ExportError, match="no seed finished"):
        export_run(copy, tmp_path / "out")


def test_a_run_of_shapes_is_refused(tmp_path: Path):
    with Record(tmp_path / "run", draw_shapes().spec(), {}):
        pass
    with pytest.raises(ExportError, match="trains no model"):
        export_run(tmp_path / "run", tmp_path / "out")


def test_damaged_weights_are_a_typed_error_and_nothing_is_written(run: Path, tmp_path: Path):
    copy = Path(shutil.copytree(run, tmp_path / "run"))
    whole = (copy / "model.safetensors").read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"\xff" * 100):
        (copy / "model.safetensors").write_bytes(damaged)
        with pytest.raises(RunError, match="cannot read the weights"):
            export_run(copy, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


def test_what_is_no_run_is_refused(tmp_path: Path):
    with pytest.raises(RunError, match="not a run directory"):
        export_run(tmp_path / "nowhere", tmp_path / "out")


def test_a_stub_that_computes_something_else_exports_nothing(
    run_of: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    run = run_of("2.7")
    wrong = tmp_path / "wrong.py"
    wrong.write_text(layers.STUB.read_text(encoding="utf-8").replace("dim=-1", "dim=-1, eps=10.0"))
    monkeypatch.setattr(run_folder, "STUB", wrong)
    with pytest.raises(ExportError, match="read back from the export"):
        export_run(run, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["wrong.py"]


def test_a_layer_that_the_stub_cannot_build_is_refused_by_name():
    with pytest.raises(ExportError, match="has a Tanh, which"):
        layers.describe_parts(nn.Sequential(nn.Linear(3, 3), nn.Tanh()))


def test_the_licence_of_an_export_is_that_of_the_source():
    root = Path(__file__).parent.parent.parent
    assert (run_folder.TEXTS / "LICENSE").read_bytes() == (root / "LICENSE").read_bytes()
