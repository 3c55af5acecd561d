"""A folder with one saved run of each kind, all made tiny; not to be changed."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from excise.errors import NonFiniteError
from excise.experiments import chunk
from excise.experiments.catalogue import draw_shapes
from excise.experiments.pipeline import Trained, run_recipe, train
from excise.experiments.reproduction import Reproduction, Row, Section, Verdict
from excise.experiments.shapes import run_shapes
from excise.experiments.sweep import run_sweep
from excise.record import Record
from excise.record.files import write_json
from tiny_recipe import make_tiny

SEED, CRASHED = 3, 5


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2.6/run, 2.6/sweep over the seeds 3, 4 and 5, the last of which diverged, 2.1/shapes, reproduction/whole."""
    folder = tmp_path_factory.mktemp("saved")
    run_recipe(make_tiny(), SEED, folder / "2.6" / "run", log_every=5)
    run_shapes(draw_shapes().model_copy(update={"angles": 8, "alignments": 101}), folder / "2.1" / "shapes")
    error = NonFiniteError("reg-unit", 7, float("nan"))

    def diverge(*args: Any, **settings: Any) -> list[Trained]:
        return [
            replace(each, outcome=replace(each.outcome, error=error)) if each.seed == CRASHED else each
            for each in train(*args, **settings)
        ]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunk, "train", diverge)
        run_sweep(make_tiny(), [SEED, SEED + 1, CRASHED], folder / "2.6" / "sweep", workers=1)
    rows = [
        Row(recipe="2.6", what="red", published=("0.3",), ours=(0.29,), verdict=verdict)
        for verdict in (Verdict.AGREES, Verdict.AGREES, Verdict.DIFFERS, Verdict.NOT_PUBLISHED)
    ]
    section = Section(title="Errors", text="As printed.", ours="one run", rows=tuple(rows))
    whole = folder / "reproduction" / "whole"
    with Record(whole, {"kind": "reproduction", "quick": False, "parts": {}}, {}):
        made = Reproduction(quick=False, carried=(), sections=(section,))
        write_json(whole / "reproduction.json", made.model_dump(mode="json"))
    return folder
