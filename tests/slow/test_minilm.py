"""Surgery on MiniLM, a sentence encoder of 22.7 million parameters: post-norm residual stream, LayerNorm, biases."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import excise
from excise import surgery
from excise.errors import SurgeryError
from peak import peak
from reworked import projected, reworked, zeroed

if TYPE_CHECKING:
    from transformers import BertModel

pytestmark = pytest.mark.slow

Batch = dict[str, Tensor]

MLP = "encoder.layer.1.intermediate.dense"
NEURONS = list(range(0, 1536, 24))
VALUES = "encoder.layer.2.attention.self.value"
HEADS = [*range(3 * 32, 4 * 32), *range(7 * 32, 8 * 32)]
STREAM = "encoder.layer.3"
STREAM_PASSES = (
    r"embeddings\.\w+(_embeddings|Norm)|encoder\.layer\.\d\.(attention\.)?output\.(dense|LayerNorm)"
)

ANIMALS = [
    "The fox slipped through a gap in the fence.",
    "Two herons stood in the shallow water.",
    "A hedgehog was asleep under the leaves.",
    "The mare and her foal grazed by the river.",
    "Swallows nest under the roof of the barn.",
    "A badger had dug up half of the lawn.",
    "The old dog would not leave the kitchen.",
    "Ants carried the crumbs along the wall.",
    "The owl turned its head without a sound.",
    "Trout hide below the stones of the stream.",
]
MONEY = [
    "The bank raised its interest rate again.",
    "She paid the invoice a week too late.",
    "Their savings lost a tenth of their value.",
    "The budget leaves nothing for repairs.",
    "He sold his shares before the merger.",
    "Taxes on imported steel were doubled.",
    "The loan must be repaid within five years.",
    "Profits fell for the third quarter in a row.",
    "A refund takes about ten working days.",
    "The auditor found two accounts unpaid.",
]


@pytest.fixture(scope="module")
def tokens(minilm_tokenizer: Any) -> Callable[[list[str]], Batch]:
    return lambda sentences: dict(minilm_tokenizer(sentences, return_tensors="pt", padding=True))


@pytest.fixture(scope="module")
def example(tokens: Callable[[list[str]], Batch]) -> Batch:
    return tokens(["A word.", "Some more words than that."])


@pytest.fixture(scope="module")
def fresh(tokens: Callable[[list[str]], Batch]) -> Batch:
    return tokens(ANIMALS + MONEY)


def pooled(model: nn.Module, batch: Batch) -> Tensor:
    """The mean over a sentence's tokens of the last layer's outputs `[sentence, d]`."""
    with torch.inference_mode():
        hidden = model(**batch).last_hidden_state
    mask = batch["attention_mask"][..., None]
    return (hidden * mask).sum(1) / mask.sum(1)


@pytest.fixture(scope="module")
def direction(minilm: "BertModel", tokens: Callable[[list[str]], Batch]) -> Tensor:
    """From money to animals `[d]`: the difference of the means over the first five sentences of each."""
    return pooled(minilm, tokens(ANIMALS[:5])).mean(0) - pooled(minilm, tokens(MONEY[:5])).mean(0)


Edits = dict[str, Callable[[], Any]]


@pytest.fixture(scope="module")
def edits(minilm: "BertModel", example: Batch, direction: Tensor) -> Edits:
    return {
        "64 neurons ablated": lambda: excise.ablate(minilm, MLP, NEURONS, example),
        "64 neurons pruned": lambda: excise.prune(minilm, MLP, NEURONS, example),
        "2 heads ablated": lambda: excise.ablate(minilm, VALUES, HEADS, example),
        "2 heads pruned": lambda: excise.prune(minilm, VALUES, HEADS, example),
        "a direction ablated": lambda: surgery.remove_subspace(
            minilm, STREAM, direction, mode="ablate", example_inputs=example
        ),
    }


EDITS = [
    "64 neurons ablated",
    "64 neurons pruned",
    "2 heads ablated",
    "2 heads pruned",
    "a direction ablated",
]


def distance(one: Tensor, other: Tensor) -> float:
    """The largest difference, in units of the largest number."""
    return float((one - other).abs().max() / other.abs().max())


@pytest.mark.parametrize("what", ["64 neurons", "2 heads"])
def test_pruned_equals_ablated_on_sentences_that_were_never_traced(edits: Edits, fresh: Batch, what: str):
    with torch.inference_mode():
        pruned = edits[f"{what} pruned"]()(**fresh).last_hidden_state
        ablated = edits[f"{what} ablated"]()(**fresh).last_hidden_state
    assert distance(pruned, ablated) <= 1e-4


@pytest.mark.parametrize("edit", ["64 neurons ablated", "2 heads ablated", "a direction ablated"])
def test_ablated_equals_a_forward_pass_without_the_features(
    minilm: "BertModel", edits: Edits, fresh: Batch, direction: Tensor, edit: str
):
    places, change = {
        "64 neurons ablated": (MLP, zeroed(NEURONS)),
        "2 heads ablated": (VALUES, zeroed(HEADS)),
        "a direction ablated": (STREAM_PASSES, projected(direction)),
    }[edit]
    with torch.inference_mode():
        before = minilm(**fresh).last_hidden_state
        with reworked(minilm, places, change):
            expected = minilm(**fresh).last_hidden_state
        assert distance(edits[edit]()(**fresh).last_hidden_state, expected) <= 1e-4
    assert distance(before, expected) > 1e-2


def test_the_direction_is_absent_behind_every_layer(
    minilm: "BertModel", edits: Edits, fresh: Batch, direction: Tensor
):
    unit = direction / direction.norm()

    def along(model: nn.Module) -> list[float]:
        with torch.inference_mode():
            states = model(**fresh, output_hidden_states=True).hidden_states
        return [float((state @ unit).abs().max() / state.norm(dim=-1).max()) for state in states]

    assert min(along(minilm)) > 0.02
    assert max(along(edits["a direction ablated"]())) <= 1e-5


@pytest.mark.parametrize("edit", EDITS)
def test_saved_and_reloaded_it_gives_the_same_outputs(
    minilm: "BertModel", edits: Edits, fresh: Batch, tmp_path: Path, edit: str
):
    edited = edits[edit]()
    surgery.save(edited, tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {"model.safetensors", "plan.json"}
    reloaded = surgery.load(type(minilm)(minilm.config), tmp_path).eval()
    with torch.inference_mode():
        assert torch.equal(reloaded(**fresh).last_hidden_state, edited(**fresh).last_hidden_state)


def test_a_narrower_mlp_in_every_layer_goes_through_save_pretrained(
    minilm: "BertModel", example: Batch, fresh: Batch, tmp_path: Path
):
    from transformers import AutoModel

    edited: Any = minilm
    for layer in range(6):
        edited = excise.prune(edited, f"encoder.layer.{layer}.intermediate.dense", NEURONS, example)
    edited.save_pretrained(tmp_path)
    reloaded = AutoModel.from_pretrained(tmp_path).eval()
    assert reloaded.config.intermediate_size == 1536 - len(NEURONS)
    with torch.inference_mode():
        assert torch.equal(reloaded(**fresh).last_hidden_state, edited(**fresh).last_hidden_state)


@pytest.mark.parametrize("edit", ["64 neurons ablated", "2 heads ablated"])
def test_ablated_features_go_through_save_pretrained(edits: Edits, fresh: Batch, tmp_path: Path, edit: str):
    from transformers import AutoModel

    edited = edits[edit]()
    edited.save_pretrained(tmp_path)
    reloaded = AutoModel.from_pretrained(tmp_path).eval()
    with torch.inference_mode():
        assert torch.equal(reloaded(**fresh).last_hidden_state, edited(**fresh).last_hidden_state)


@pytest.mark.parametrize("edit", ["64 neurons pruned", "2 heads pruned"])
def test_what_one_layer_alone_has_lost_is_refused_by_save_pretrained(edits: Edits, tmp_path: Path, edit: str):
    # A configuration of BERT has one MLP width for all layers, and takes the width of a head from their number.
    with pytest.raises(SurgeryError):
        edits[edit]().save_pretrained(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("edit", EDITS)
def test_what_the_sentences_lose_is_stated(
    minilm: "BertModel", edits: Edits, fresh: Batch, state: Callable[..., None], edit: str
):
    kept = functional.cosine_similarity(pooled(minilm, fresh), pooled(edits[edit](), fresh))
    state(f"MiniLM, {edit}: cosine of 20 sentences with themselves, mean", float(kept.mean()))
    state(f"MiniLM, {edit}: cosine of 20 sentences with themselves, least", float(kept.min()))
    assert kept.min() > 0.5
    assert kept.max() < 1 - 1e-5


def test_other_sentences_lose_what_told_animals_from_money(
    minilm: "BertModel",
    edits: Edits,
    tokens: Callable[[list[str]], Batch],
    state: Callable[..., None],
):
    def gap(model: nn.Module) -> float:
        """How far apart the centres of the subjects are, in units of a sentence's distance from its centre."""
        animals, money = pooled(model, tokens(ANIMALS[5:])), pooled(model, tokens(MONEY[5:]))
        within = torch.cat([animals - animals.mean(0), money - money.mean(0)]).norm(dim=-1).mean()
        return float((animals.mean(0) - money.mean(0)).norm() / within)

    before, after = gap(minilm), gap(edits["a direction ablated"]())
    state("MiniLM: animals from money, distance of centres by spread, before", before)
    state("MiniLM: animals from money, distance of centres by spread, without the direction", after)
    assert after < before


def test_tracing_and_editing_take_seconds_and_the_memory_of_one_more_model(
    minilm: "BertModel", example: Batch, state: Callable[..., None]
):
    size = sum(parameter.numel() * parameter.element_size() for parameter in minilm.parameters())

    def forward() -> Tensor:
        with torch.inference_mode():
            return minilm(**example).last_hidden_state

    _, forward_bytes = peak(forward)
    started = time.perf_counter()
    _, edit_bytes = peak(lambda: excise.prune(minilm, VALUES, HEADS, example))
    seconds = time.perf_counter() - started
    state("MiniLM: tracing and pruning 2 heads", seconds, "s")
    state("MiniLM: memory beside the model at the worst moment", edit_bytes / size, "models")
    state("MiniLM: memory of a forward pass", forward_bytes / size, "models")
    assert seconds < 10
    # The model itself was there before; what Python keeps of the trace gets a tenth.
    assert edit_bytes <= 1.1 * size + forward_bytes
