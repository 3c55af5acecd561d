"""Two processes that train one model: each term is their mean, counts are sums, and rates and weights are the same."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from anchored import anchoring, net, stream
from excise.seeding import generator

SCRIPT = Path(__file__).parent.parent / "support" / "two_ranks.py"
SECONDS = 120


def trained(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """What both ranks saw, in a whole training and a resumed one; a run that hangs is stopped, with its child."""
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "GLOO_SOCKET_IFNAME": "lo",
        "MASTER_ADDR": "127.0.0.1",
    }
    running = subprocess.Popen(
        [sys.executable, str(SCRIPT), str(folder)],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        _, errors = running.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(running.pid, signal.SIGKILL)
        _, errors = running.communicate()
        pytest.fail(f"the two processes hang: {errors[-2000:]}")
    assert running.returncode == 0, errors[-3000:]
    return {
        training: [json.loads((folder / training / f"rank{rank}.json").read_text()) for rank in range(2)]
        for training in ("whole", "resumed")
    }


def by_hand() -> tuple[list[dict[str, float]], nn.Module, int]:
    """The same training in one process: two graphs, whose gradients are averaged."""
    model = net()
    data = stream(samples=12, batch_size=2)
    batches = [data.batches(generator(0, purpose)) for purpose in ("data", "data of rank 1")]
    optimizer = torch.optim.Adam(model.parameters(), lr=1.0, fused=True)
    timeline = anchoring().timeline
    assert timeline is not None
    rows, warm = [], 0
    with anchoring().attach(model, data.labels) as terms:
        for step in range(8):
            optimizer.param_groups[0]["lr"] = timeline.table["lr"][step]
            optimizer.zero_grad()
            measured: dict[str, list[float]] = {}
            for mine in batches:
                batch = next(mine)
                warm += int(batch.labels["warm"].sum())
                value = nn.functional.mse_loss(model(batch.inputs), batch.targets)
                ((value + terms.loss(batch.labels, step)) / 2).backward()
                for name, number in terms.values.items():
                    measured.setdefault(name, []).append(number.item())
            optimizer.step()
            rows.append({name: sum(values) / len(values) for name, values in measured.items()})
    return rows, model, warm


def test_two_processes_train_one_model_as_their_mean_and_are_resumed_to_the_same_bits(tmp_path: Path):
    expected, model, warm = by_hand()
    seen = trained(tmp_path)
    first, second = seen["whole"]
    assert first["weights"] == second["weights"]
    assert first["rates"] == second["rates"]
    for ours, theirs in zip(first["weights"], model.parameters(), strict=True):
        assert ours == pytest.approx(theirs.flatten().tolist(), rel=1e-4, abs=1e-6)
    for row, values in zip(first["rows"], expected, strict=True):
        told = {name.removeprefix("term/"): value for name, value in row.items() if name.startswith("term/")}
        assert told == pytest.approx(values, rel=1e-4)
    assert first["counts"] == second["counts"] == {"warm": warm}

    # Observers are told by the first process alone; both log the same numbers, of validation too.
    assert [row["step"] for row in first["rows"]] == list(range(8))
    assert second["rows"] == []
    assert first["logged"] == second["logged"]
    assert {"validation/objective", "validation/pull", "term/push", "label/warm"} <= set(first["logged"])

    for whole, resumed in zip(seen["whole"], seen["resumed"], strict=True):
        assert resumed["weights"] == whole["weights"]
        assert resumed["counts"] == whole["counts"]
        assert resumed["rates"] == whole["rates"][4:]
