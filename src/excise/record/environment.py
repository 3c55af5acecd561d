"""What a run ran on: versions, platform, and the commit of the source."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import torch

from excise.extras import EXTRAS, installed_version

__all__ = ["describe_environment", "examine"]

_PACKAGES = ("excise", "torch", "numpy", "scipy", "xarray", "pydantic", "safetensors", "matplotlib")


def describe_environment() -> dict[str, object]:
    """Versions, platform, processor and, in a checkout, the commit: what another needs to get the same bits.

    It is published with the run, so nothing here tells who ran it or where: no path, no name of a user or a host,
    and not the command line, which may hold all three.
    """
    return {
        "python": platform.python_version(),
        "packages": _versions_of(_PACKAGES),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "cuda": torch.version.cuda,
        "git_commit": _git_commit(),
    }


def examine() -> dict[str, str]:
    """What a user may want to know of this machine: a line a fact, what is missing said with its remedy."""
    facts = {
        "python": f"{platform.python_version()} ({sys.executable})",
        "platform": f"{platform.platform()}, {os.cpu_count()} processors",
        "torch threads": str(torch.get_num_threads()),
    }
    for package, found in _versions_of(_PACKAGES).items():
        facts[package] = found or "missing: pip install excise"
    if torch.cuda.is_available():
        facts["accelerator"] = torch.cuda.get_device_name()
    else:
        build = (
            f"this torch is built for CUDA {torch.version.cuda}"
            if torch.version.cuda
            else "a CPU build of torch"
        )
        facts["accelerator"] = f"none ({build}); the recipes need none"
    for name, extra in EXTRAS.items():
        found = {package: installed_version(package) for package in extra.packages}
        missing = [package for package, there in found.items() if there is None]
        there = ", ".join(f"{package} {number}" for package, number in found.items() if number)
        remedy = f"without {', '.join(missing)}: pip install 'excise[{name}]'" if missing else ""
        facts[f"extra {name}"] = f"{extra.adds}: {'; '.join(filter(None, (there, remedy)))}"
    return facts


def _versions_of(packages: tuple[str, ...]) -> dict[str, str | None]:
    """The installed version of each package, None where it is not installed."""
    return {package: installed_version(package) for package in packages}


def _git_commit() -> str | None:
    """The commit of the checkout that holds this file, with "-dirty" when it was changed since; None elsewhere."""
    here = Path(__file__).parent
    try:
        described = subprocess.run(
            ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            capture_output=True, text=True, timeout=5, check=False,
        )  # fmt: skip
        tracked = subprocess.run(
            ["git", "-C", str(here), "ls-files", "--error-unmatch", Path(__file__).name],
            capture_output=True, timeout=5, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return described.stdout.strip() if described.returncode == 0 == tracked.returncode else None
