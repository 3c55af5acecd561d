"""A sweep that is killed, at whatever moment, goes on by the same command and loses nothing."""

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

from excise.experiments.sweep import run_sweep
from excise.record import open_run
from tiny_recipe import make_tiny

RECIPE = make_tiny(steps=8)

# One process makes ready, then makes a copy of itself for each attempt. An attempt kills itself, as `kill -9` would, as
# it is about to make, write, move or remove something in the sweep's directory for the n-th time.
KILLING = """
import json, os, random, signal, sys
from pathlib import Path
from excise.experiments.sweep import open_sweep_path, run_sweep
from tiny_recipe import make_tiny

EVENTS = {"os.mkdir", "os.rename", "os.remove", "os.rmdir"}
out, recipe, seeds = Path(sys.argv[1]), make_tiny(steps=8), range(4)

def attempt(fatal):
    child = os.fork()
    if not child:
        left = fatal
        def watch(event, arguments):
            nonlocal left
            writes = event in EVENTS or (event == "open" and set(arguments[1] or "") & set("wa+"))
            if writes and str(arguments[0]).startswith(str(out)):
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
        sys.addaudithook(watch)
        run_sweep(recipe, seeds, open_sweep_path(recipe, seeds, out), workers=1)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    written = out.glob("*/*/seed-*/results.json")
    print(json.dumps([status, {path.parent.name: path.stat().st_mtime_ns for path in written}]), flush=True)
    return status

chance = random.Random(3)
for _ in range(6):
    if attempt(chance.randrange(2, 60)) == 0:
        break
else:
    attempt(0)
"""


def test_a_sweep_killed_time_and_again_ends_as_an_undisturbed_one_does(tmp_path: Path):
    undisturbed = run_sweep(RECIPE, range(4), tmp_path / "undisturbed", workers=1)
    support = Path(__file__).parent.parent / "support"
    ended = subprocess.run(
        [sys.executable, "-c", KILLING, str(tmp_path / "runs")],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(support), os.environ.get("PYTHONPATH", "")])},
    )
    statuses, found = zip(*map(json.loads, ended.stdout.splitlines()), strict=True)
    assert statuses[-1] == 0, ended.stderr
    assert statuses.count(-9) >= 4
    finished = [len(seeds) for seeds in found]
    assert len(set(finished)) >= 3, "control: it was killed with none, some and all seeds finished"
    for before, after in itertools.pairwise(found):
        assert before.items() <= after.items(), "a seed that is finished is never written again"
    (path,) = [
        directory for directory in (tmp_path / "runs" / "2.6").iterdir() if any(directory.glob("seed-*"))
    ]
    assert open_run(path).sweep() == undisturbed
    assert open_run(path).status["status"] == "finished"
    assert {file.name for file in path.iterdir()} == {
        "env.json", "spec.json", "status.json", "sweep.json", *(f"seed-{seed}" for seed in range(4))
    }  # fmt: skip
    for seed in range(4):
        for name in ("results.json", "metrics.jsonl", "model.safetensors"):
            expected = (tmp_path / "undisturbed" / f"seed-{seed}" / name).read_bytes()
            assert (path / f"seed-{seed}" / name).read_bytes() == expected
