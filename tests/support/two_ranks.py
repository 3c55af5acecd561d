"""Trains an anchored module in two processes that talk over the loopback, and prints what each of them saw.

python two_ranks.py FOLDER [CHECKPOINT]
"""

import json
import logging
import sys
import warnings
from pathlib import Path

import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.strategies import DDPStrategy

from anchored import Autoencoder, anchoring, stream, trainer
from excise.training.lightning import AnchoringCallback, FixedBatches, StreamLoader


def train(folder: Path, checkpoint: Path | None = None) -> None:
    """Train, and write what this rank saw."""
    module, rows = Autoencoder(), []
    callback = AnchoringCallback(anchoring(), model="model", observers=[lambda seen: rows.append(seen.row())])
    saving = ModelCheckpoint(folder, filename="{step}", save_top_k=-1, every_n_train_steps=4)
    running = trainer(
        folder,
        callback,
        saving,
        devices=2,
        strategy=DDPStrategy(process_group_backend="gloo"),
        max_steps=8,
        val_check_interval=6,
        check_val_every_n_epoch=None,
    )
    # Few samples of few labels: in some steps a rank has a term that the other lacks.
    data = stream(samples=12, batch_size=2)
    held_out = FixedBatches(next(iter(StreamLoader(stream(), seed=9))))
    running.fit(module, StreamLoader(data), held_out, ckpt_path=checkpoint, weights_only=True)
    seen = {
        "rows": rows,
        "rates": module.rates,
        "counts": callback.label_counts,
        "weights": [parameter.flatten().tolist() for parameter in module.parameters()],
        "logged": {name: value.item() for name, value in running.callback_metrics.items()},
    }
    (folder / f"rank{running.global_rank}.json").write_text(json.dumps(seen))


def main(folder: Path) -> None:
    """Train, and train once more from a checkpoint on."""
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    train(folder / "whole")
    train(folder / "resumed", folder / "whole" / "step=4.ckpt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
