"""What a user waits for before anything happens: `import excise` beside `import torch`, and `excise --help`.

Each is started several times in a fresh interpreter, in turns; the medians are compared.

    python benchmarks/startup.py [--rounds 7]
"""

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

COMMANDS = {
    "import torch": [sys.executable, "-c", "import torch"],
    "import excise": [sys.executable, "-c", "import excise"],
    "import all of excise": [sys.executable, "-c", "from excise import *"],
    "excise --help": [str(Path(sys.executable).with_name("excise")), "--help"],
}

IMPORT_RATIO = 1.5
"""How many times `import torch` alone an import of excise may take."""

HELP_SECONDS = 0.5
"""How long `excise --help` may take."""


def main() -> None:
    """Time each command in turns and print the medians beside their targets."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=7, help="starts of each command")
    rounds = parser.parse_args().rounds
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(rounds):
        for name, command in COMMANDS.items():
            began = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            seconds[name].append(time.perf_counter() - began)
    medians = {name: statistics.median(measured) for name, measured in seconds.items()}
    for name, median in medians.items():
        print(f"{name:22} {median:.2f} s   ({min(seconds[name]):.2f} to {max(seconds[name]):.2f})")
    for name in ("import excise", "import all of excise"):
        ratio = medians[name] / medians["import torch"]
        print(f"{name} takes {ratio:.2f} x the time of import torch (target: below {IMPORT_RATIO:g})")
    print(f"excise --help takes {medians['excise --help']:.2f} s (target: below {HELP_SECONDS:g} s)")


if __name__ == "__main__":
    main()
