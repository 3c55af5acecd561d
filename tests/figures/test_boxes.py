"""Every run is a dot in each metric's panel, on a scale of its own; what is special stands out."""

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.patches import Rectangle

from excise.errors import SettingError, ShapeError, UnknownNameError
from excise.figures import LIGHT, Picture, metric_boxes
from excise.figures.boxes import fit_scale, spans_decades
from excise.figures.theme import new_figure


def metrics(runs: int = 60):
    generator = np.random.default_rng(0)
    return {
        "selectivity": 1 - 0.1 * generator.random(runs),
        "loss": 10 ** generator.normal(-4, 1, runs),
        "error": 0.3 + 0.01 * generator.normal(size=runs),
    }


def scatters(axes: Axes):
    return [each for each in axes.collections if isinstance(each, PathCollection)]


def heights(axes: Axes):
    return np.asarray(scatters(axes)[0].get_offsets())[:, 1]


def panels(picture: Picture):
    return picture.draw(LIGHT).axes


def test_each_run_is_a_dot_at_its_value_in_each_panel():
    for axes, values in zip(
        panels(metric_boxes(metrics(), name="b", title="t")), metrics().values(), strict=True
    ):
        np.testing.assert_array_equal(heights(axes), values)


def test_the_dots_are_spread_the_same_way_each_time_and_no_two_share_a_place():
    one, other = (panels(metric_boxes(metrics(), name="b", title="t"))[0] for _ in range(2))
    across = np.asarray(scatters(one)[0].get_offsets())[:, 0]
    np.testing.assert_array_equal(across, np.asarray(scatters(other)[0].get_offsets())[:, 0])
    assert len(np.unique(across)) == 60
    assert np.abs(across).max() < 0.45


def test_the_box_holds_the_middle_half_and_its_bar_is_the_median():
    axes = panels(metric_boxes(metrics(), name="b", title="t"))[0]
    values = metrics()["selectivity"]
    outline, *_ = axes.lines
    ends = np.asarray(outline.get_ydata())
    assert (ends.min(), ends.max()) == pytest.approx(tuple(np.percentile(values, [25, 75])))
    bar = next(line for line in axes.lines if line.get_color() == LIGHT.ink)
    assert np.asarray(bar.get_ydata()) == pytest.approx(np.median(values))


def test_each_metric_has_a_scale_of_its_own_that_holds_all_its_values():
    drawn = panels(metric_boxes(metrics(), name="b", title="t"))
    assert [axes.get_yscale() for axes in drawn] == ["linear", "log", "linear"]
    for axes, values in zip(drawn, metrics().values(), strict=True):
        low, high = axes.get_ylim()
        assert low < values.min() < values.max() < high


def test_the_chosen_run_is_a_star_in_every_panel_that_has_its_value():
    values = metrics()
    values["loss"][7] = np.nan
    picture = metric_boxes(values, seeds=np.arange(60) + 100, chosen=7, name="b", title="t")
    stars = [
        [np.asarray(star.get_offsets())[0, 1] for star in scatters(axes)[1:]] for axes in panels(picture)
    ]
    assert stars == [[values["selectivity"][7]], [], [values["error"][7]]]
    assert "The star is the chosen run, seed 107." in picture.caption
    assert all(len(scatters(axes)) == 1 for axes in panels(metric_boxes(values, name="b", title="t")))


def test_a_published_value_is_a_band_around_its_mean_and_within_the_scale():
    picture = metric_boxes(metrics(), published={"error": (0.5, 0.1)}, name="b", title="t")
    first, _, last = panels(picture)
    assert not first.patches
    (band,) = last.patches
    assert isinstance(band, Rectangle)
    assert (band.get_y(), band.get_y() + band.get_height()) == pytest.approx((0.4, 0.6))
    assert last.get_ylim()[1] > 0.6
    assert "published mean 0.5 ± 0.1" in picture.alt


def test_a_band_that_reaches_below_0_leaves_a_logarithmic_scale_as_it_is():
    picture = metric_boxes(metrics(), published={"loss": (1e-4, 3e-4)}, name="b", title="t")
    low, high = panels(picture)[1].get_ylim()
    assert 0 < low < metrics()["loss"].min()
    assert high > 4e-4


def test_values_that_are_not_finite_are_left_out_and_counted():
    values = metrics()
    values["loss"][:4], values["error"][:] = np.nan, np.inf
    picture = metric_boxes(values, name="b", title="t")
    _, loss, error = panels(picture)
    np.testing.assert_array_equal(heights(loss), values["loss"][4:])
    assert [text.get_text() for text in error.texts] == ["no finite value"]
    assert picture.caption.endswith("left out: 64.")
    assert "error has no finite value" in picture.alt


def test_a_single_run_has_a_dot_and_no_box():
    for axes in panels(metric_boxes(metrics(1), name="b", title="t")):
        assert len(heights(axes)) == 1
        assert len(axes.lines) == 0


def test_the_text_gives_the_medians_beside_what_was_published_and_chosen():
    values = {"a": np.array([1.0, 2, 3]), "b": np.array([5.0, 5, 5])}
    assert metric_boxes(values, chosen=2, published={"a": (2.5, 0.25)}, name="b", title="t").alt == (
        "Medians over 3 runs: a 2 (published mean 2.5 ± 0.25, chosen run 3); b 5 (chosen run 5)."
    )
    assert metric_boxes({"a": np.array([7.0])}, name="b", title="t").alt == "Medians over 1 run: a 7."


def test_metrics_that_do_not_fit_are_refused():
    with pytest.raises(ShapeError, match=r"at least one run; \{\} came"):
        metric_boxes({}, name="b", title="t")
    with pytest.raises(ShapeError, match=r"'b': \(2,\)"):
        metric_boxes({"a": np.ones(3), "b": np.ones(2)}, name="b", title="t")
    with pytest.raises(ShapeError, match=r"'seeds': \(2,\)"):
        metric_boxes({"a": np.ones(3)}, seeds=np.arange(2), name="b", title="t")
    with pytest.raises(ShapeError, match="at least one run"):
        metric_boxes({"a": np.ones(0)}, name="b", title="t")
    with pytest.raises(SettingError, match="from 0 to 2; 3 came"):
        metric_boxes({"a": np.ones(3)}, chosen=3, name="b", title="t")
    with pytest.raises(
        UnknownNameError, match=r"'selectivty' among the metrics\. Did you mean 'selectivity'"
    ):
        metric_boxes(metrics(), published={"selectivty": (1, 0)}, name="b", title="t")
    with pytest.raises(SettingError, match="'loss' has 1 and -1"):
        metric_boxes(metrics(), published={"loss": (1, -1)}, name="b", title="t")


@pytest.mark.parametrize(
    ("low", "high"),
    [(0, 1), (0.95, 1.05), (0.99999, 1), (-3e-5, 7e-5), (1234, 1235), (5, 5), (0, 0), (1, 1 + 1e-15)],
)
def test_ticks_of_a_fitted_scale_are_what_they_say(low: float, high: float):
    axes = new_figure(LIGHT, 2).add_axes((0, 0, 1, 1))
    longest = fit_scale(axes, "y", np.array([low, high]))
    labels = [label.get_text() for label in axes.get_yticklabels()]
    spacing = np.diff(axes.get_yticks()).min()
    np.testing.assert_allclose([float(label) for label in labels], axes.get_yticks(), atol=1e-3 * spacing)
    assert longest == max(map(len, labels)) <= 10


def test_a_scale_is_logarithmic_only_where_most_values_lie_low():
    assert spans_decades(np.geomspace(1e-6, 1, 9))
    assert not spans_decades(np.append(np.full(9, 0.9), 0.01))
    assert not spans_decades(np.append(np.geomspace(1e-6, 1, 9), 0))
    assert not spans_decades(np.linspace(0.1, 1, 9))
    assert not spans_decades(np.ones(0))
