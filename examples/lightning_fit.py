"""The same in PyTorch Lightning: the module knows nothing of excise, a callback anchors it.

python examples/lightning_fit.py
"""

from collections import OrderedDict
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

import excise as ex
from excise.training.lightning import AnchoringCallback

STEPS = 300


def warm_points() -> tuple[Tensor, Tensor, Tensor]:
    """A thousand points `[sample, 4]`, which of them are warm, and which are labelled so: half of those."""
    draws = torch.Generator().manual_seed(0)
    points = torch.rand(1000, 4, generator=draws)
    warm = points[:, 0] > 0.7
    return points, warm, (warm & (torch.rand(1000, generator=draws) < 0.5)).float()


def autoencoder() -> nn.Sequential:
    """Four numbers to three latents and back."""
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Linear(4, 32), nn.GELU(), nn.Linear(32, 3))
    decoder = nn.Sequential(nn.GELU(), nn.Linear(3, 32), nn.GELU(), nn.Linear(32, 4))
    return nn.Sequential(OrderedDict(encoder=encoder, decoder=decoder))


def anchoring() -> ex.Anchoring:
    """Warm to the first axis, everything apart from each other; the callback sets the learning rate too."""
    pull = ex.Term("pull", ex.Anchor([1, 0, 0]), layer="encoder", affinities={"warm": 1.0})
    push = ex.Term("push", ex.Separate(power=10), layer="encoder")
    weights = {"pull": {0: 0.0, 50: 0.5, STEPS - 1: 0.5}, "push": {0: 0.0, 50: 0.05, STEPS - 1: 0.0}}
    rate = {0: 0.001, 50: 0.01, STEPS - 1: 0.002}
    return ex.Anchoring([pull, push], ex.Dopesheet.from_keyframes(weights | {"lr": rate}))


def labels_of(batch: Any) -> dict[str, Tensor]:  # noqa: ANN401 - whatever the loader gives
    """Where the labels of a batch are."""
    return {"warm": batch[1]}


class Module(pl.LightningModule):
    """A LightningModule like any other."""

    def __init__(self) -> None:
        super().__init__()
        self.model = autoencoder()

    def training_step(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        """The reconstruction error."""
        points, _ = batch
        return functional.mse_loss(self.model(points), points)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam, whose learning rate the schedule sets."""
        return torch.optim.Adam(self.parameters(), lr=0.01)


def train(anchored: ex.Anchoring) -> nn.Sequential:
    """The autoencoder after training; an empty anchoring trains the control."""
    points, _, labelled = warm_points()
    shuffle = torch.Generator().manual_seed(1)
    loader = DataLoader(TensorDataset(points, labelled), batch_size=64, shuffle=True, generator=shuffle)
    module = Module()
    callback = AnchoringCallback(anchored, model="model", labels=labels_of)
    trainer = pl.Trainer(
        max_steps=STEPS,
        accelerator="cpu",
        devices=1,
        callbacks=[callback],
        logger=False,
        enable_progress_bar=False,
        enable_checkpointing=False,
        enable_model_summary=False,
    )
    trainer.fit(module, loader)
    return module.model


def cosines(model: nn.Module) -> dict[str, float]:
    """The mean cosine to the first latent axis, of what is warm and of the rest."""
    points, warm, _ = warm_points()
    with torch.no_grad(), ex.capture(model, ["encoder"]) as latents:
        model(points)
    along = functional.normalize(latents["encoder"], dim=-1)[:, 0]
    return {"warm": along[warm].mean().item(), "rest": along[~warm].mean().item()}


def main() -> dict[str, dict[str, float]]:
    """Train with the terms and without them."""
    found = {"anchored": cosines(train(anchoring())), "control": cosines(train(ex.Anchoring([])))}
    for name, along in found.items():
        print(
            f"{name}: cosine to the axis {along['warm']:.2f} for what is warm, {along['rest']:.2f} for the rest"
        )
    return found


if __name__ == "__main__":
    main()
