"""What an edit in the middle of 100 layers of Linear and GELU takes: seconds beside Torch-Pruning's, and memory.

The memory is what the process holds at most, in pages, while a model of 400 MiB is pruned: once as malloc does it,
which may keep freed tensors in pieces too small for the next, and once with each large tensor given back when it is
freed. Each is measured in a process of its own. Only Linux tells; elsewhere the memory is left out.

    python benchmarks/surgery_size.py [--rounds 5]
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.support.peak import PROCESS, peak
from torch_pruning_asked import Request, torch_pruned

from excise.surgery import prune

EDIT_SECONDS = 2.0
"""How long tracing and editing 100 layers of 256 may take."""

MODELS_HELD = 2
"""How many times the model's own size the memory may reach, one forward pass aside."""

MALLOCS = {"as malloc does it": {}, "freed tensors given back": {"MALLOC_MMAP_THRESHOLD_": "65536"}}

MIDDLE, DIMS = "100", (3, 50, 200)


def layers(width: int) -> nn.Module:
    """100 times Linear and GELU."""
    return nn.Sequential(*(each for _ in range(100) for each in (nn.Linear(width, width), nn.GELU()))).eval()


def compare_seconds(rounds: int) -> None:
    """Print the seconds of both tools, in turns, in one thread."""
    example = (torch.randn(8, 256),)
    calls: dict[str, Callable[[nn.Module], nn.Module]] = {
        "excise": lambda model: prune(model, MIDDLE, DIMS, example),
        "Torch-Pruning": lambda model: torch_pruned(model, example, Request(MIDDLE, DIMS), {}),
    }
    seconds: dict[str, list[float]] = {tool: [] for tool in calls}
    for _ in range(rounds):
        for tool, call in calls.items():
            model = layers(256)
            began = time.perf_counter()
            call(model)
            seconds[tool].append(time.perf_counter() - began)
    for tool, turns in seconds.items():
        target = f" (target: below {EDIT_SECONDS:g} s)" if tool == "excise" else ""
        median, least, most = statistics.median(turns), min(turns), max(turns)
        print(f"100 layers of 256: {tool} {median:.2f} s, {least:.2f} to {most:.2f}{target}", flush=True)


def measure_memory() -> None:
    """Print the memory of our edit of a large model; for a process of its own."""
    example = (torch.randn(8, 1024),)
    prune(layers(8), MIDDLE, (3,), (torch.randn(8, 8),))  # What is loaded at the first use is no part of it.
    model = layers(1024)
    size = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
    with torch.no_grad():
        _, forward = peak(lambda: model(*example))
    _, grown = peak(lambda: prune(model, MIDDLE, DIMS, example))
    target = MODELS_HELD + forward / size
    print(f"{1 + grown / size:.2f} x the model of {size / 2**20:.0f} MiB (target: at most {target:.2f} x)")


def main() -> None:
    """Measure both."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="turns of each tool")
    parser.add_argument("--memory", action="store_true", help="only the memory, as malloc does it")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    if arguments.memory:
        measure_memory()
        return
    compare_seconds(arguments.rounds)
    if (PROCESS / "clear_refs").exists():
        for name, settings in MALLOCS.items():
            print(f"100 layers of 1024, {name}: ", end="", flush=True)
            subprocess.run([sys.executable, __file__, "--memory"], env=os.environ | settings, check=False)


if __name__ == "__main__":
    main()
