"""What a run ran on: versions, platform, and the commit of the source."""

import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

__all__ = ["describe_environment", "versions_of"]

_PACKAGES = ("excise", "torch", "numpy", "scipy", "xarray", "pydantic", "safetensors", "matplotlib")


def describe_environment() -> dict[str, object]:
    """Versions, platform, processor and, in a checkout, the commit: what another needs to get the same bits."""
    return {
        "python": platform.python_version(),
        "packages": versions_of(_PACKAGES),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "cuda": torch.version.cuda,
        "git_commit": _git_commit(),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
    }


def versions_of(packages: tuple[str, ...]) -> dict[str, str | None]:
    """The installed version of each package, None where it is not installed."""
    found: dict[str, str | None] = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found


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
