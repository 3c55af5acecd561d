"""Folders with many run directories, written without running anything."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["HOSTILE", "change_json", "copy_runs"]

HOSTILE = """<img src=x onerror="window.hacked=1"></script><!--&amp;'`\u2028\u202e"""
"""A text that a page must show as it is."""


def change_json(path: Path, change: Callable[[Any], object]) -> None:
    """Change the content of a JSON file."""
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")


def copy_runs(run: Path, folder: Path, count: int) -> None:
    """Make `count` runs in a folder out of one, of ten recipes, every third with a claim that fails.

    They share the figures of the first, and their largest error after the edit rises with their number.
    """
    spec, environment, status, results = (
        json.loads((run / f"{name}.json").read_text(encoding="utf-8"))
        for name in ("spec", "env", "status", "results")
    )
    edited = list(results["conditions"])[1]
    for index in range(count):
        recipe = f"9.{index % 10 + 1}"
        path = folder / recipe / f"run-{index}"
        path.mkdir(parents=True)
        results["conditions"][edited]["max_mse"] = index / 10_000
        results["claims"][0]["passed"] = index % 3 > 0
        spec |= {"name": recipe, "title": f"Title {index % 10 + 1}"}
        spec["grids"]["latent"] = 3 + index % 7
        status["started"] = f"2026-01-{index % 28 + 1:02}T00:{index % 60:02}:00.000+00:00"
        status["ended"] = f"2026-01-{index % 28 + 1:02}T01:00:00.000+00:00"
        parts = {"spec": spec, "env": environment, "status": status, "results": results}
        for name, content in parts.items():
            (path / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
        (path / "figures").mkdir()
        for name in ("colors-ablated.png", "colors-ablated.dark.png", "training.png", "training.dark.png"):
            target = folder / name
            if not target.exists():
                shutil.copy(run / "figures" / name, target)
            (path / "figures" / name).hardlink_to(target)
