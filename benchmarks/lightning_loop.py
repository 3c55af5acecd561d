"""Our training loop beside a plain Lightning loop of the same experiment, in one run.

Both train experiment 2.6 (the same model, sampler, labels, terms and schedule) and log every term at every
step to a file. The Lightning loop is as a user of Lightning would write it: a `DataLoader` over tensors with a
weighted sampler, forward hooks that keep the activations, one `self.log` a term. It gets its best settings: no
progress bar, no checkpoints, no model summary, loader workers that live through all epochs, one thread. The
loops take turns, so that what else the machine does falls on all of them; the medians of their speeds are
compared.

    python benchmarks/lightning_loop.py [--steps 1000] [--rounds 3]
"""

import argparse
import logging
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import CSVLogger
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset, WeightedRandomSampler

from excise.anchoring.labels import shares_of
from excise.experiments.catalogue import delete_warmth
from excise.experiments.recipe import Recipe
from excise.record import Record
from excise.seeding import generator
from excise.training import fit

TARGETS = {"Lightning, 2 workers": 4.0, "Lightning, no workers": 1.8}
"""How many times as fast as each rival our loop is meant to be."""

STEPS_PER_SECOND = 1000
"""How many optimiser steps a second our loop is meant to make on one core."""


class LightningAutoencoder(pl.LightningModule):
    """Experiment 2.6 as a Lightning module: terms on hooked activations, weights from the same schedule."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.model = recipe.model.build(generator(0, "init"))
        self.labels = tuple(recipe.data.labels)
        self.terms = [term.build() for term in recipe.terms]
        self.schedule = {name: column.tolist() for name, column in recipe.schedule().timeline().table.items()}
        self.latents: dict[str, Tensor] = {}
        for layer in {term.layer for term in self.terms}:
            self.model.get_submodule(layer).register_forward_hook(self._keep(layer))

    def _keep(self, layer: str) -> Callable[[nn.Module, object, Tensor], None]:
        def hook(_module: nn.Module, _inputs: object, output: Tensor) -> None:
            self.latents[layer] = output

        return hook

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=self.schedule["lr"][0])

    def on_train_batch_start(self, batch: object, batch_idx: int) -> None:
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = self.schedule["lr"][self.global_step]

    def training_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> Tensor:
        colors, *probabilities = batch
        labels = {
            name: torch.bernoulli(chance) for name, chance in zip(self.labels, probabilities, strict=True)
        }
        loss = nn.functional.mse_loss(self.model(colors), colors)
        self.log("reconstruction", loss)
        for term in self.terms:
            weight = self.schedule[term.name][self.global_step]
            if weight == 0:
                continue
            value = self._reduced(term.regularizer(self.latents[term.layer]), labels, term.affinities)
            if value is not None:
                self.log(term.name, value)
                loss = loss + weight * value
        self.log("loss", loss)
        return loss

    @staticmethod
    def _reduced(
        values: Tensor, labels: Mapping[str, Tensor], affinities: Mapping[str, float]
    ) -> Tensor | None:
        if not affinities:
            return values.mean()
        shares = shares_of(labels, affinities)
        return None if shares is None else (values * shares).sum()


def lightning_speed(recipe: Recipe, steps: int, workers: int) -> float:
    """Optimiser steps a second of the Lightning loop, the start of the trainer and of the workers left out."""
    stream = recipe.data.build()
    dataset = TensorDataset(stream.inputs, *stream.label_probabilities.values())
    sampler = WeightedRandomSampler(stream.weights.tolist(), len(stream), generator=generator(0, "data"))
    loader = DataLoader(
        dataset,
        batch_size=stream.batch_size,
        sampler=sampler,
        num_workers=workers,
        persistent_workers=workers > 0,
    )
    clock = _Clock(warm_up=steps // 5)
    with tempfile.TemporaryDirectory() as folder:
        trainer = pl.Trainer(
            max_steps=steps + steps // 5,
            accelerator="cpu",
            logger=CSVLogger(folder),
            log_every_n_steps=1,
            callbacks=[clock],
            enable_progress_bar=False,
            enable_checkpointing=False,
            enable_model_summary=False,
        )
        trainer.fit(LightningAutoencoder(recipe), loader)
    return clock.steps / clock.seconds


class _Clock(pl.Callback):
    """Times the steps after the first few."""

    def __init__(self, warm_up: int) -> None:
        self.warm_up = warm_up
        self.steps = 0
        self.began = 0.0
        self.seconds = 0.0

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
    ) -> None:
        if trainer.global_step == self.warm_up:
            self.began = time.perf_counter()
        elif trainer.global_step > self.warm_up:
            self.steps += 1
            self.seconds = time.perf_counter() - self.began


def our_speed(recipe: Recipe, steps: int) -> float:
    """Optimiser steps a second of `excise.fit`, each step logged to a run directory."""
    model, warm_up = recipe.model.build(generator(0, "init")), steps // 5
    moments: list[float] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        Record(Path(folder) / "run", recipe.spec(), {"seed": 0}) as record,
    ):
        fit(
            model,
            recipe.data.build(),
            recipe.anchoring(),
            seed=0,
            steps=steps + warm_up,
            observers=[
                lambda snapshot: record.log(snapshot.row()),
                lambda _: moments.append(time.perf_counter()),
            ],
            log_every=1,
        )
    return steps / (moments[-1] - moments[-1 - steps])


def main() -> None:
    """Let the loops take turns and print their speeds and both ratios."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--steps", type=int, default=1000, help="steps that are timed in each turn")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each loop")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    recipe = delete_warmth()
    loops: dict[str, Callable[[], float]] = {
        "excise": lambda: our_speed(recipe, arguments.steps),
        "Lightning, 2 workers": lambda: lightning_speed(recipe, arguments.steps, workers=2),
        "Lightning, no workers": lambda: lightning_speed(recipe, arguments.steps, workers=0),
    }
    speeds: dict[str, list[float]] = {name: [] for name in loops}
    for _ in range(arguments.rounds):
        for name, loop in loops.items():
            speeds[name].append(loop())
    medians = {name: statistics.median(measured) for name, measured in speeds.items()}
    for name, measured in speeds.items():
        print(
            f"{name:22} {medians[name]:6.0f} steps/s   (turns: {', '.join(f'{speed:.0f}' for speed in measured)})"
        )
    for rival, target in TARGETS.items():
        print(f"excise is {medians['excise'] / medians[rival]:.1f} x as fast as {rival} (target: {target:g})")
    print(f"excise makes {medians['excise']:.0f} steps/s on one core (target: {STEPS_PER_SECOND})")


if __name__ == "__main__":
    main()
