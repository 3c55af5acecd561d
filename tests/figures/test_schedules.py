"""Training and schedule are drawn completely, a term in the same colour in both."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes

from excise.errors import SettingError, ShapeError
from excise.figures import LIGHT, THEMES, Theme, schedule_curves, training_curves


@dataclass(frozen=True)
class Part:
    name: str
    first: int
    last: int


def metrics(logged: int = 60, seed: int = 0):
    generator = np.random.default_rng(seed)
    noise = np.exp(generator.normal(0, 0.2, logged))
    objective = np.geomspace(0.2, 2.5e-5, logged)
    anchor = np.where(generator.random(logged) < 0.5, np.nan, 0.1 * noise)
    separate = np.append(np.full(logged - 1, 0.3), 0.0)
    return {
        "step": 10 * np.arange(logged),
        "loss": objective * 2,
        "objective": objective,
        "lr": np.full(logged, 0.1),
        "term/reg-anchor": anchor,
        "term/reg-separate": separate,
    }


def schedule(steps: int = 1001):
    ramp = np.interp(np.arange(steps), [0, 300, 900, steps], [0, 1, 0, 0])
    rate = np.geomspace(0.01, 0.1, steps)
    rate[0] = 1e-8
    return {"lr": rate, "reg-separate": 0.01 * ramp, "reg-anchor": 0.04 * ramp, "reg-unit": 0.04 * ramp}


def by_label(axes: Axes):
    return {str(line.get_label()): line for line in axes.lines if not str(line.get_label()).startswith("_")}


def test_loss_objective_and_each_term_are_drawn_on_a_logarithmic_axis_and_the_rate_is_not():
    (axes,) = training_curves(metrics(), name="t", title="t").draw(LIGHT).axes
    assert set(by_label(axes)) == {"loss", "objective", "reg-anchor", "reg-separate"}
    assert axes.get_yscale() == "log"
    assert len({line.get_color() for line in by_label(axes).values()}) == 4


def test_the_faint_lines_are_the_values_themselves_without_what_was_skipped_or_zero():
    logged = metrics()
    (axes,) = training_curves(logged, name="t", title="t").draw(LIGHT).axes
    faint = {line.get_color(): line for line in axes.lines if line.get_alpha()}
    for label, line in by_label(axes).items():
        values = logged[label if label in logged else f"term/{label}"]
        known = np.isfinite(values) & (values > 0)
        np.testing.assert_array_equal(faint[line.get_color()].get_xdata(), logged["step"][known])
        np.testing.assert_array_equal(faint[line.get_color()].get_ydata(), values[known])
    assert not np.isfinite(logged["term/reg-anchor"]).all()


def test_the_bold_line_is_a_median_that_one_outlier_does_not_move():
    logged = metrics()
    calm = by_label(training_curves(logged, name="t", title="t").draw(LIGHT).axes[0])["loss"]
    logged["loss"] = logged["loss"].copy()
    logged["loss"][30] *= 1000
    moved = by_label(training_curves(logged, name="t", title="t").draw(LIGHT).axes[0])["loss"]
    assert np.max(np.asarray(moved.get_ydata()) / np.asarray(calm.get_ydata())) < 1.3


def test_the_training_text_gives_where_the_objective_began_and_ended():
    logged = metrics()
    assert training_curves(logged, name="t", title="t").alt == (
        "The objective falls from 0.2 at step 0 to 2.5e-5 by step 590, beside 2 terms."
    )
    logged["objective"] = logged["objective"][::-1]
    assert "rises from 2.5e-5" in training_curves(logged, name="t", title="t").alt


def test_a_term_that_was_never_measured_is_no_line():
    logged = metrics() | {"term/never": np.full(60, np.nan)}
    assert "never" not in by_label(training_curves(logged, name="t", title="t").draw(LIGHT).axes[0])


def test_one_logged_step_is_enough():
    one = {key: values[:1] for key, values in metrics().items()}
    training_curves(one, name="t", title="t").draw(LIGHT).canvas.draw()


def test_training_series_that_do_not_fit_are_refused():
    with pytest.raises(ShapeError, match="logged steps with their objective"):
        training_curves({"step": np.arange(3)}, name="t", title="t")
    with pytest.raises(ShapeError, match="logged steps with their objective"):
        training_curves({"step": np.arange(0), "objective": np.ones(0)}, name="t", title="t")
    with pytest.raises(ShapeError, match="one common length"):
        training_curves(metrics() | {"term/short": np.ones(3)}, name="t", title="t")


def test_the_rate_has_a_logarithmic_panel_of_its_own_above_the_weights():
    table = schedule()
    upper, lower = schedule_curves(table, name="s", title="t").draw(LIGHT).axes
    assert set(by_label(upper)) == {"learning rate"}
    assert set(by_label(lower)) == {"reg-anchor", "reg-separate", "reg-unit"}
    assert (upper.get_yscale(), lower.get_yscale()) == ("log", "linear")
    assert upper.get_position().y0 > lower.get_position().y1
    assert upper.get_xlim() == lower.get_xlim()
    for key, line in by_label(lower).items():
        np.testing.assert_array_equal(line.get_ydata(), table[key])


def test_a_warm_up_from_almost_nothing_does_not_flatten_the_rate():
    upper, _ = schedule_curves(schedule(), name="s", title="t").draw(LIGHT).axes
    low, high = upper.get_ylim()
    assert low == pytest.approx(1e-4)
    assert 0.1 < high < 0.2


def test_a_line_that_would_be_hidden_under_an_equal_one_is_dashed():
    lines = by_label(schedule_curves(schedule(), name="s", title="t").draw(LIGHT).axes[1])
    assert [lines[key].is_dashed() for key in ("reg-anchor", "reg-separate", "reg-unit")] == [
        False,
        False,
        True,
    ]


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
def test_a_term_has_the_same_colour_in_training_and_schedule(theme: Theme):
    table = {key: values for key, values in schedule().items() if key != "reg-unit"}
    (training,) = training_curves(metrics(), name="t", title="t").draw(theme).axes
    weights = schedule_curves(table, name="s", title="t").draw(theme).axes[1]
    colors = {key: line.get_color() for key, line in by_label(training).items()}
    assert {key: line.get_color() for key, line in by_label(weights).items()} == {
        key: colors[key] for key in ("reg-anchor", "reg-separate")
    }


def test_up_to_six_terms_have_colours_of_their_own():
    table = {f"reg-{letter}": np.linspace(0, 1 + index, 9) for index, letter in enumerate("abcdef")}
    (axes,) = schedule_curves(table, name="s", title="t").draw(LIGHT).axes
    assert len({line.get_color() for line in by_label(axes).values()}) == 6


def test_the_schedule_text_gives_peaks_and_when_all_weights_are_off():
    assert schedule_curves(schedule(), name="s", title="t").alt == (
        "The learning rate peaks at 0.1 (step 1000) and ends at 0.1. The weights peak at reg-anchor 0.04, "
        "reg-separate 0.01, reg-unit 0.04; all weights are 0 after step 899."
    )
    halved = {key: values / 2 for key, values in schedule().items()}
    assert "reg-anchor 0.02" in schedule_curves(halved, name="s", title="t").alt
    assert "after step" not in schedule_curves({"lr": np.ones(5), "a": np.ones(5)}, name="s", title="t").alt


def test_phases_are_marked_where_they_begin_and_named_where_there_is_room():
    parts = [Part("warm up", 0, 299), Part("blink", 300, 301), Part("anneal", 302, 1000)]
    upper, lower = schedule_curves(schedule(), phases=parts, name="s", title="t").draw(LIGHT).axes
    assert [text.get_text() for text in upper.texts] == ["warm up", "anneal"]
    assert len(lower.texts) == 0
    for axes in (upper, lower):
        marks = [np.asarray(line.get_xdata())[0] for line in axes.lines if np.size(line.get_xdata()) == 2]
        assert marks == [300, 302]


def test_every_second_phase_is_a_shaded_band_and_the_caption_names_all():
    parts = [Part("warm up", 0, 299), Part("blink", 300, 301), Part("hold", 302, 600), Part("end", 601, 1000)]
    picture = schedule_curves(schedule(), phases=parts, name="s", title="t")
    for axes in picture.draw(LIGHT).axes:
        bands = [patch.get_path().get_extents(patch.get_patch_transform()) for patch in axes.patches]
        assert [(band.x0, band.x1) for band in bands] == [(300, 302), (601, 1001)]
    assert picture.caption.endswith("warm up from 0, blink from 300, hold from 302, end from 601.")
    alone = schedule_curves(schedule(), phases=parts[:1], name="s", title="t")
    assert "Bands" not in alone.caption
    assert not alone.draw(LIGHT).axes[0].patches


def test_a_single_phase_needs_no_mark():
    upper, _ = (
        schedule_curves(schedule(), phases=[Part("Train", 0, 1000)], name="s", title="t").draw(LIGHT).axes
    )
    assert len(upper.texts) == 0


@pytest.mark.parametrize("keys", [["lr"], ["reg-anchor"]])
def test_a_schedule_of_rate_or_weights_alone_is_one_panel(keys: list[str]):
    table = {key: schedule()[key] for key in keys}
    assert len(schedule_curves(table, name="s", title="t").draw(LIGHT).axes) == 1


def test_schedules_that_do_not_fit_are_refused():
    with pytest.raises(ShapeError, match="at least one property"):
        schedule_curves({}, name="s", title="t")
    with pytest.raises(ShapeError, match="one common length"):
        schedule_curves({"lr": np.ones(3), "a": np.ones(4)}, name="s", title="t")
    with pytest.raises(ShapeError, match="one common length"):
        schedule_curves({"lr": np.ones(0)}, name="s", title="t")
    with pytest.raises(SettingError, match="'a' hold 1 values"):
        schedule_curves({"lr": np.ones(2), "a": np.array([0, np.nan])}, name="s", title="t")


def test_a_name_with_dollars_is_written_as_it_is(tmp_path: Path):
    columns = {r"$\frac$": np.linspace(0, 1, 5), "a$bad$": np.linspace(1, 0, 5)}
    for path in schedule_curves(columns, name="s", title="t").save(tmp_path):
        assert path.stat().st_size > 0
