"""Sixty seeds as one batch, beside the same seeds one by one: in a Lightning loop, and in our own loop of one model.

All train experiment 2.9.1 (840 parameters, 1,501 steps). One run prints the speeds in seed-steps a second, both
ratios, the peak memory, what a sweep costs as it grows from 1 to 256 seeds, and what was tried to make a step cheaper.
The loops of one model are timed on a part of a training, in turns with the sweep, and the medians are compared; the
sweep is timed whole, from its start with the starting of its worker processes to its last step, and to its end.

    python benchmarks/sweep.py [--seeds 60] [--rounds 3] [--steps 500]
"""

import argparse
import contextlib
import logging
import resource
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import torch
from lightning_loop import lightning_speed
from torch import Tensor, nn

from excise.anchoring import Separate, regularizers
from excise.compute import suited_to
from excise.executors.processes import cores
from excise.experiments.catalogue import isolated
from excise.experiments.recipe import Recipe
from excise.experiments.sweep import run_sweep
from excise.seeding import generator
from excise.training import Snapshot, fit, fit_lockstep
from excise.training.flat import FlatParameters
from excise.training.progress import SilentProgress

TARGETS = {"Lightning, one by one": 25.0, "our loop, one by one": 10.0}
"""How many times as fast as each the sweep is meant to train."""

SECONDS = 20.0
"""How long sixty seeds are meant to take, trained, evaluated and selected."""

SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class _Stopwatch(SilentProgress):
    """Notes when the first and the last training step were told of."""

    def __init__(self) -> None:
        self.first = self.latest = 0.0

    def __call__(self, snapshot: Snapshot) -> None:
        self.latest = time.perf_counter()
        self.first = self.first or self.latest


def time_sweep(recipe: Recipe, seeds: int) -> tuple[float, float, float]:
    """Seconds until the last training step, without the start of the workers, and until all is done."""
    watch = _Stopwatch()
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        run_sweep(recipe, range(seeds), Path(folder) / "sweep", progress=watch)
        return watch.latest - began, watch.latest - watch.first, time.perf_counter() - began


def single_speed(recipe: Recipe, steps: int) -> float:
    """Steps a second of `excise.fit`, logging as a run does."""
    model = recipe.model.build(generator(0, "init"))
    history = fit(model, recipe.data.build(), recipe.anchoring(), seed=0, steps=steps)
    return steps / history.seconds


def stack_speed(recipe: Recipe, seeds: int, steps: int) -> float:
    """Seed-steps a second of one stack in one process, on one core."""
    models = [recipe.model.build(generator(seed, "init")) for seed in range(seeds)]
    outcomes = fit_lockstep(models, recipe.data.build(), recipe.anchoring(), seeds=range(seeds), steps=steps)
    return seeds * steps / outcomes[0].history.seconds


def compare(recipe: Recipe, seeds: int, rounds: int, steps: int) -> None:
    """Print the speeds of the loops in turns with the sweep, and the ratios."""
    whole = recipe.schedule().timeline().num_steps * seeds
    loops: dict[str, Callable[[], float]] = {
        "Lightning, one by one": lambda: lightning_speed(recipe, steps, workers=0),
        "our loop, one by one": lambda: single_speed(recipe, steps),
    }
    speeds: dict[str, list[float]] = {name: [] for name in loops}
    sweeps: list[tuple[float, float, float]] = []
    for _ in range(rounds):
        for name, loop in loops.items():
            speeds[name].append(loop())
        sweeps.append(time_sweep(recipe, seeds))
    training, stepping, total = (statistics.median(column) for column in zip(*sweeps, strict=True))
    speed = whole / training
    for name, measured in speeds.items():
        turns = ", ".join(f"{each:.0f}" for each in measured)
        print(f"{name:24} {statistics.median(measured):7.0f} steps/s   (turns: {turns})")
    turns = ", ".join(f"{whole / seconds:.0f}" for seconds, _, _ in sweeps)
    print(f"{f'sweep, {seeds} seeds':24} {speed:7.0f} seed-steps/s on {cores()} cores   (turns: {turns})")
    for name, target in TARGETS.items():
        single = statistics.median(speeds[name])
        print(
            f"the sweep trains {speed / single:.1f} x as fast as {name} (target: {target:g}); "
            f"{whole / stepping / single:.1f} x without the start of its workers"
        )
    print(f"{seeds} seeds trained, evaluated and selected in {total:.1f} s (target for 60: {SECONDS:g})")
    own, workers = (
        resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    print(f"peak memory: {workers:.0f} MiB in the largest worker, {own:.0f} MiB in this process")


def grow(recipe: Recipe, steps: int) -> None:
    """Print what a stack costs on one core as it grows."""
    print("\nseeds   ms a step   seed-steps/s (one process, one core)")
    for seeds in SIZES:
        speed = stack_speed(recipe, seeds, steps if seeds < 64 else max(50, steps // 4))
        print(f"{seeds:5}   {1000 * seeds / speed:9.2f}   {speed:12.0f}")


def try_out(recipe: Recipe, steps: int, seeds: int = 30) -> None:
    """Print what each of the things that were tried is worth, at the size of one worker's chunk."""
    print(f"\nwhat was tried, at {seeds} seeds in one process:")
    as_is = stack_speed(recipe, seeds, steps)
    print(f"  as it is: {as_is:.0f} seed-steps/s")
    with mock.patch.object(regularizers, "power_of", torch.pow):
        print(
            f"  torch.pow instead of squaring: {stack_speed(recipe, seeds, steps) / as_is:.2f} x (not kept)"
        )
    for name, optimiser in (("the stacked tensors", _adam_by_tensor), ("one flat buffer", _fused_adam)):
        with mock.patch.object(FlatParameters, "optimiser", optimiser):
            speed = stack_speed(recipe, seeds, steps) / as_is
        print(f"  torch's fused Adam over {name}: {speed:.2f} x (not kept)")
    for name, note in _compiled_separate(seeds):
        print(f"  {name}: {note}")


def _adam_by_tensor(self: FlatParameters, _make: object) -> torch.optim.Optimizer:
    return torch.optim.Adam(self.trained, fused=True)


def _fused_adam(self: FlatParameters, _make: object) -> torch.optim.Optimizer:
    return torch.optim.Adam(self.buffers, fused=True)


def _compiled_separate(seeds: int) -> Iterator[tuple[str, str]]:
    """The costliest term, compiled by inductor, beside the same eagerly."""
    term = Separate(power=100, shift=True)
    activations, shares = torch.randn(seeds, 64, 5), torch.full((seeds, 64), 1 / 64)

    def value_and_slope(activations: Tensor, shares: Tensor) -> tuple[Tensor, Tensor]:
        return term.value_and_slope(activations, shares)

    with suited_to(nn.Linear(1, 1)):
        eager = _microseconds(lambda: value_and_slope(activations, shares))
        try:
            compiled = torch.compile(value_and_slope)
            began = time.perf_counter()
            compiled(activations, shares)
            waited = time.perf_counter() - began
        except Exception as error:  # a machine without a compiler cannot try this
            yield "Separate compiled", f"not possible here ({type(error).__name__})"
            return
        after = _microseconds(lambda: compiled(activations, shares))
    saved = (eager - after) / 1e6
    repaid = f"repaid after {waited / saved:.0f} steps" if saved > 0 else "never repaid"
    yield (
        "Separate compiled by inductor",
        f"{after:.0f} us instead of {eager:.0f} us, after {waited:.1f} s of compiling: {repaid} (not kept)",
    )


def _microseconds(work: Callable[[], object], times: int = 300) -> float:
    work()
    began = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - began) / times * 1e6


def main() -> None:
    """Compare, grow, try out."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seeds", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3, help="turns of each")
    parser.add_argument(
        "--steps", type=int, default=500, help="steps that are timed of the loops of one model"
    )
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    recipe = isolated()
    with contextlib.suppress(KeyboardInterrupt):
        compare(recipe, arguments.seeds, arguments.rounds, arguments.steps)
        grow(recipe, arguments.steps)
        try_out(recipe, arguments.steps)


if __name__ == "__main__":
    main()
