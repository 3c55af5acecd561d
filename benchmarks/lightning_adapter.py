"""Our Lightning callback beside plain Lightning, in one run: what does anchoring by a callback cost a step?

All train the autoencoder of experiment 2.6 in the same trainer, on the same batches from the same loader:

(a) with terms: our callback, against the same terms written by hand into the module, as a user of Lightning would do it
    (forward hooks, autograd, one `self.log` a number). Both log the objective, each term, each weight and the rate.
(b) without terms: our callback with an anchoring that has none, against no callback: what the callback itself costs.
(c) and, for the price of the terms themselves: our callback with terms, against no callback and no terms.

Each is measured with Lightning's default of logging every 50 steps, and at every step; in processor time of the one
thread, as what else the machine does would drown the difference. The trainings take turns; medians are compared.

    python benchmarks/lightning_adapter.py [--steps 600] [--rounds 5]
"""

import argparse
import logging
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_loop import LightningAutoencoder
from pytorch_lightning.loggers import CSVLogger
from torch import Tensor

from excise.anchoring import Anchoring
from excise.experiments.catalogue import delete_warmth
from excise.experiments.recipe import Recipe
from excise.seeding import generator
from excise.stream import Batch
from excise.training.lightning import AnchoringCallback, StreamLoader, StreamModule

TARGET = 1.10
"""How many times the time of plain Lightning a step may take with our callback."""


class ByHand(LightningAutoencoder):
    """Terms, schedule and logging written into the module."""

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:  # noqa: ANN401 - the base has other batches
        loss = torch.nn.functional.mse_loss(self.model(batch.inputs), batch.targets)
        self.log("objective", loss)
        self.log("lr", self.schedule["lr"][self.global_step])
        for term in self.terms:
            weight = self.schedule[term.name][self.global_step]
            self.log(f"weight/{term.name}", weight)
            if weight == 0:
                continue
            value = self._reduced(term.regularizer(self.latents[term.layer]), batch.labels, term.affinities)
            if value is not None:
                self.log(f"term/{term.name}", value)
                loss = loss + weight * value
        return loss


class Plain(StreamModule):
    """No terms; logs its objective."""

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        loss = super().training_step(batch, batch_idx)
        self.log("objective", loss)
        return loss


class _Clock(pl.Callback):
    """Takes the time of the steps after the first fifth."""

    def __init__(self, warm_up: int) -> None:
        self.warm_up = warm_up
        self.began = 0.0

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: object, batch_idx: int
    ) -> None:
        if trainer.global_step == self.warm_up:
            self.began = time.process_time()


def seconds_a_step(
    recipe: Recipe, module: pl.LightningModule, anchoring: Anchoring | None, steps: int, log_every: int
) -> float:
    """The time of an optimiser step, the start of the trainer left out."""
    clock = _Clock(steps // 5)
    ours = [] if anchoring is None else [AnchoringCallback(anchoring, model="model")]
    with tempfile.TemporaryDirectory() as folder:
        trainer = pl.Trainer(
            max_steps=steps + steps // 5,
            accelerator="cpu",
            logger=CSVLogger(folder),
            log_every_n_steps=log_every,
            callbacks=[clock, *ours],
            enable_progress_bar=False,
            enable_checkpointing=False,
            enable_model_summary=False,
        )
        trainer.fit(module, StreamLoader(recipe.data.build(), seed=0))
        return (time.process_time() - clock.began) / steps


def main() -> None:
    """Let the trainings take turns and print the ratios."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--steps", type=int, default=600, help="steps that are timed in each turn")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each training")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    recipe = delete_warmth()

    def plain() -> Plain:
        return Plain(recipe.model.build(generator(0, "init")))

    for log_every in (50, 1):
        trainings: dict[str, Callable[[], tuple[pl.LightningModule, Anchoring | None]]] = {
            "terms by hand": lambda: (ByHand(recipe), None),
            "terms by our callback": lambda: (plain(), recipe.anchoring()),
            "no terms, no callback": lambda: (plain(), None),
            "no terms, our callback": lambda: (plain(), Anchoring([])),
        }
        times: dict[str, list[float]] = {name: [] for name in trainings}
        for _ in range(arguments.rounds):
            for name, make in trainings.items():
                times[name].append(seconds_a_step(recipe, *make(), arguments.steps, log_every))
        median = {name: statistics.median(measured) for name, measured in times.items()}
        print(f"logged every {log_every} steps" if log_every > 1 else "logged at every step")
        for name, seconds in median.items():
            print(f"  {name:23} {seconds * 1e3:6.2f} ms a step")
        for mark, ours, theirs in (
            ("(a)", "terms by our callback", "terms by hand"),
            ("(b)", "no terms, our callback", "no terms, no callback"),
            ("(c)", "terms by our callback", "no terms, no callback"),
        ):
            target = f" (target: at most {TARGET:.2f})" if mark != "(c)" else ""
            print(f"  {mark} {ours} takes {median[ours] / median[theirs]:.2f} x the time of {theirs}{target}")


if __name__ == "__main__":
    main()
