import copy
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from excise.errors import RunError, SurgeryError
from excise.surgery import ablate, edits_of, load, prune, remove_subspace, save

from .zoo import CASES, tensors

BY_NAME = {case.name: case for case in CASES}
EDITS = {"prune": prune, "ablate": ablate}


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Net(nn.Module):
    def __init__(self, width: int = 8, tied: bool = False) -> None:
        super().__init__()
        self.first = nn.Linear(4, width)
        self.norm = nn.BatchNorm1d(width)
        self.last = nn.Linear(width, 4)
        self.again = nn.Linear(width, 4)
        if tied:
            self.again.weight = self.last.weight

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.relu(self.norm(self.first(x)))
        return self.last(hidden) + self.again(hidden)


def net(seed: int = 0, **settings: Any) -> Net:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Net(**settings).eval()


def inputs(seed: int = 0) -> Tensor:
    return torch.randn(5, 4, generator=torch.Generator().manual_seed(seed))


def run(model: nn.Module, *x: Tensor) -> list[Tensor]:
    with torch.no_grad():
        return tensors(model(*x))


def same(some: list[Tensor], others: list[Tensor]) -> bool:
    return all(torch.equal(one, other) for one, other in zip(some, others, strict=True))


@pytest.fixture
def cut(tmp_path: Path) -> Path:
    """A pruned and then ablated `Net`, saved."""
    edited = ablate(prune(net(), "first", [1, 6], inputs()), "first", [2], inputs())
    save(edited, tmp_path / "cut")
    return tmp_path / "cut"


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("tied_embeddings_residual_stream", "prune"),
        ("tied_embeddings_residual_stream", "ablate"),
        ("conv_bn_flatten_linear", "prune"),
        ("hf_gpt2_value_head", "prune"),
        ("hf_llama_residual_stream", "prune"),
        ("hf_bert_residual_stream", "prune"),
        ("hf_bert_residual_stream", "ablate"),
    ],
)
def test_a_cut_of_the_zoo_comes_back_to_the_bit_on_a_model_of_other_weights(
    name: str, mode: str, tmp_path: Path
):
    case = BY_NAME[name]
    edited = EDITS[mode](case.model(), case.layer, case.dims, case.inputs(0))
    save(edited, tmp_path)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        fresh = case.build().eval()
    loaded = load(fresh, tmp_path)
    for seed in (1, 2):
        x = case.inputs(seed)
        assert same(run(loaded, *x), run(edited, *x))
        assert not same(run(loaded, *x), run(fresh, *x))
    assert edits_of(loaded) == edits_of(edited)


def test_the_folder_holds_weights_and_a_readable_plan_and_no_pickle(cut: Path):
    assert {file.name for file in cut.iterdir()} == {"model.safetensors", "plan.json"}
    plan = json.loads((cut / "plan.json").read_text(encoding="utf-8"))
    assert (plan["format"], plan["model"]) == (1, "Net")
    assert [(edit["mode"], edit["layer"], edit["dims"]) for edit in plan["edits"]] == [
        ("prune", "first", [1, 6]),
        ("ablate", "first", [2]),
    ]
    report = plan["edits"][0]["report"]
    assert report["exactness"] == "exact"
    assert (report["parameters_before"], report["parameters_after"]) == (128, 98)
    assert '"dims": [ 1, 6 ]' in (cut / "plan.json").read_text(encoding="utf-8")


def test_several_edits_come_back_with_their_reports_and_can_be_made_again(cut: Path):
    loaded = load(net(1), cut)
    first, second = edits_of(loaded)
    assert (first.mode, second.mode) == ("prune", "ablate")
    assert str(first.report).startswith("prune dims 1, 6 of first: 8 features")
    other = net(2)
    assert same(run(first.apply(other), inputs(3)), run(prune(other, "first", [1, 6]), inputs(3)))


def test_load_leaves_the_fresh_model_as_it_was(cut: Path):
    fresh = net(1)
    before = copy.deepcopy(fresh.state_dict())
    load(fresh, cut)
    assert all(torch.equal(before[name], held) for name, held in fresh.state_dict().items())
    assert not edits_of(fresh)


def test_a_cut_that_was_trained_further_keeps_its_new_weights_and_buffers(tmp_path: Path):
    edited = prune(net(), "first", [0], inputs()).train()
    optimizer = torch.optim.SGD(edited.parameters(), lr=0.1)
    for step in range(3):
        optimizer.zero_grad()
        edited(inputs(step)).square().mean().backward()
        optimizer.step()
    edited.eval()
    save(edited, tmp_path)
    loaded = load(net(1), tmp_path)
    assert same(run(loaded, inputs(5)), run(edited, inputs(5)))
    assert torch.equal(loaded.get_buffer("norm.running_mean"), edited.get_buffer("norm.running_mean"))


def test_tied_tensors_are_stored_once_and_tied_again(tmp_path: Path):
    edited = prune(net(tied=True), "first", [0], inputs())
    save(edited, tmp_path)
    names = load_file(tmp_path / "model.safetensors").keys()
    assert "last.weight" in names
    assert "again.weight" not in names
    loaded = load(net(1, tied=True), tmp_path)
    assert loaded.again.weight is loaded.last.weight
    assert same(run(loaded, inputs(1)), run(edited, inputs(1)))
    with safe_open(tmp_path / "model.safetensors", framework="pt") as file:
        assert file.metadata()["again.weight"] == "last.weight"


def test_views_of_one_tensor_are_kept_whole(tmp_path: Path):
    edited = prune(net(), "first", [0], inputs())
    edited.register_buffer("whole", torch.arange(6.0))
    edited.register_buffer("part", edited.get_buffer("whole")[2:4])
    save(edited, tmp_path)
    kept = load_file(tmp_path / "model.safetensors")
    assert kept["whole"].tolist() == [0, 1, 2, 3, 4, 5]
    assert kept["part"].tolist() == [2, 3]


def test_weights_under_a_parametrization_come_back(tmp_path: Path):
    def build(seed: int) -> Net:
        model = net(seed)
        parametrizations.weight_norm(model.first)
        return model

    edited = prune(build(0), "first", [1, 6], inputs())
    save(edited, tmp_path)
    loaded = load(build(1), tmp_path)
    assert same(run(loaded, inputs(1)), run(edited, inputs(1)))
    assert "first.parametrizations.weight.original1" in loaded.state_dict()


@pytest.mark.parametrize("mode", ["prune", "ablate"])
def test_a_removed_direction_comes_back(mode: Any, tmp_path: Path):
    def build(seed: int) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return nn.Sequential(nn.Linear(4, 6), nn.Linear(6, 3))

    edited = remove_subspace(build(0), "0", torch.arange(6.0), mode, inputs())
    save(edited, tmp_path)
    assert same(run(load(build(1), tmp_path), inputs(1)), run(edited, inputs(1)))


def test_a_narrower_type_is_widened_and_a_wider_one_refused(tmp_path: Path):
    half = prune(net(), "first", [0], inputs()).half()
    save(half, tmp_path / "half")
    assert torch.equal(load(net(1), tmp_path / "half").first.weight, half.first.weight.float())
    save(prune(net().double(), "first", [0], inputs().double()), tmp_path / "double")
    with pytest.raises(SurgeryError) as caught:
        load(net(1), tmp_path / "double")
    assert str(caught.value) == (
        f"the weights in {tmp_path / 'double' / 'model.safetensors'} do not fit this Net: 'first.weight' is "
        f"torch.float64 in the file and torch.float32 in the model, which would lose digits; build the model with "
        f"`.to(torch.float64)`."
    )


def test_saving_again_replaces_the_cut(cut: Path):
    edited = prune(net(), "first", [0], inputs())
    save(edited, cut)
    assert same(run(load(net(1), cut), inputs(1)), run(edited, inputs(1)))
    assert len(list(cut.iterdir())) == 2


def test_a_save_that_fails_leaves_the_former_cut_whole(cut: Path, monkeypatch: pytest.MonkeyPatch):
    before = load(net(1), cut)

    def full(*_arguments: Any, **_keywords: Any):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("excise.surgery.weights.save_file", full)
    with pytest.raises(RunError, match="No space left on device"):
        save(prune(net(), "first", [0], inputs()), cut)
    assert same(run(load(net(1), cut), inputs()), run(before, inputs()))
    assert {file.name for file in cut.iterdir()} == {"model.safetensors", "plan.json"}


def test_a_model_that_no_edit_made_is_refused(tmp_path: Path):
    with pytest.raises(SurgeryError) as caught:
        save(net(), tmp_path)
    assert str(caught.value) == (
        "no edit made this Net, so there is no plan to save with it. `excise.surgery.plan(...).apply(model)`, "
        "`excise.prune` and `excise.ablate` make such models; a copy of one does not count. Another model's weights "
        "are kept by `safetensors.torch.save_model`."
    )
    assert not list(tmp_path.iterdir())


def test_a_state_that_is_no_tensor_is_refused(tmp_path: Path):
    class Noted(Net):
        def get_extra_state(self) -> Any:
            return {"note": 1}

        def set_extra_state(self, state: Any) -> None:
            pass

    with pytest.raises(
        SurgeryError, match=r"'_extra_state' in the state of this Noted is no tensor but a dict"
    ):
        save(prune(Noted().eval(), "first", [0], inputs()), tmp_path)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_refused(tmp_path: Path):
    tmp_path.chmod(0o500)
    with pytest.raises(RunError, match="cannot"):
        save(prune(net(), "first", [0], inputs()), tmp_path)


def test_a_file_in_the_folders_place_is_refused(tmp_path: Path):
    (tmp_path / "cut").write_text("mine", encoding="utf-8")
    with pytest.raises(RunError, match=r"cannot make the folder .*cut: File exists"):
        save(prune(net(), "first", [0], inputs()), tmp_path / "cut")


OTHER_MODELS: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "class": (
        lambda: nn.Sequential(nn.Linear(4, 8)),
        "this Sequential is not built as the model was from which {cut} was cut: the cut is of a Net and this is a "
        "Sequential. Build it with the settings that it had before the edits.",
    ),
    "width": (
        lambda: net(width=9),
        "this Net is not built as the model was from which {cut} was cut: 'first.weight' has size 8 on axis 0 there "
        "and is [9, 4] here (edit 1 of 2, prune of 'first'). Build it with the settings that it had before the edits.",
    ),
}


@pytest.mark.parametrize("kind", OTHER_MODELS)
def test_another_model_is_refused_by_what_differs(kind: str, cut: Path):
    build, text = OTHER_MODELS[kind]
    with pytest.raises(SurgeryError) as caught:
        load(build(), cut)
    assert str(caught.value) == text.format(cut=cut)


def test_a_tensor_that_the_fresh_model_lacks_is_named(cut: Path):
    fresh = net()
    fresh.first = nn.Linear(4, 8, bias=False)
    with pytest.raises(SurgeryError, match=r"there is no tensor 'first.bias' here \(edit 1 of 2"):
        load(fresh, cut)


def test_an_edited_model_is_no_fresh_one(cut: Path):
    with pytest.raises(SurgeryError, match="this Net is an edited one; a freshly built one is wanted"):
        load(ablate(net(), "first", [0], inputs()), cut)


def test_a_model_without_numbers_is_refused(cut: Path):
    with torch.device("meta"):
        fresh = Net()
    with pytest.raises(
        SurgeryError, match=r"'first.weight' is on the meta device.* build it on the CPU or a GPU"
    ):
        load(fresh, cut)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda kept: kept.pop("last.bias"), "the file lacks 'last.bias'"),
        (lambda kept: kept.update(more=torch.ones(1)), "the model lacks 'more'"),
        (
            lambda kept: kept.update({"last.bias": torch.ones(3)}),
            "'last.bias' is [3] in the file and [4] in the model",
        ),
    ],
)
def test_weights_that_do_not_fit_are_named(cut: Path, change: Callable[[dict[str, Tensor]], Any], text: str):
    kept = load_file(cut / "model.safetensors")
    change(kept)
    save_file(kept, cut / "model.safetensors")
    with pytest.raises(SurgeryError) as caught:
        load(net(), cut)
    assert str(caught.value) == f"the weights in {cut / 'model.safetensors'} do not fit this Net: {text}."


def test_other_ties_than_the_saved_ones_are_refused(tmp_path: Path):
    save(prune(net(tied=True), "first", [0], inputs()), tmp_path / "tied")
    with pytest.raises(
        SurgeryError, match=r"'again.weight' and 'last.weight' are one tensor in the file and two in"
    ):
        load(net(), tmp_path / "tied")
    save(prune(net(), "first", [0], inputs()), tmp_path / "apart")
    with pytest.raises(
        SurgeryError, match=r"'last.weight' and 'again.weight' are two tensors there and one here"
    ):
        load(net(tied=True), tmp_path / "apart")
    save(ablate(net(), "first", [0], inputs()), tmp_path / "apart")
    with pytest.raises(SurgeryError, match=r"are one tensor in the model and two in the file"):
        load(net(tied=True), tmp_path / "apart")


def changed(cut: Path, **entries: Any) -> None:
    plan = json.loads((cut / "plan.json").read_text(encoding="utf-8"))
    (cut / "plan.json").write_text(json.dumps(plan | entries), encoding="utf-8")


def damage_number(cut: Path) -> None:
    edits = json.loads((cut / "plan.json").read_text(encoding="utf-8"))["edits"]
    edits[0]["rewrite"]["shrinks"][0]["kept"] = [99]
    edits[0]["rewrite"]["shrinks"][0]["kept_shape"] = [1]
    changed(cut, edits=edits)


DAMAGES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no plan": (lambda cut: (cut / "plan.json").unlink(), "holds no cut: there is no plan.json in it"),
    "no JSON": (lambda cut: (cut / "plan.json").write_text("{", encoding="utf-8"), "plan.json is not JSON"),
    "a list": (lambda cut: (cut / "plan.json").write_text("[]", encoding="utf-8"), "a JSON object is wanted"),
    "a later format": (
        lambda cut: changed(cut, format=2),
        r"has format 2; this version of excise .* reads format 1",
    ),
    "an unknown key": (lambda cut: changed(cut, more=1), "is damaged: more: Extra inputs are not permitted"),
    "no edits": (lambda cut: changed(cut, edits=[]), "is damaged: edits: Tuple should have at least 1 item"),
    "a wrong number": (damage_number, r"edit 1 in .*plan.json cannot be made on this Net \(IndexError"),
    "no weights": (
        lambda cut: (cut / "model.safetensors").unlink(),
        "cannot read .*No such file or directory",
    ),
    "no safetensors": (lambda cut: (cut / "model.safetensors").write_bytes(b"PK"), "is no safetensors file"),
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_folder_is_refused(kind: str, cut: Path):
    damage, text = DAMAGES[kind]
    damage(cut)
    with pytest.raises((SurgeryError, RunError), match=text):
        load(net(), cut)


@pytest.mark.parametrize("inner", ["rewrite", "report"])
def test_an_unknown_key_inside_an_edit_is_refused(cut: Path, inner: str):
    edits = json.loads((cut / "plan.json").read_text(encoding="utf-8"))["edits"]
    edits[1][inner]["more"] = 1
    changed(cut, edits=edits)
    with pytest.raises(SurgeryError, match=rf"is damaged: edits.1.{inner}.more"):
        load(net(), cut)
