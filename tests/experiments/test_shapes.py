import contextlib
import html
import io
import math
import re
import sys
import webbrowser
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch

from excise import cli
from excise.errors import RunError
from excise.experiments.catalogue import RECIPES, draw_shapes, find_recipe
from excise.experiments.pictures_of_shapes import pictures_of_shapes
from excise.experiments.shape_verdict import judge_shapes
from excise.experiments.shapes import draw, run_shapes, shapes_of
from excise.figures import DARK, LIGHT
from excise.interventions import BezierMapper, Falloff, LinearMapper, Mapper
from excise.record import Run, open_run

RECIPE = draw_shapes()
FIGURES = ["lobes", "strength", "suppressed", "new-alignment", "repelled"]


class Ended(NamedTuple):
    status: int
    out: str
    err: str


def excise(*arguments: object) -> Ended:
    out, err, status = io.StringIO(), io.StringIO(), 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["excise", *map(str, arguments)])
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                cli.main()
            except SystemExit as end:
                status = end.code if isinstance(end.code, int) else 1
    return Ended(status, out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Ended, Run]:
    """Recipe 2.1 through the command line, with its report; not to be changed."""
    out = tmp_path_factory.mktemp("runs")
    ended = excise("run", "2.1", "--out", out)
    (path,) = (out / "2.1").iterdir()
    return ended, open_run(path)


def test_the_shapes_are_the_published_ones_and_2_1_stands_first():
    cos_30, cos_60 = math.cos(math.radians(30)), math.cos(math.radians(60))
    settings = [
        tuple(value for key, value in shape["profile"].items() if key != "kind")
        for shape in RECIPE.spec()["shapes"]
    ]
    assert settings == [
        pytest.approx(each, rel=1e-15)  # a cosine may be rounded
        for each in (
            (0, 0.5, 1), (0, 0.5, 2), (cos_60, 1, 1), (cos_60, 1, 2),
            (0, cos_60), (0, cos_60, 0.2), (cos_60, cos_30), (cos_60, cos_30, 0.2),
        )
    ]  # fmt: skip
    assert [type(shape.profile) for shape in RECIPE.shapes[4:]] == [LinearMapper, BezierMapper] * 2
    assert next(iter(RECIPES)) == RECIPE.name == "2.1"
    assert find_recipe("2.1") == RECIPE


def test_a_run_holds_all_but_what_training_leaves_and_every_claim_holds(ran: tuple[Ended, Run]):
    ended, run = ran
    assert (ended.status, ended.err) == (0, "")
    assert {path.name for path in run.path.iterdir()} == {
        "spec.json", "env.json", "status.json", "results.json", "results.nc", "figures", "report.html",
    }  # fmt: skip
    drawn = {f"{name}{theme}.png" for name in FIGURES for theme in ("", ".dark")}
    assert {path.name for path in (run.path / "figures").iterdir()} == {*drawn, "figures.json"}
    assert run.status["status"] == "finished"
    results = run.results()
    assert results["conditions"] == {}
    assert [row["claim"] for row in results["claims"]] == [claim.claim for claim in RECIPE.claims]
    assert all(row["passed"] for row in results["claims"])


def test_what_is_drawn_are_the_falloffs_and_the_mappers_themselves(ran: tuple[Ended, Run]):
    arrays = ran[1].arrays()
    alignment = torch.linspace(-1, 1, 2001, dtype=torch.float64)
    np.testing.assert_allclose(arrays["alignment"], alignment, atol=1e-15)
    for shape in RECIPE.shapes:
        expected = shape.profile(alignment.clamp(0, 1)).numpy()
        if isinstance(shape.profile, Falloff):
            drawn = arrays["strength"].sel(suppression=shape.name)
        else:
            drawn = arrays["new_alignment"].sel(repulsion=shape.name)
            expected = np.where(alignment > 0, expected, alignment)
        np.testing.assert_allclose(drawn, expected, atol=1e-12)  # through an edit of a latent, and back
    before = arrays["before"].transpose("angle", "axis").to_numpy()
    angle = arrays["angle"].to_numpy()
    np.testing.assert_array_equal(before, np.column_stack([np.cos(angle), np.sin(angle)]))
    for shape in RECIPE.shapes:
        after = arrays["after"].sel(shape=shape.name).transpose("angle", "axis")
        np.testing.assert_array_equal(after, shape.intervention(torch.tensor(before)))
        assert np.abs(after.to_numpy() - before).max() > 0.4


def test_the_numbers_by_angle_are_those_of_the_formulas(ran: tuple[Ended, Run]):
    shapes = ran[1].results()["shapes"]
    assert list(shapes) == [shape.name for shape in RECIPE.shapes]
    assert shapes["half from 90° (squared)"] == {
        "measures": "strength",
        "by_degrees": pytest.approx(
            {str(angle): math.cos(math.radians(angle)) ** 2 / 2 for angle in (0, 15, 30, 45, 60, 75, 90)},
            abs=1e-12,
        ),
    }
    assert shapes["whole from 60°"]["by_degrees"]["60"] == 0
    assert shapes["linear 60°→30°"]["by_degrees"]["0"] == pytest.approx(math.sqrt(3) / 2)


def test_a_recipe_is_read_back_from_its_spec_and_gives_the_same_bytes(
    ran: tuple[Ended, Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    run = ran[1]
    assert shapes_of(run) == RECIPE
    page = html.unescape((run.path / "report.html").read_text(encoding="utf-8"))
    (script,) = re.findall(r"<pre[^>]*>(from pathlib.*?)</pre>", page, flags=re.DOTALL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("excise.report.page.build_report", lambda _path: None)  # drawing takes seconds
    (tmp_path / "spec.json").write_bytes((run.path / "spec.json").read_bytes())
    exec(script, {})
    for name in ("spec.json", "results.json", "results.nc"):
        assert (tmp_path / "again" / name).read_bytes() == (run.path / name).read_bytes(), name


def test_the_pictures_are_made_from_the_arrays_on_disk(ran: tuple[Ended, Run]):
    pictures = pictures_of_shapes(ran[1].arrays())
    assert [picture.name for picture in pictures] == FIGURES
    by_name = {picture.name: picture for picture in pictures}
    assert "from 0.5 for half from 90° to 1 for whole from 60°" in by_name["lobes"].alt
    assert "lengths afterwards are all 1." in by_name["repelled"].alt
    for theme in (LIGHT, DARK):
        lines = by_name["new-alignment"].draw(theme).axes[0].lines
        assert min(float(np.min(np.asarray(line.get_xdata()))) for line in lines) == 0
        assert len(by_name["suppressed"].draw(theme).axes) == 4


@pytest.mark.parametrize(("kind", "shown"), [(Falloff, FIGURES[:3]), (Mapper, FIGURES[3:])])
def test_a_recipe_of_one_kind_alone_has_the_pictures_of_that_kind(kind: type, shown: list[str]):
    shapes = tuple(shape for shape in RECIPE.shapes if isinstance(shape.profile, kind))
    claims = tuple(claim for claim in RECIPE.claims if getattr(claim, "measure", "") == "touched away")
    drawn = draw(RECIPE.model_copy(update={"shapes": shapes, "claims": claims}))
    assert [picture.name for picture in pictures_of_shapes(drawn)] == shown
    assert all(row["passed"] for row in judge_shapes(claims, shapes, drawn))


def test_the_report_speaks_of_shapes_and_not_of_seeds_or_errors(ran: tuple[Ended, Run]):
    page = (ran[1].path / "report.html").read_text(encoding="utf-8")
    text = " ".join(re.sub(r"<(style|pre).*?</\1>|<[^>]*>", " ", page, flags=re.DOTALL).split())
    assert "10 of 10 claims hold. " in text
    assert "no training" in text
    assert "half from 90° (squared) 0.500 0.467 0.375 0.250 0.125 0.0335 0 " in text
    assert "seed" not in text
    assert "loss grid" not in text
    assert ">excise run 2.1</pre>" in page


def test_list_report_and_show_know_the_recipe(ran: tuple[Ended, Run], monkeypatch: pytest.MonkeyPatch):
    ended, run = ran
    assert excise("list").out.splitlines()[0] == f"2.1  {RECIPE.title}"
    monkeypatch.setattr(webbrowser, "open", lambda _address: True)
    assert excise("show", run.path) == (0, ended.out, "")
    for words in ("strength by angle to the direction", "Bezier 60°→30°", "passed  "):
        assert words in ended.out
    assert ended.out.endswith(f"\nreport: {run.path / 'report.html'}\n")
    before = (run.path / "report.html").read_bytes()
    monkeypatch.setattr("excise.figures.theme.Picture.save", lambda self, folder: saved(self.name, folder))
    assert excise("report", run.path).status == 0
    assert (run.path / "report.html").read_bytes() == before


def saved(name: str, folder: Path) -> tuple[Path, Path]:
    return folder / f"{name}.png", folder / f"{name}.dark.png"


@pytest.mark.parametrize("more", [("--seeds", 3), ("--seeds", 1), ("--seed", 7)])
def test_seeds_are_refused_since_nothing_is_random(more: tuple[object, ...], tmp_path: Path):
    ended = excise("run", "2.1", *more, "--out", tmp_path)
    assert ended.status == 2
    assert "recipe 2.1 trains nothing and draws nothing at random" in ended.err
    assert not list(tmp_path.iterdir())


def test_a_run_whose_report_cannot_be_made_has_failed_and_keeps_its_results(tmp_path: Path):
    def refuse(path: Path):
        assert open_run(path).results()["recipe"] == "2.1"
        raise RunError("no report")

    with pytest.raises(RunError, match="no report"):
        run_shapes(RECIPE, tmp_path / "run", then=refuse)
    assert open_run(tmp_path / "run").status["status"] == "failed"


def test_a_spec_of_shapes_that_is_damaged_is_named(ran: tuple[Ended, Run], tmp_path: Path):
    damaged = Run(tmp_path, {**RECIPE.spec(), "shapes": []}, ran[1].status, ran[1].environment)
    with pytest.raises(RunError, match=r"spec\.json is no recipe of this version"):
        shapes_of(damaged)
    assert shapes_of(Run(tmp_path, {"name": "2.6"}, {}, {})) is None
