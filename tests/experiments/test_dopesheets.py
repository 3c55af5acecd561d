"""The schedules of the published experiments: files that are read as they are."""

import warnings
from importlib.resources import files

import pytest

from excise.schedule import Dopesheet

LONG = ("lr", "reg-separate", "reg-anchor", "reg-unit")

# Steps: 2.2 trains for 20,001; 2.3 to 2.9 for 3,001; 2.10 and the isolated variants for 1,501.
SHEETS = {
    "2.2": (20_001, {*LONG, "reg-unit-v", "reg-polar"}),
    "2.3": (3_001, {*LONG, "reg-planar"}),
    "2.4": (3_001, {*LONG, "reg-planar"}),
    "2.4.1": (1_501, {"lr", "separate", "anchor", "subspace"}),
    "2.5": (3_001, {*LONG}),
    "2.5.1": (1_501, {"lr", "separate", "anchor"}),
    "2.6": (3_001, {*LONG, "reg-planar"}),
    "2.7": (3_001, {*LONG, "reg-planar"}),
    "2.7.1": (1_501, {"lr", "separate", "subspace"}),
    "2.8": (3_001, {*LONG, "reg-anti-anchor"}),
    "2.9": (3_001, {*LONG, "reg-anti-anchor", "reg-planar-v", "reg-planar-d"}),
    "2.9.1": (1_501, {"lr", "separate", "anchor", "anti-anchor", "anti-subspace"}),
    "2.10": (1_501, {"lr", "reg-separate", "reg-anchor", "reg-anti-subspace"}),
    "2.10.1": (1_501, {"lr", "separate", "anchor", "anti-subspace"}),
}

FOLDER = files("excise.experiments") / "dopesheets"


def test_every_experiment_that_trains_has_its_dopesheet_and_no_file_is_left_over():
    assert {path.name for path in FOLDER.iterdir()} == {f"{name}.csv" for name in SHEETS}


@pytest.mark.parametrize("name", SHEETS)
def test_it_has_the_length_and_the_columns_of_its_experiment(name: str):
    text = (FOLDER / f"{name}.csv").read_text(encoding="utf-8")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        timeline = Dopesheet.parse(text, source=name).timeline()
    steps, properties = SHEETS[name]
    assert timeline.num_steps == steps
    assert set(timeline.properties) == properties
    assert all(len(values) == steps and (values >= 0).all() for values in timeline.table.values())


# The published check values of 2.6, given to five digits: lr, separate, anchor, unit, planar.
CHECKS = {
    0: (1e-8, 0.01, 0.01, 0.01, 0.01),
    1000: (0.1, 0.01, 0.04, 0.1, 0.1),
    1500: (0.09482, 0.00865, 0.0346, 0.0865, 0.0865),
    3000: (0.05, 0, 0, 0, 0),
}


@pytest.mark.parametrize("step", CHECKS)
def test_the_timeline_of_2_6_has_the_published_check_values(step: int):
    table = Dopesheet.parse((FOLDER / "2.6.csv").read_text(encoding="utf-8")).timeline().table
    order = ("lr", "reg-separate", "reg-anchor", "reg-unit", "reg-planar")
    found = [table[name][step] for name in order]
    # Half a unit of the fifth decimal is what the published values are rounded to.
    assert found == pytest.approx(CHECKS[step], abs=5e-6, rel=0)
    if step == 0:
        assert found == pytest.approx(CHECKS[step], rel=1e-12)
