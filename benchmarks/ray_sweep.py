"""A sweep on a Ray cluster beside the same sweep in processes of this machine, in turns.

Sixty seeds of experiment 2.9.1. The cluster has three nodes on this machine, started before the clock; connecting to
it, its workers' start and the way home of the run directories count. Three nodes of one processor each would share two
cores between three workers, so there are as many slots as local processes, and each node has a processor: what is
compared is Ray, not the number of workers.

    python benchmarks/ray_sweep.py [--seeds 60] [--rounds 3]
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from excise.executors.processes import cores
from excise.experiments.catalogue import isolated
from excise.experiments.recipe import Recipe
from excise.experiments.sweep import run_sweep

TARGET = 3.0
"""Seconds that Ray may add."""


def time_local(recipe: Recipe, seeds: int) -> float:
    """Seconds of the sweep in processes."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        run_sweep(recipe, range(seeds), Path(folder) / "sweep")
        return time.perf_counter() - began


def time_on_ray(recipe: Recipe, seeds: int, address: str, parts: dict[str, list[float]]) -> float:
    """Seconds of the sweep on the cluster, with the connecting; what that is made of goes to `parts`."""
    from excise.executors.ray import RayExecutor

    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        with RayExecutor(address, slots=cores()) as executor:
            connected = time.perf_counter()
            run_sweep(recipe, range(seeds), Path(folder) / "sweep", executor=executor)
            swept = time.perf_counter()
        ended = time.perf_counter()
    for name, seconds in {
        "connecting": connected - began,
        "the sweep": swept - connected,
        "disconnecting": ended - swept,
    }.items():
        parts.setdefault(name, []).append(seconds)
    return ended - began


def with_cluster(measure: Callable[[str], None]) -> None:
    """Measure with the address of three nodes that are stopped afterwards."""
    # So that Ray takes 127.0.0.1 for this machine's address; read when Ray is imported.
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    from ray.cluster_utils import Cluster

    cluster = Cluster()
    try:
        for _ in range(3):
            cluster.add_node(
                num_cpus=1,
                object_store_memory=200 * 2**20,
                include_dashboard=False,
                node_ip_address="127.0.0.1",
            )
        measure(str(cluster.address))
    finally:
        cluster.shutdown()


def compare(recipe: Recipe, seeds: int, rounds: int, address: str) -> None:
    """Print both times, in turns, and what Ray adds."""
    local: list[float] = []
    on_ray: list[float] = []
    parts: dict[str, list[float]] = {}
    for _ in range(rounds):
        local.append(time_local(recipe, seeds))
        on_ray.append(time_on_ray(recipe, seeds, address, parts))
    for name, measured in (("processes", local), ("three nodes of Ray", on_ray)):
        turns = ", ".join(f"{each:.1f}" for each in measured)
        print(f"{name:20} {statistics.median(measured):6.1f} s   (turns: {turns})")
    print("of which " + ", ".join(f"{name} {statistics.median(each):.1f} s" for name, each in parts.items()))
    added = statistics.median(after - before for before, after in zip(local, on_ray, strict=True))
    print(f"Ray adds {added:.1f} s to {seeds} seeds with {cores()} slots (target: at most {TARGET:g})")


def main() -> None:
    """Start the cluster, compare, stop it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seeds", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3, help="turns of each")
    arguments = parser.parse_args()
    with_cluster(lambda address: compare(isolated(), arguments.seeds, arguments.rounds, address))


if __name__ == "__main__":
    main()
