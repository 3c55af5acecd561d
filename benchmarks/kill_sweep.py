"""A sixty-seed sweep killed (SIGKILL) at random moments and continued, beside the same sweep left alone.

The command line runs `excise run 2.9.1 --seeds 60` as a user would. Each kill takes the command's own process only: its
workers are to notice by themselves. Afterwards `sweep.json` of the two must hold the same numbers, and no worker may be
left running.

    python benchmarks/kill_sweep.py [--kills 10] [--seeds 60] [--recipe 2.9.1]
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any


def command(recipe: str, seeds: int, out: Path) -> list[str]:
    """The command under test."""
    return [sys.executable, "-m", "excise.cli", "run", recipe, "--seeds", str(seeds), "--out", str(out)]


def finished_seeds(out: Path) -> int:
    """How many seeds have a directory of their own."""
    return len(list(out.glob("*/*-seeds*/seed-*")))


def numbers_of(out: Path) -> dict[str, Any]:
    """The only sweep's `sweep.json`, without the names of directories."""
    (path,) = out.glob("*/*-seeds*/sweep.json")
    sweep = json.loads(path.read_text(encoding="utf-8"))
    for row in sweep["rows"]:
        row.pop("run", None)
    return sweep


def workers_left() -> int:
    """How many worker processes of a sweep run on this machine."""
    listing = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return sum("excise.executors.worker" in line for line in listing.splitlines())


def main() -> None:
    """Kill, continue, compare; the exit status is 1 where the numbers differ or a worker is left."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=60)
    parser.add_argument("--recipe", default="2.9.1")
    arguments = parser.parse_args()
    moments = random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        calm, troubled = Path(folder) / "calm", Path(folder) / "troubled"
        began = time.perf_counter()
        run = command(arguments.recipe, arguments.seeds, calm)
        subprocess.run(run, check=True, capture_output=True)
        whole = time.perf_counter() - began
        print(f"left alone: {whole:.1f} s")
        expected, same = numbers_of(calm), []
        for kill in range(arguments.kills):
            run = command(arguments.recipe, arguments.seeds, troubled)
            process = subprocess.Popen(run, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            moment = moments.uniform(0.1, 0.9) * whole
            try:
                process.wait(timeout=moment)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                end = f"killed after {moment:.1f} s"
            else:
                end = "ended before its kill; the next begins anew"
                same.append(numbers_of(troubled) == expected)
            print(
                f"{kill + 1}: {end}; {finished_seeds(troubled)} of {arguments.seeds} seeds finished",
                flush=True,
            )
            if process.returncode == 0:
                troubled = Path(folder) / f"troubled-{kill}"
        subprocess.run(command(arguments.recipe, arguments.seeds, troubled), check=True, capture_output=True)
        same.append(numbers_of(troubled) == expected)
        time.sleep(1)
        left = workers_left()
    print(f"the same numbers in {sum(same)} of {len(same)} sweeps; workers left running: {left}")
    sys.exit(0 if all(same) and not left else 1)


if __name__ == "__main__":
    main()
