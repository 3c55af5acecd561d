"""Surgery on SmolLM2, a language model of 135 million parameters: pre-norm stream, RMSNorm, shared keys and values."""

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn

import excise
from excise import surgery
from excise.errors import SurgeryError
from peak import peak
from reworked import projected, reworked, zeroed

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM

pytestmark = pytest.mark.slow

MLP = "model.layers.10.mlp.up_proj"
NEURONS = list(range(0, 1536, 16))
VALUES = "model.layers.3.self_attn.v_proj"
# One of three: three heads of queries go with it.
VALUE_HEAD = list(range(64, 128))
STREAM = "model.layers.14"
STREAM_PASSES = r"model\.(embed_tokens|norm|layers\.\d+\.(self_attn\.o_proj|mlp\.down_proj|\w+_layernorm))"
STREAM_WRITERS = r"model\.(embed_tokens|norm|layers\.\d+\.(self_attn\.o_proj|mlp\.down_proj))"
EMBEDDING = "model.embed_tokens"
# What is left must be a multiple of the 9 heads, or the configuration is refused by its own check.
FEATURES = list(range(5, 576, 64))

ENGLISH = [
    "The train to the coast leaves at six in the morning.",
    "She had forgotten her umbrella at her sister's house.",
    "We would like to reserve a table for four people.",
    "The children are playing in the garden behind the school.",
    "He reads the newspaper every evening after dinner.",
    "The doctor told him to drink more water and to sleep.",
]
FRENCH = [
    "Le train pour la côte part à six heures du matin.",
    "Elle avait oublié son parapluie chez sa sœur.",
    "Nous voudrions réserver une table pour quatre personnes.",
    "Les enfants jouent dans le jardin derrière l'école.",
    "Il lit le journal tous les soirs après le dîner.",
    "Le médecin lui a dit de boire plus d'eau et de dormir.",
]
ENGLISH_TEXT = (
    "The lighthouse had been dark for eleven years when the new keeper arrived. He carried his boxes up the "
    "stairs, opened the windows to let out the smell of damp stone, and spent the first week cleaning the lamp. "
    "Nobody had asked him to light it. The ships that passed were guided by satellites now, and the harbour "
    "below was used only by a few fishermen who knew every rock by heart. Still, on the eighth evening, when a "
    "storm came in from the west, he climbed to the top and turned the switch. In the morning there was a basket "
    "of fish on his doorstep, and a note that said thank you."
)
FRENCH_TEXT = (
    "Le phare était éteint depuis onze ans quand le nouveau gardien arriva. Il monta ses caisses par l'escalier, "
    "ouvrit les fenêtres et passa la première semaine à nettoyer la lampe. Personne ne lui avait demandé de "
    "l'allumer. Le huitième soir, une tempête arriva de l'ouest et il tourna l'interrupteur."
)

Edits = dict[str, Callable[[], Any]]


@pytest.fixture(scope="module")
def example() -> dict[str, Any]:
    """Eight tokens, without the cache of keys and values that only generation needs."""
    return {"input_ids": torch.arange(1000, 1008)[None], "use_cache": False}


@pytest.fixture(scope="module")
def fresh(smollm2_tokenizer: Any) -> Tensor:
    """The tokens of a paragraph `[1, token]`, none of which was traced."""
    return smollm2_tokenizer(ENGLISH_TEXT, return_tensors="pt")["input_ids"]


def logits(model: nn.Module, tokens: Tensor) -> Tensor:
    with torch.inference_mode():
        return model(input_ids=tokens, use_cache=False).logits


def loss(model: nn.Module, tokens: Tensor) -> float:
    """The mean loss of the next token, in nats."""
    return float(nn.functional.cross_entropy(logits(model, tokens)[0, :-1], tokens[0, 1:]))


@pytest.fixture(scope="module")
def direction(smollm2: "LlamaForCausalLM", smollm2_tokenizer: Any) -> Tensor:
    """From English to French `[d]`: the difference of the means over tokens, in the middle of the model."""

    def center(sentences: list[str]) -> Tensor:
        with torch.inference_mode():
            states = [
                smollm2(
                    **smollm2_tokenizer(sentence, return_tensors="pt"),
                    output_hidden_states=True,
                    use_cache=False,
                ).hidden_states[15][0, 1:]
                for sentence in sentences
            ]
        # The first token is left out: its state is a hundred times longer than any other's.
        return torch.cat(states).mean(0)

    return center(FRENCH) - center(ENGLISH)


@pytest.fixture(scope="module")
def edits(smollm2: "LlamaForCausalLM", example: dict[str, Any], direction: Tensor) -> Edits:
    return {
        "96 neurons ablated": lambda: excise.ablate(smollm2, MLP, NEURONS, example),
        "96 neurons pruned": lambda: excise.prune(smollm2, MLP, NEURONS, example),
        "a head of values ablated": lambda: excise.ablate(smollm2, VALUES, VALUE_HEAD, example),
        "a head of values pruned": lambda: excise.prune(smollm2, VALUES, VALUE_HEAD, example),
        "9 features of the stream ablated": lambda: excise.ablate(smollm2, EMBEDDING, FEATURES, example),
        "9 features of the stream pruned": lambda: excise.prune(smollm2, EMBEDDING, FEATURES, example),
        "a direction ablated": lambda: surgery.remove_subspace(
            smollm2, STREAM, direction, mode="ablate", example_inputs=example
        ),
    }


EDITS = [
    "96 neurons ablated",
    "96 neurons pruned",
    "a head of values ablated",
    "a head of values pruned",
    "9 features of the stream ablated",
    "9 features of the stream pruned",
    "a direction ablated",
]


def distance(one: Tensor, other: Tensor) -> float:
    """The largest difference, in units of the largest number."""
    return float((one - other).abs().max() / other.abs().max())


@pytest.mark.parametrize("what", ["96 neurons", "a head of values", "9 features of the stream"])
def test_pruned_equals_ablated_on_a_text_that_was_never_traced(edits: Edits, fresh: Tensor, what: str):
    pruned, ablated = logits(edits[f"{what} pruned"](), fresh), logits(edits[f"{what} ablated"](), fresh)
    assert distance(pruned, ablated) <= 1e-4


@pytest.mark.parametrize("edit", [edit for edit in EDITS if "ablated" in edit])
def test_ablated_equals_a_forward_pass_without_the_features(
    smollm2: "LlamaForCausalLM", edits: Edits, fresh: Tensor, direction: Tensor, edit: str
):
    places, change = {
        "96 neurons ablated": (MLP, zeroed(NEURONS)),
        "a head of values ablated": (VALUES, zeroed(VALUE_HEAD)),
        "9 features of the stream ablated": (STREAM_PASSES, zeroed(FEATURES)),
        # To the norms inside nothing of it comes; behind the last one the tied embedding, as a reader, lacks it too.
        "a direction ablated": (STREAM_WRITERS, projected(direction)),
    }[edit]
    before = logits(smollm2, fresh)
    with reworked(smollm2, places, change):
        expected = logits(smollm2, fresh)
    assert distance(logits(edits[edit](), fresh), expected) <= 1e-4
    assert distance(before, expected) > 1e-3


def test_the_direction_is_absent_behind_every_layer(
    smollm2: "LlamaForCausalLM", edits: Edits, fresh: Tensor, direction: Tensor
):
    unit = direction / direction.norm()

    def along(model: nn.Module) -> list[float]:
        with torch.inference_mode():
            states = model(input_ids=fresh, use_cache=False, output_hidden_states=True).hidden_states
        # The last one is behind the final norm, whose gain turns directions.
        return [float((state @ unit).abs().max() / state.norm(dim=-1).max()) for state in states[:-1]]

    assert min(along(smollm2)) > 1e-3
    assert max(along(edits["a direction ablated"]())) <= 1e-5


@pytest.mark.parametrize("edit", EDITS)
def test_saved_and_reloaded_it_gives_the_same_outputs(
    smollm2: "LlamaForCausalLM", edits: Edits, fresh: Tensor, tmp_path: Path, edit: str
):
    edited = edits[edit]()
    surgery.save(edited, tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {"model.safetensors", "plan.json"}
    reloaded = surgery.load(type(smollm2)(smollm2.config), tmp_path).eval()
    assert torch.equal(logits(reloaded, fresh), logits(edited, fresh))
    assert reloaded.lm_head.weight is reloaded.model.embed_tokens.weight


def test_a_narrower_stream_goes_through_save_pretrained(edits: Edits, fresh: Tensor, tmp_path: Path):
    from transformers import AutoModelForCausalLM

    edited = edits["9 features of the stream pruned"]()
    edited.save_pretrained(tmp_path)
    reloaded = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    assert reloaded.config.hidden_size == 576 - len(FEATURES)
    # Without these two the norms would divide by another length, and heads would be 63 wide.
    assert reloaded.config.rms_norm_eps == pytest.approx(1e-5 * 576 / (576 - len(FEATURES)), rel=1e-6)
    assert reloaded.config.head_dim == 64
    assert torch.equal(logits(reloaded, fresh), logits(edited, fresh))


@pytest.mark.parametrize("edit", ["96 neurons ablated", "a head of values ablated"])
def test_ablated_features_go_through_save_pretrained(edits: Edits, fresh: Tensor, tmp_path: Path, edit: str):
    from transformers import AutoModelForCausalLM

    edited = edits[edit]()
    edited.save_pretrained(tmp_path)
    reloaded = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    assert torch.equal(logits(reloaded, fresh), logits(edited, fresh))


@pytest.mark.parametrize("edit", ["96 neurons pruned", "a head of values pruned"])
def test_what_one_layer_alone_has_lost_is_refused_by_save_pretrained(edits: Edits, tmp_path: Path, edit: str):
    # A configuration of Llama has one MLP width and one number of heads for all layers.
    with pytest.raises(SurgeryError):
        edits[edit]().save_pretrained(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("edit", EDITS)
def test_what_a_text_loses_is_stated(
    smollm2: "LlamaForCausalLM", edits: Edits, fresh: Tensor, state: Callable[..., None], edit: str
):
    before, after = loss(smollm2, fresh), loss(edits[edit](), fresh)
    state(f"SmolLM2, {edit}: loss of the next token of an English text, before", before, "nats")
    state(f"SmolLM2, {edit}: loss of the next token of an English text, after", after, "nats")
    assert after < math.log(49152)


def test_english_and_french_both_lose_with_the_direction_from_one_to_the_other(
    smollm2: "LlamaForCausalLM",
    smollm2_tokenizer: Any,
    edits: Edits,
    state: Callable[..., None],
):
    french = smollm2_tokenizer(FRENCH_TEXT, return_tensors="pt")["input_ids"]
    before, after = loss(smollm2, french), loss(edits["a direction ablated"](), french)
    state("SmolLM2: loss of the next token of a French text, before", before, "nats")
    state("SmolLM2: loss of the next token of a French text, without the direction", after, "nats")
    assert after - before > 1


def test_tracing_and_editing_take_seconds_and_the_memory_of_one_more_model(
    smollm2: "LlamaForCausalLM", example: dict[str, Any], state: Callable[..., None]
):
    size = sum(parameter.numel() * parameter.element_size() for parameter in smollm2.parameters())
    _, forward_bytes = peak(lambda: logits(smollm2, example["input_ids"]))
    started = time.perf_counter()
    _, edit_bytes = peak(lambda: excise.prune(smollm2, VALUES, VALUE_HEAD, example))
    seconds = time.perf_counter() - started
    state("SmolLM2: tracing and pruning a head of values", seconds, "s")
    state("SmolLM2: memory beside the model at the worst moment", edit_bytes / size, "models")
    state("SmolLM2: memory of a forward pass", forward_bytes / size, "models")
    assert seconds < 60
    # The model itself was there before; what Python keeps of the trace gets a tenth.
    assert edit_bytes <= 1.1 * size + forward_bytes
