"""Experiment 2.6 over the same seeds in our loop and in Lightning: do the results have the same distribution?

The seeds of Lightning are also held against their own in our loop: until rounding differs they are the same training.

    python benchmarks/lightning_seeds.py [--seeds 12]
"""

import argparse
import statistics
from typing import Any

import torch
from scipy.stats import mannwhitneyu

from excise.experiments.catalogue import delete_warmth
from excise.experiments.conditions import conditions_of
from excise.experiments.measure import measure
from excise.experiments.pipeline import train
from excise.experiments.trainers import TrainerName


def results_of(trainer: TrainerName, seeds: range) -> list[dict[str, Any]]:
    """What each seed gives, trained by one of the trainers."""
    recipe = delete_warmth()
    trained = train(recipe, seeds, trainer=trainer)
    return [measure(recipe, one.seed, conditions_of(recipe, one.model), {}) for one in trained]


def numbers_of(results: list[dict[str, Any]]) -> dict[str, list[float]]:
    """The numbers to compare, one a seed."""
    before, after = ([row["conditions"][name] for row in results] for name in ("baseline", "pruned"))
    return {
        "before, largest error": [row["max_mse"] for row in before],
        "before, median error": [row["median_mse"] for row in before],
        "after, largest error": [row["max_mse"] for row in after],
        "after, median error": [row["median_mse"] for row in after],
        "after, red": [row["named_colors"]["red"] for row in after],
        "after, lime": [row["named_colors"]["lime"] for row in after],
    }


def main() -> None:
    """Train all seeds with both and print medians, ranges and the chance of such a difference by rank."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seeds", type=int, default=12, help="how many seeds, from 0")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    found = {trainer: results_of(trainer, range(arguments.seeds)) for trainer in ("excise", "lightning")}
    numbers = {trainer: numbers_of(results) for trainer, results in found.items()}
    for name, ours in numbers["excise"].items():
        theirs = numbers["lightning"][name]
        shown = "   ".join(
            f"{statistics.median(values):.2e} ({min(values):.1e} to {max(values):.1e})"
            for values in (ours, theirs)
        )
        print(f"{name:22} {shown}   p = {mannwhitneyu(ours, theirs).pvalue:.2f}")
    for trainer, results in found.items():
        held = sum(all(claim["passed"] for claim in row["claims"]) for row in results)
        print(f"{trainer}: every claim holds in {held} of {len(results)} seeds")


if __name__ == "__main__":
    main()
