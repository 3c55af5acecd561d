"""What a sweep costs as it grows, in processes of this machine and on three nodes of Ray, and what grows fastest.

Experiment 2.9.1, without a report. For each number of seeds: seconds, processor seconds of all that took part (which
other work on the machine disturbs less), what the seeds leave on disk, and how long the calling process took to find
what is finished and to sum it up, which no other processor can share. `--steps` cuts the trainings short, to reach
numbers of seeds whose whole trainings would take hours: what is not training then costs as it does in full.

    python benchmarks/scale.py [--seeds 10 100 1000] [--steps N] [--only processes]
"""

import argparse
import dataclasses
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psutil
from ray_sweep import with_cluster

from excise.executors import Executor, Processes
from excise.experiments.catalogue import isolated
from excise.experiments.recipe import Recipe
from excise.experiments.summary import summarise_sweep
from excise.experiments.sweep import run_sweep

_SAMPLED = 0.5
"""Seconds between two looks at how long the processes have been at work."""


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a sweep cost.

    Attributes:
        seeds: how many it had.
        seconds: from its start to its end.
        processor: seconds of work of this process and of all that it, or Ray, started.
        caller: of these, the calling process's own, which no other processor can share.
        summing: seconds in which the calling process summed up, measured by themselves.
        megabytes: what the seeds left on disk.
        files: how many files and folders that is.
        memory: the largest size of the calling process, in MB.
    """

    seeds: int
    seconds: float
    processor: float
    caller: float
    summing: float
    megabytes: float
    files: int
    memory: float


def measure(recipe: Recipe, seeds: int, executor: Executor) -> Cost:
    """Run a sweep and see what it cost."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sweep"
        with _processor_seconds() as work:
            began, own = time.perf_counter(), time.process_time()
            run_sweep(recipe, range(seeds), path, executor=executor)
            seconds, caller = time.perf_counter() - began, time.process_time() - own
        began = time.perf_counter()
        summarise_sweep(recipe, range(seeds), path)
        summing = time.perf_counter() - began
        left = list(path.rglob("*"))
        return Cost(
            seeds,
            seconds,
            work(),
            caller,
            summing,
            sum(file.stat().st_blocks * 512 for file in left) / 1e6,
            len(left),
            resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
        )


@contextmanager
def _processor_seconds() -> Iterator[Callable[[], float]]:
    """Seconds of work of every process below this one in the block: Ray's nodes are started by it too."""
    me = psutil.Process()
    spent: dict[int, float] = {}
    ended = False

    def look() -> None:
        for process in (me, *me.children(recursive=True)):
            try:
                times = process.cpu_times()
            except psutil.Error:
                continue
            spent[process.pid] = times.user + times.system

    def watch() -> None:
        while not ended:
            look()
            time.sleep(_SAMPLED)

    look()
    before = dict(spent)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(watch)
        yield lambda: sum(spent.values()) - sum(before.values())
        look()
        ended = True


def shortened(recipe: Recipe, steps: int | None) -> Recipe:
    """The recipe, with its trainings cut short: its keyframes moved together."""
    if steps is None:
        return recipe
    head, *rows = recipe.dopesheet.strip().splitlines()
    last = recipe.schedule().num_steps - 1
    absolute = [row.split(",", 1) for row in rows]
    moved = [
        f"{round(int(step) * steps / last)},{rest}" if step.isdigit() else f"{step},{rest}"
        for step, rest in absolute
    ]
    return recipe.model_copy(update={"dopesheet": "\n".join([head, *moved, ""])})


def show(name: str, costs: list[Cost]) -> None:
    """Print a line for each size."""
    print(f"\n{name}")
    print(
        "   seeds      s  s a seed  processor s a seed  caller ms a seed  summing s  MB on disk   files  memory MB"
    )
    for cost in costs:
        print(
            f"{cost.seeds:8} {cost.seconds:6.0f} {cost.seconds / cost.seeds:9.3f} {cost.processor / cost.seeds:19.3f} "
            f"{1e3 * cost.caller / cost.seeds:17.1f} {cost.summing:10.2f} {cost.megabytes:11.1f} {cost.files:7} "
            f"{cost.memory:10.0f}",
            flush=True,
        )


def main() -> None:
    """Measure each size on each executor."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--steps", type=int, help="cut each training to so many steps")
    parser.add_argument("--only", choices=["processes", "ray"])
    arguments = parser.parse_args()
    recipe = shortened(isolated(), arguments.steps)

    def on_ray(address: str) -> None:
        from excise.executors.ray import RayExecutor

        with RayExecutor(address) as executor:
            show(
                f"three nodes of Ray, {executor.slots} slots",
                [measure(recipe, seeds, executor) for seeds in arguments.seeds],
            )

    if arguments.only != "ray":
        with Processes() as executor:
            show(
                f"{executor.slots} processes of this machine",
                [measure(recipe, seeds, executor) for seeds in arguments.seeds],
            )
    if arguments.only != "processes":
        with_cluster(on_ray)


if __name__ == "__main__":
    main()
