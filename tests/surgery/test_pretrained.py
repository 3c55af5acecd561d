import copy
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from excise.errors import SurgeryError
from excise.surgery import ablate, edits_of, load, prune, save

from .zoo import tensors
from .zoo.case import floats, tokens
from .zoo.hf import hf
from .zoo.hf_decoders import gpt2, llama, mixtral, qwen_moe
from .zoo.hf_encoders import bert, distilbert, vit

Build = Callable[[], nn.Module]


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


WORDS = tokens()(0)
PICTURE = floats(2, 3, 8, 8)(0)


def seeded(build: Build, seed: int = 0) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build().eval()


def run(model: nn.Module, x: tuple[Tensor, ...]) -> Tensor:
    with torch.no_grad():
        return tensors(model(*x))[0]


def pruned(model: Any, layers: Iterable[str], dims: Iterable[int], x: tuple[Tensor, ...] = WORDS) -> Any:
    for layer in layers:
        model = prune(model, layer, dims, x)
    return model


def both(layer: str) -> list[str]:
    return [layer.format(at) for at in (0, 1)]


LLAMA_MLP = both("model.layers.{}.mlp.up_proj")
LLAMA_VALUES = both("model.layers.{}.self_attn.v_proj")
FOUR, HEAD = [2, 3, 4, 11], [4, 5, 6, 7]

EXPRESSIBLE: dict[str, tuple[Build, list[str], list[int], tuple[Tensor, ...], dict[str, Any]]] = {
    "llama mlp": (llama, LLAMA_MLP, [0, 9], WORDS, {"intermediate_size": 22}),
    "llama heads": (llama, LLAMA_VALUES, HEAD, WORDS, {"num_attention_heads": 2, "num_key_value_heads": 1}),
    "llama stream": (
        llama,
        ["model.layers.0"],
        FOUR,
        WORDS,
        {"hidden_size": 12, "head_dim": 4, "rms_norm_eps": pytest.approx(1e-3 * 16 / 12)},
    ),
    "mixtral stream": (
        mixtral,
        ["model.embed_tokens"],
        [14],
        WORDS,
        {"hidden_size": 15, "head_dim": 4, "rms_norm_eps": pytest.approx(1e-3 * 16 / 15)},
    ),
    "qwen2 moe shared expert": (
        qwen_moe,
        both("model.layers.{}.mlp.shared_expert.gate_proj"),
        [2, 11],
        WORDS,
        {"shared_expert_intermediate_size": 10},
    ),
    "gpt2 mlp": (gpt2, both("transformer.h.{}.mlp.c_fc"), [1, 60], WORDS, {"n_inner": 62}),
    "bert mlp": (
        bert,
        both("bert.encoder.layer.{}.intermediate.dense"),
        [0, 30],
        WORDS,
        {"intermediate_size": 30},
    ),
    "distilbert mlp": (
        distilbert,
        both("distilbert.transformer.layer.{}.ffn.lin1"),
        [7],
        WORDS,
        {"hidden_dim": 31},
    ),
    "vit mlp": (vit, both("vit.layers.{}.mlp.fc1"), [0], PICTURE, {"intermediate_size": 31}),
    "vit heads": (
        vit,
        both("vit.layers.{}.attention.v_proj"),
        HEAD,
        PICTURE,
        {"num_attention_heads": 3, "head_dim": 4},
    ),
}


@pytest.mark.parametrize("name", EXPRESSIBLE)
def test_what_a_config_can_say_goes_through_save_pretrained(name: str, tmp_path: Path):
    build, layers, dims, x, expected = EXPRESSIBLE[name]
    model = seeded(build)
    config = copy.deepcopy(model.config.to_dict())
    edited = pruned(model, layers, dims, x)
    assert {field: getattr(edited.config, field) for field in expected} == expected
    edited.save_pretrained(tmp_path)
    # Which code runs the experts is no part of the config; the usual one takes widths of four alone.
    choice = {"experts_implementation": "eager"} if name.startswith(("mixtral", "qwen2")) else {}
    reloaded = type(model).from_pretrained(tmp_path, **choice).eval()
    assert torch.equal(run(reloaded, x), run(edited, x))
    assert (run(edited, x) - run(model, x)).abs().max() > 1e-3
    assert model.config.to_dict() == config
    for path, module in reloaded.named_modules():
        noted = {key: value for key, value in vars(module).items() if type(value) is int}
        assert noted == {key: vars(edited.get_submodule(path))[key] for key in noted}, path


UNSAID: dict[str, tuple[Build, list[str], list[int], str]] = {
    "one layer of llama": (
        llama,
        ["model.layers.1.mlp.up_proj"],
        [0, 9],
        "no LlamaConfig can say what this edited LlamaForCausalLM is, so that `from_pretrained` would build another "
        "model: 'model.layers.1.mlp.down_proj.weight' is [16, 22], and [16, 24] in a fresh one; "
        "'model.layers.1.mlp.gate_proj.weight' is [22, 16], and [24, 16] in a fresh one; "
        "'model.layers.1.mlp.up_proj.weight' is [22, 16], and [24, 16] in a fresh one. Edit every layer alike where "
        "the config has one number for all of them, or keep it with `excise.surgery.save(model, folder)` and get it "
        "back with `excise.surgery.load(fresh_model, folder)`.",
    ),
    "a width that no number of heads divides": (
        llama,
        ["model.layers.0"],
        [2, 11],
        "With hidden_size = 14, it says: Class validation error for validator 'validate_architecture': ValueError: "
        "The hidden size (14) is not a multiple of the number of attention heads (4). ",
    ),
    "heads of bert": (
        bert,
        both("bert.encoder.layer.{}.attention.self.value"),
        HEAD,
        "With num_attention_heads = 3, it says: The hidden size (16) is not a multiple of the number of attention "
        "heads (3). ",
    ),
    "stream of bert": (
        bert,
        ["bert.embeddings"],
        [3, 4],
        "'bert.embeddings.LayerNorm' is a NarrowedLayerNorm, and a LayerNorm in a fresh one; ",
    ),
}


@pytest.mark.parametrize("name", UNSAID)
def test_what_no_config_can_say_is_refused_and_kept_by_our_own_save(name: str, tmp_path: Path):
    build, layers, dims, text = UNSAID[name]
    model = seeded(build)
    edited = pruned(model, layers, dims)
    with pytest.raises(SurgeryError) as caught:
        edited.save_pretrained(tmp_path)
    assert text in str(caught.value)
    assert str(caught.value).endswith("get it back with `excise.surgery.load(fresh_model, folder)`.")
    assert not list(tmp_path.iterdir())
    assert edited.config.to_dict() == model.config.to_dict()
    save(edited, tmp_path)
    loaded = load(seeded(build, 1), tmp_path)
    assert torch.equal(run(loaded, WORDS), run(edited, WORDS))
    with pytest.raises(SurgeryError, match="can say what this edited"):
        loaded.save_pretrained(tmp_path / "theirs")


def test_a_copy_refuses_until_the_last_layer_is_like_the_others(tmp_path: Path):
    first, second = LLAMA_MLP
    half = pruned(seeded(llama), [first], [0, 9])
    with pytest.raises(SurgeryError):
        half.save_pretrained(tmp_path)
    with pytest.raises(SurgeryError):
        copy.deepcopy(half).save_pretrained(tmp_path)
    with pytest.raises(SurgeryError):
        half.model.save_pretrained(tmp_path)
    with pytest.raises(SurgeryError):
        ablate(half, second, [1], WORDS).save_pretrained(tmp_path)
    assert not list(tmp_path.iterdir())
    whole = pruned(half, [second], [3, 4])
    whole.save_pretrained(tmp_path)
    assert torch.equal(run(type(whole).from_pretrained(tmp_path), WORDS), run(whole, WORDS))
    assert len(edits_of(whole)) == 2
    with pytest.raises(SurgeryError):
        half.save_pretrained(tmp_path)


def test_a_loaded_cut_has_the_config_of_the_saved_one(tmp_path: Path):
    edited = pruned(seeded(llama), LLAMA_MLP, [0, 9])
    save(edited, tmp_path / "ours")
    loaded = load(seeded(llama, 1), tmp_path / "ours")
    assert loaded.config.intermediate_size == 22
    loaded.save_pretrained(tmp_path / "theirs")
    assert torch.equal(run(type(loaded).from_pretrained(tmp_path / "theirs"), WORDS), run(edited, WORDS))


@pytest.mark.parametrize("build", [llama, gpt2], ids=["llama", "gpt2"])
def test_an_ablated_model_keeps_its_config_and_saves(build: Build, tmp_path: Path):
    model = seeded(build)
    layer = "model.layers.1.mlp.up_proj" if build is llama else "transformer.h.1.mlp.c_fc"
    edited = ablate(model, layer, [0, 9], WORDS)
    assert edited.config.to_dict() == model.config.to_dict()
    edited.save_pretrained(tmp_path)
    assert torch.equal(run(type(model).from_pretrained(tmp_path), WORDS), run(edited, WORDS))


def test_equal_shapes_with_another_function_are_refused(tmp_path: Path):
    # Its output is divided by the square root of the width, which the edited model goes on doing by the old one.
    t5 = hf(
        "T5", "ForConditionalGeneration", vocab_size=24, d_model=16, d_kv=4, d_ff=24, num_layers=1, num_heads=4,
        use_cache=False, decoder_start_token_id=0, pad_token_id=0,
    )  # fmt: skip
    x = {"input_ids": WORDS[0], "decoder_input_ids": WORDS[0][:, :3]}
    edited = prune(seeded(t5), "encoder.embed_tokens", FOUR, x, may_change_output=True)
    with pytest.raises(SurgeryError, match=r"with d_model = 12, .* same weights computes another function"):
        edited.save_pretrained(tmp_path)


def test_norms_that_disagree_about_eps_are_refused(tmp_path: Path):
    model = seeded(llama)
    model.model.norm.variance_epsilon = 1e-2
    edited = pruned(model, ["model.layers.0"], FOUR)
    with pytest.raises(SurgeryError, match="can say what this edited LlamaForCausalLM is"):
        edited.save_pretrained(tmp_path)


class Wrapper(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.text = bert()
        self.head = nn.Linear(2, 2)

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.text(ids).logits)


def test_a_pretrained_model_inside_another_module_follows_too(tmp_path: Path):
    wrapper = seeded(Wrapper)
    layers = both("text.bert.encoder.layer.{}.intermediate.dense")
    half = pruned(wrapper, layers[:1], [0])
    with pytest.raises(SurgeryError, match="no BertConfig can say"):
        half.text.save_pretrained(tmp_path)
    whole = pruned(half, layers[1:], [5])
    assert whole.text.config.intermediate_size == 31
    assert wrapper.text.config.intermediate_size == 32


def test_what_random_generators_give_next_is_not_changed():
    model = seeded(bert)
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    edited = pruned(model.train(), both("bert.encoder.layer.{}.intermediate.dense"), [0])
    assert torch.equal(torch.rand(3), expected)
    assert edited.training
    assert edited.bert.encoder.training


def test_the_library_is_not_imported_for_models_that_are_not_of_it():
    code = (
        "import sys, torch; from torch import nn; import excise; "
        "excise.prune(nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)), '0', [1]); print('transformers' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"
