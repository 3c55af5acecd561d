"""Each notebook runs as a script, with warnings as errors, and what it tells is so."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from excise.experiments.catalogue import find_recipe
from excise.experiments.pipeline import run_recipe
from tiny_recipe import make_tiny

ROOT = Path(__file__).parent.parent.parent
DRIVER = ROOT / "tests" / "support" / "run_notebook.py"


def ran(name: str, *arguments: str, **asked: str) -> dict[str, Any]:
    """What expressions of the notebook's definitions are after it has run as a script of its own process."""
    command = [sys.executable, "-W", "error", str(DRIVER), str(ROOT / "notebooks" / f"{name}.py")]
    ended = subprocess.run(
        [*command, json.dumps(asked), *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    return json.loads(ended.stdout.splitlines()[-1])


def test_delete_warmth_takes_red_and_cyan_spares_what_lies_across_and_the_control_takes_something_else():
    told = ran(
        "delete_warmth",
        anchored="named['pruned'].to_dict()",
        before="float(named['baseline'].max())",
        control="control_named['control, pruned'].to_dict()",
        held="int(holds.sum())",
        difference="difference",
        text="lost_in_words(named['pruned'])",
    )
    lost = {name for name, error in told["anchored"].items() if error >= 0.1}
    assert {"red", "cyan"} <= lost
    assert not lost & {"lime", "purple", "white", "gray", "black"}
    assert all(name in told["text"] for name in lost)
    assert told["before"] < 0.01
    assert {name for name, error in told["control"].items() if error >= 0.1} != lost
    assert told["difference"] < 1e-9
    assert told["held"] >= 3, "of four seeds; about one in twelve fails after so short a training"


def test_suppressed_red_goes_by_strength_mixtures_pay_a_start_spares_them_and_no_other_axis_takes_red():
    told = ran(
        "intervene_on_red",
        alignment="alignment.to_dict()",
        strength="by_strength.loc[['red', 'orange', 'cyan']].to_numpy().tolist()",
        untouched="float(untouched['cyan'])",
        falloff="{name: by_falloff[name].to_dict() for name in by_falloff}",
        controls="controls.loc['red'].tolist()",
    )
    red, orange, cyan = told["strength"]
    assert red == sorted(red)
    assert red[-1] > 0.1 > 20 * red[0]
    assert orange[-1] > 10 * orange[0]
    assert cyan == [told["untouched"]] * 5, "what points away is untouched to the bit"
    assert told["alignment"]["cyan"] < 0 < told["alignment"]["orange"] < told["alignment"]["red"]
    assert told["falloff"]["within 30°"]["pink"] <= told["falloff"]["within 60°"]["pink"]
    assert told["falloff"]["squared"]["orange"] < told["falloff"]["all of it"]["orange"]
    assert told["controls"][0] > 10 * max(told["controls"][1:])


def test_your_own_model_loses_the_concept_keeps_the_rest_and_the_control_loses_nothing_of_it():
    told = ran(
        "your_own_model",
        recalls="recalls.to_dict('list')",
        exactness="edit.report.exactness",
        left="probes['anchored, cut']",
        widths="[anchored.latent.out_features, cut.latent.out_features]",
    )
    recalls = told["recalls"]
    assert min(recalls["anchored"] + recalls["control"]) > 0.9
    assert recalls["anchored, cut"][0] < 0.1
    assert sum(recalls["anchored, cut"][1:]) / 5 > 0.8
    assert recalls["control, cut"][0] > 0.9
    assert told["exactness"] == "exact"
    assert told["widths"] == [8, 7]
    assert 0.5 <= told["left"] <= 1


def test_read_a_sweep_makes_one_where_it_is_given_none_and_tells_its_spread_front_and_worst_seed():
    told = ran(
        "read_a_sweep",
        seeds="list(saved.seeds)",
        path="str(saved.path)",
        claims="claims[['passed', 'seeds']].to_numpy().tolist()",
        chosen="saved.sweep['chosen']",
        front="saved.sweep['front']",
        sides="sides",
        by="seed_table['suppressed.selectivity'].to_dict()",
        widest="widest in spread.index",
        picture="[chosen_picture.name, chosen_picture.alt]",
        worst="worst.environment['seed']",
    )
    assert told["seeds"] == [0, 1, 2, 3]
    assert len(told["claims"]) == len(find_recipe("2.5.1").claims)
    assert all(0 <= passed <= seeds == 4 for passed, seeds in told["claims"])
    assert told["chosen"] in told["front"]
    best, worst = told["sides"]
    by = {int(seed): value for seed, value in told["by"].items()}
    assert by[best] == max(by.values())
    assert by[worst] == min(by.values())
    assert told["worst"] == worst
    assert told["widest"]
    assert told["picture"][0] == "front"
    assert not Path(told["path"]).exists(), "what it made itself goes with it"


def test_read_a_sweep_says_so_where_a_path_holds_no_sweep(tmp_path: Path):
    run_recipe(make_tiny(steps=4), 0, tmp_path / "run")
    told = ran(
        "read_a_sweep", "--run", str(tmp_path / "run"), kind="saved.kind", went_on="'seed_table' in globals()"
    )
    assert told == {"kind": "run", "went_on": False}
