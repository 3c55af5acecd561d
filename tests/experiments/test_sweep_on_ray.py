"""A sweep on a cluster that loses a node gives what it gives here, each seed once."""

import json
from pathlib import Path
from typing import Any

from excise.executors.ray import RayExecutor
from excise.experiments.sweep import run_sweep
from excise.training.progress import SilentProgress
from ray_cluster import ThreeNodes
from tiny_recipe import make_tiny

SEEDS = range(12)


class KillsANode(SilentProgress):
    """Kills a node when the first seed is finished, so that others are in the middle of their chunks."""

    def __init__(self, cluster: ThreeNodes) -> None:
        self.cluster = cluster
        self.stages: list[str] = []
        self.killed = False

    def stage(self, name: str) -> None:
        self.stages.append(name)
        if name.startswith("1 of 12") and not self.killed:
            self.killed = True
            self.cluster.kill(self.cluster.expendable())


def test_a_node_killed_in_the_middle_of_a_sweep_loses_no_seed_and_changes_no_bit(
    ray_cluster: ThreeNodes, tmp_path: Path
):
    recipe = make_tiny(steps=40)
    here = run_sweep(recipe, SEEDS, tmp_path / "here", workers=1)
    progress = KillsANode(ray_cluster)
    with RayExecutor(ray_cluster.address) as executor:
        there = run_sweep(recipe, SEEDS, tmp_path / "there", executor=executor, progress=progress)
    ray_cluster.mend()
    assert progress.killed
    assert sorted(path.name for path in (tmp_path / "there").glob("seed-*")) == sorted(
        f"seed-{seed}" for seed in SEEDS
    )
    assert [stage for stage in progress.stages if "finished" in stage][-1].startswith("12 of 12")
    assert [row["seed"] for row in there["rows"]] == list(SEEDS)
    assert there["rows"] == here["rows"]
    for seed in SEEDS:
        weights = f"seed-{seed}/model.safetensors"
        assert (tmp_path / "there" / weights).read_bytes() == (tmp_path / "here" / weights).read_bytes()
        assert results(tmp_path / "there", seed) == results(tmp_path / "here", seed)


def results(path: Path, seed: int) -> dict[str, Any]:
    return json.loads((path / f"seed-{seed}" / "results.json").read_text())
