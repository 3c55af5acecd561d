"""Train in PyTorch Lightning: a callback that anchors any LightningModule, and batches that a resumed fit goes on with.

Needs the extra `lightning`; nothing else of excise imports this room of its own accord.
"""

from excise.extras import require

require("pytorch-lightning", "training with Lightning")

# Only now: what follows imports pytorch_lightning itself, whose absence is to be told by the line above.
from excise.training.lightning.callback import AnchoringCallback  # noqa: E402 - after the check that Lightning is there
from excise.training.lightning.labels import labels_of  # noqa: E402 - after the check that Lightning is there
from excise.training.lightning.loader import FixedBatches, StreamLoader  # noqa: E402 - after the check that Lightning is there
from excise.training.lightning.module import StreamModule, fit_in_lightning  # noqa: E402 - after the check that Lightning is there

__all__ = [
    "AnchoringCallback",
    "FixedBatches",
    "StreamLoader",
    "StreamModule",
    "fit_in_lightning",
    "labels_of",
]
