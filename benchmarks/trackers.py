"""What trackers cost: the whole `excise run 2.6` without one, with each, with all, and with one that hangs, in turns.

Each is a process of its own, timed from its start to its exit, so that what a library takes to be imported, to begin
and to finish counts. W&B is offline. The target is 5 %, also where a tracker hangs. On a machine that does other work
too, the processor time of the run's own process says more: what trackers take from the training is in there.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TARGET = 1.05

TIMED = """
import atexit, pathlib, sys, time
atexit.register(lambda: pathlib.Path(sys.argv[-1], "processor").write_text(str(time.process_time())))
"""

COMMAND = f"""
{TIMED}
from excise.cli import main
main()
"""

HANGING = f"""
{TIMED}
import threading
from pathlib import Path
from excise.experiments.catalogue import delete_warmth
from excise.experiments.pipeline import run_recipe
from excise.report.page import build_report

class Hanging:
    start = log = finish = lambda self, _told: None

tracker = Hanging()
setattr(tracker, sys.argv[1], lambda _told: threading.Event().wait())
trackers = [] if sys.argv[1] == "nothing" else [tracker]
run_recipe(delete_warmth(), 0, Path(sys.argv[2]) / "2.6" / "run", then=build_report, trackers=trackers)
"""

Command = list[str]


def commands() -> dict[str, dict[str, Command]]:
    """Groups of commands by name, the first of each group without a tracker; each takes a folder as its last word."""
    run = [sys.executable, "-c", COMMAND, "run", "2.6"]
    names = ("wandb", "tensorboard", "mlflow")
    own = [sys.executable, "-c", HANGING]
    return {
        "excise run 2.6": {
            "no tracker": [*run, "--out"],
            **{f"--track {name}": [*run, "--track", name, "--out"] for name in names},
            "all three": [*run, "--track", *names, "--out"],
        },
        "run_recipe with a tracker of one's own, in a thread": {
            "no tracker": [*own, "nothing"],
            **{f"it hangs in {call}": [*own, call] for call in ("start", "log", "finish")},
        },
    }


def seconds_of(command: Command) -> tuple[float, float]:
    """How long the command takes in an empty folder, and its processor time; its output is shown where it fails."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        settings = {"WANDB_MODE": "offline", "OMP_NUM_THREADS": "1"}
        began = time.perf_counter()
        ran = subprocess.run(
            [*command, folder], env=os.environ | settings, capture_output=True, text=True, check=False
        )
        seconds = time.perf_counter() - began
        if ran.returncode:
            sys.exit(f"{' '.join(command)} failed:\n{ran.stderr}")
        (status,) = Path(folder).glob("2.6/*/status.json")
        assert '"finished"' in status.read_text(encoding="utf-8")
        return seconds, float(Path(folder, "processor").read_text())


def main() -> None:
    """Time the commands of each group in turns, and print the ratios to the first."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="turns of each")
    arguments = parser.parse_args()
    for group, members in commands().items():
        turns: dict[str, list[tuple[float, float]]] = {name: [] for name in members}
        for _ in range(arguments.rounds):
            for name, command in members.items():
                turns[name].append(seconds_of(command))
        base = next(iter(turns.values()))
        print(f"{group} (target: at most {TARGET:g} times as long)")
        for name, each in turns.items():
            ratios = [
                statistics.median(mine[kind] / bare[kind] for mine, bare in zip(each, base, strict=True))
                for kind in (0, 1)
            ]
            seconds = [seconds for seconds, _ in each]
            print(
                f"  {name:20} {statistics.median(seconds):6.2f} s   {ratios[0]:5.3f} x   "
                f"its own processor time {ratios[1]:5.3f} x   "
                f"(turns: {', '.join(f'{each:.1f}' for each in seconds)})"
            )


if __name__ == "__main__":
    main()
