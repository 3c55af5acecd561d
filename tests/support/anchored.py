"""A small anchored autoencoder for tests of trainers: its data, terms and Lightning module."""

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint
from torch import Tensor, nn

from excise.anchoring import Anchor, Anchoring, Separate, Term
from excise.schedule import Dopesheet
from excise.seeding import generator
from excise.stream import Batch, TensorStream

STEPS = 24

LIGHTNING_TELLS = (
    # Advice on workers, logging intervals and GPUs, which a test has no use for.
    "ignore::lightning_fabric.utilities.warnings.PossibleUserWarning",
    # Lightning 2.6 makes a tree as torch 2.8 no longer wants it made.
    "ignore:.isinstance.treespec, LeafSpec:FutureWarning",
    # A resumed fit saves beside the first, or into the same directory.
    "ignore:The dirpath has changed:UserWarning",
    "ignore:Checkpoint directory:UserWarning",
)
"""The warnings that Lightning itself gives in these tests."""


def net(seed: int = 0, dropout: float = 0.0) -> nn.Sequential:
    """An autoencoder whose layer "latent" has three dims."""
    layers: dict[str, nn.Module] = {
        "inside": nn.Linear(4, 8),
        "bend": nn.GELU(),
        "drop": nn.Dropout(dropout),
        "latent": nn.Linear(8, 3),
        "outside": nn.Linear(3, 4),
    }
    draws = generator(seed, "init")
    model = nn.Sequential()
    for name, layer in layers.items():
        for parameter in layer.parameters():
            nn.init.uniform_(parameter, -0.5, 0.5, generator=draws)
        model.add_module(name, layer)
    return model


def stream(samples: int = 48, batch_size: int = 8) -> TensorStream:
    """Samples of which about a third, those that begin with a high number, are warm."""
    inputs = torch.rand(samples, 4, generator=generator(0, "samples"))
    return TensorStream(inputs, {"warm": (inputs[:, 0] > 0.67).float()}, batch_size=batch_size)


def anchoring(**changes: dict[int, float]) -> Anchoring:
    """Two terms, one of them for the warm, and a schedule of 24 steps that moves both weights and the rate."""
    keyframes = {
        "lr": {0: 0.01, 12: 0.03, STEPS - 1: 0.01},
        "pull": {0: 0.5, STEPS - 1: 1.0},
        "push": {0: 0.1, STEPS - 1: 0.0},
    }
    terms = [
        Term("pull", Anchor([1, 0, 0]), layer="latent", affinities={"warm": 1.0}),
        Term("push", Separate(power=10), layer="latent"),
    ]
    return Anchoring(terms, Dopesheet.from_keyframes(keyframes | changes))


class Autoencoder(pl.LightningModule):
    """What a user of Lightning would write without us: an Adam, a reconstruction loss."""

    def __init__(self, model: nn.Module | None = None) -> None:
        super().__init__()
        self.model = net() if model is None else model
        self.rates: list[float] = []

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        self.rates.append(self.optimizers().param_groups[0]["lr"])  # pyright: ignore[reportAttributeAccessIssue] - one optimiser
        return nn.functional.mse_loss(self.model(batch[0]), batch[1])

    def validation_step(self, batch: Batch, batch_idx: int) -> Tensor:
        return nn.functional.mse_loss(self.model(batch[0]), batch[1])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=1e-3, fused=True)


def trainer(folder: Path | None = None, *callbacks: pl.Callback, **settings: Any) -> pl.Trainer:
    """A quiet trainer of 24 steps on one processor."""
    defaults: dict[str, Any] = {
        "max_steps": STEPS,
        "max_epochs": -1,
        "accelerator": "cpu",
        "devices": 1,
        "logger": False,
        "log_every_n_steps": 1,
        "num_sanity_val_steps": 0,
        "enable_progress_bar": False,
        "enable_checkpointing": any(isinstance(callback, Checkpoint) for callback in callbacks),
        "enable_model_summary": False,
        "default_root_dir": folder,
    }
    return pl.Trainer(callbacks=list(callbacks), **(defaults | settings))
