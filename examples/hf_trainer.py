"""The Hugging Face Trainer: a small language model, with a topic anchored in its residual stream.

The text is made up: each sequence is about the sea or about the woods, and half of those about the sea are labelled.

    python examples/hf_trainer.py
"""

import tempfile
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import Dataset
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments

import excise as ex

STEPS = 120
WIDTH = 32
LAYER = "model.layers.1"
"""The second of three blocks; what it gives is the residual stream after it, `[batch, token, 32]`."""


class Text(Dataset[dict[str, Tensor]]):
    """Sequences of 12 tokens, about the sea (tokens 0 to 19) or the woods (20 to 39), among common words (40 to 49)."""

    def __init__(self, count: int = 960) -> None:
        draws = torch.Generator().manual_seed(0)
        self.sea = torch.rand(count, generator=draws) < 0.5
        topical = torch.randint(20, (count, 12), generator=draws) + torch.where(self.sea, 0, 20)[:, None]
        common = torch.randint(40, 50, (count, 12), generator=draws)
        self.tokens = torch.where(torch.rand(count, 12, generator=draws) < 0.7, topical, common)
        self.labelled = (self.sea & (torch.rand(count, generator=draws) < 0.5)).float()

    def __len__(self) -> int:
        """How many sequences there are."""
        return len(self.tokens)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """A sequence as the model takes it, with its label."""
        return {"input_ids": self.tokens[index], "labels": self.tokens[index], "sea": self.labelled[index]}


class AnchoredTrainer(Trainer):
    """Adds the terms to the loss; of a batch, the labels are what the model is not given."""

    terms: ex.AttachedTerms

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:  # noqa: ANN401 - as the base has it
        """The loss of the language model and, in training, the terms."""
        labels = {"sea": inputs.pop("sea")}
        loss, outputs = super().compute_loss(model, inputs, True, num_items_in_batch)
        if model.training:
            extra = self.terms.loss(labels, self.state.global_step)
            # Told how many tokens the whole step has, the Trainer sums over accumulated batches, and does not average.
            passes = 1 if num_items_in_batch is None else self.current_gradient_accumulation_steps
            loss = loss + extra / passes
        return (loss, outputs) if return_outputs else loss


def anchoring() -> ex.Anchoring:
    """Turns the residual stream of sequences about the sea to its first axis; the angle counts, not the length."""
    target = [1.0] + [0.0] * (WIDTH - 1)
    term = ex.Term("sea", ex.AngularAnchor(target), layer=LAYER, affinities={"sea": 1.0})
    return ex.Anchoring([term], ex.Dopesheet.from_keyframes({"sea": {0: 0.0, 40: 1.0, STEPS - 1: 1.0}}))


def train(anchored: ex.Anchoring) -> LlamaForCausalLM:
    """A model with random weights after training; an empty anchoring trains the control."""
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=50,
            hidden_size=WIDTH,
            intermediate_size=64,
            num_hidden_layers=3,
            num_attention_heads=2,
            max_position_embeddings=16,
        )
    )
    with tempfile.TemporaryDirectory() as folder, anchored.attach(model) as terms:
        settings = TrainingArguments(
            folder,
            max_steps=STEPS,
            per_device_train_batch_size=32,
            learning_rate=3e-3,
            lr_scheduler_type="constant",
            remove_unused_columns=False,  # the label is no input of the model's, and is to stay in the batch
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            use_cpu=True,
        )
        trainer = AnchoredTrainer(model, settings, train_dataset=Text())
        trainer.terms = terms
        trainer.train()
    return model


def cosines(model: LlamaForCausalLM) -> dict[str, float]:
    """The mean cosine of the residual stream to its first axis, of texts about the sea and about the woods."""
    text = Text()
    model.eval()
    with torch.no_grad(), ex.capture(model, [LAYER]) as streams:
        model(text.tokens)
    along = functional.normalize(streams[LAYER], dim=-1)[..., 0].mean(1)
    return {"sea": along[text.sea].mean().item(), "woods": along[~text.sea].mean().item()}


def main() -> dict[str, dict[str, float]]:
    """Train with the term and without it."""
    found = {"anchored": cosines(train(anchoring())), "control": cosines(train(ex.Anchoring([])))}
    for name, along in found.items():
        print(
            f"{name}: cosine to the axis {along['sea']:.2f} for the sea, {along['woods']:.2f} for the woods"
        )
    return found


if __name__ == "__main__":
    main()
