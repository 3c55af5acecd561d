"""Dots lie at their values in their colours; many stay cheap; the chosen run stands out."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.colors import to_rgb
from matplotlib.text import Annotation, Text

from excise.errors import SettingError, ShapeError
from excise.figures import LIGHT, error_scatter, front


def samples(count: int = 500, seed: int = 0):
    generator = np.random.default_rng(seed)
    similarity, rgb = generator.random(count), generator.random((count, 3))
    return similarity, 0.3 * similarity + 0.01 * generator.normal(size=count), rgb


def scatters(axes: Axes):
    return {str(each.get_label()): each for each in axes.collections if isinstance(each, PathCollection)}


def places(collection: PathCollection):
    return np.asarray(collection.get_offsets())


def sorted_rows(rows: np.ndarray):
    return rows[np.lexsort(rows.round(9).T)]


def test_each_dot_lies_at_its_similarity_and_error_in_its_own_colour():
    similarity, error, rgb = samples()
    (axes,) = error_scatter(similarity, error, rgb, r_squared=0.9, name="s", title="t").draw(LIGHT).axes
    (dots,) = scatters(axes).values()
    drawn = np.column_stack([places(dots), np.asarray(dots.get_facecolor())[:, :3]])
    np.testing.assert_allclose(sorted_rows(drawn), sorted_rows(np.column_stack([similarity, error, rgb])))


def test_the_line_is_the_least_squares_fit_to_all_samples():
    similarity, error, rgb = samples(60_000)
    (axes,) = error_scatter(similarity, error, rgb, r_squared=0.9, name="s", title="t").draw(LIGHT).axes
    slope, intercept = np.polyfit(similarity, error, 1)
    for line in axes.lines:
        x, y = np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
        np.testing.assert_allclose(y, slope * x + intercept, rtol=1e-9)
        assert list(x) == [similarity.min(), similarity.max()]


@pytest.mark.parametrize(
    ("count", "stride"), [(20_000, 1), (20_001, 7), (86_400, 7), (160_001, 11), (552_960, 29)]
)
def test_of_many_samples_every_nth_is_drawn_and_the_caption_says_so(count: int, stride: int):
    similarity, error, rgb = samples(count)
    picture = error_scatter(similarity, error, rgb, r_squared=0.9, name="s", title="t")
    (dots,) = scatters(picture.draw(LIGHT).axes[0]).values()
    assert len(places(dots)) == -(-count // stride) <= 20_000
    assert set(places(dots)[:, 0]) <= set(similarity)
    assert (f"Every {stride}th sample is drawn." in picture.caption) == (stride > 1)
    assert f"over {count} samples" in picture.alt


def test_a_stride_leaves_out_no_column_of_a_grid():
    places_in_row = np.tile(np.arange(24) / 23, 3600)
    picture = error_scatter(
        places_in_row, places_in_row, np.zeros((86_400, 3)), r_squared=1, name="s", title="t"
    )
    (dots,) = scatters(picture.draw(LIGHT).axes[0]).values()
    assert len(np.unique(places(dots)[:, 0])) == 24


def test_a_large_error_that_is_not_drawn_still_has_room_on_the_scale():
    similarity, error, rgb = samples(86_400)
    error[3] = 9.0
    (axes,) = error_scatter(similarity, error, rgb, r_squared=0.9, name="s", title="t").draw(LIGHT).axes
    assert axes.get_ylim()[1] > 9


def test_a_picture_of_86400_samples_is_a_small_file(tmp_path: Path):
    picture = error_scatter(*samples(86_400), r_squared=0.9, name="s", title="t")
    # Random colours are the hardest to pack; one byte a pixel would be 650 kB.
    assert all(path.stat().st_size < 500_000 for path in picture.save(tmp_path))


def test_the_stated_r_squared_is_the_one_that_was_passed():
    picture = error_scatter(*samples(), r_squared=0.1234, name="s", title="t", xlabel="similarity, squared")
    assert picture.draw(LIGHT).axes[0].get_title(loc="left") == "R² = 0.123"
    assert picture.alt.startswith(
        "R² = 0.123 over 500 samples for error against similarity, squared: on average"
    )
    undefined = error_scatter(*samples(), r_squared=float("nan"), name="s", title="t")
    assert undefined.draw(LIGHT).axes[0].get_title(loc="left") == "R² is not defined"


def test_the_text_gives_the_error_at_both_ends():
    similarity, error = np.array([0, 0, 0.5, 1]), np.array([0.02, 0.04, 0.1, 0.3])
    alt = error_scatter(similarity, error, np.zeros((4, 3)), r_squared=0.9, name="s", title="t").alt
    assert alt.endswith("on average 0.3 where that is greatest (1), 0.03 where it is least (0).")


def test_equal_similarities_have_no_line():
    picture = error_scatter(
        np.ones(5), np.arange(5.0), np.zeros((5, 3)), r_squared=np.nan, name="s", title="t"
    )
    assert len(picture.draw(LIGHT).axes[0].lines) == 0


def test_samples_that_do_not_fit_are_refused():
    similarity, error, rgb = samples()
    with pytest.raises(ShapeError, match=r"\(500,\), \(499,\) and \(500, 3\) came"):
        error_scatter(similarity, error[1:], rgb, r_squared=1, name="s", title="t")
    with pytest.raises(ShapeError, match=r"\(500, 2\) came"):
        error_scatter(similarity, error, rgb[:, :2], r_squared=1, name="s", title="t")
    with pytest.raises(ShapeError, match=r"\(0,\)"):
        error_scatter(similarity[:0], error[:0], rgb[:0], r_squared=1, name="s", title="t")
    with pytest.raises(SettingError, match="errors hold 500 values"):
        error_scatter(similarity, error * np.nan, rgb, r_squared=1, name="s", title="t")


def sweep(runs: int = 60):
    generator = np.random.default_rng(0)
    score, loss = generator.random(runs), 10 ** generator.normal(-4, 1, runs)
    return loss, score, score > 0.8, np.arange(runs) + 100


def shown(
    loss: np.ndarray, score: np.ndarray, best: np.ndarray, seeds: np.ndarray, chosen: int | None = None
):
    return front(
        loss, score, best, seeds=seeds, chosen=chosen, xlabel="loss", ylabel="score", name="f", title="t"
    )


def test_runs_on_the_front_are_full_dots_and_the_others_are_hollow():
    loss, score, best, seeds = sweep()
    dots = scatters(shown(loss, score, best, seeds).draw(LIGHT).axes[0])
    np.testing.assert_array_equal(places(dots["on the front"]), np.column_stack([loss, score])[best])
    np.testing.assert_array_equal(places(dots["other runs"]), np.column_stack([loss, score])[~best])
    assert tuple(np.asarray(dots["on the front"].get_facecolor())[0, :3]) == to_rgb(LIGHT.accents[1])
    assert len(np.asarray(dots["other runs"].get_facecolor())) == 0


def test_the_chosen_run_is_marked_and_labelled_with_its_seed():
    loss, score, best, seeds = sweep()
    chosen = int(score.argmax())
    picture = shown(loss, score, best, seeds, chosen)
    (axes,) = picture.draw(LIGHT).axes
    np.testing.assert_array_equal(places(scatters(axes)["chosen"]), [[loss[chosen], score[chosen]]])
    (label,) = axes.texts
    assert label.get_text() == f"seed {seeds[chosen]}"
    assert picture.alt.startswith(
        f"{best.sum()} of 60 runs are on the Pareto front. The chosen one, seed {seeds[chosen]},"
    )


@pytest.mark.parametrize("chosen", range(0, 60, 7))
def test_the_label_of_the_chosen_run_hides_no_dot_and_stays_inside(chosen: int):
    loss, score, best, seeds = sweep()
    figure = shown(loss, score, best, seeds, chosen).draw(LIGHT)
    figure.canvas.draw()
    (axes,) = figure.axes
    (label,) = axes.texts
    assert isinstance(label, Annotation)
    text = Text.get_window_extent(label)
    dots = axes.transData.transform(np.column_stack([loss, score]))
    inside = (dots > [text.x0, text.y0]).all(axis=1) & (dots < [text.x1, text.y1]).all(axis=1)
    assert not inside.any()
    frame = axes.get_window_extent()
    assert frame.x0 < text.x0 < text.x1 < frame.x1


def test_a_scale_is_logarithmic_where_the_values_span_decades():
    loss, score, best, seeds = sweep()
    (axes,) = shown(loss, score, best, seeds).draw(LIGHT).axes
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "linear")
    (axes,) = shown(loss - loss.min(), score, best, seeds).draw(LIGHT).axes
    assert axes.get_xscale() == "linear"


def test_runs_that_are_not_finite_are_left_out_and_counted():
    loss, score, best, seeds = sweep()
    loss[:3], score[2:5] = np.nan, np.inf
    picture = shown(loss, score, best, seeds)
    assert sum(len(places(dots)) for dots in scatters(picture.draw(LIGHT).axes[0]).values()) == 55
    assert picture.caption.endswith("Runs without finite values, not drawn: 5.")
    assert "of 55 runs" in picture.alt


@pytest.mark.parametrize("runs", [1, 5])
def test_equal_runs_can_be_drawn(runs: int):
    same = np.full(runs, 0.3)
    figure = shown(same, 0 * same, np.ones(runs, bool), np.arange(runs), 0).draw(LIGHT)
    figure.canvas.draw()
    assert figure.axes[0].get_xlim()[0] < 0.3 < figure.axes[0].get_xlim()[1]


def test_sweeps_that_do_not_fit_are_refused():
    loss, score, best, seeds = sweep()
    with pytest.raises(ShapeError, match=r"'seeds': \(59,\)"):
        shown(loss, score, best, seeds[1:])
    with pytest.raises(ShapeError, match="int64 came"):
        shown(loss, score, best.astype(int), seeds)
    with pytest.raises(SettingError, match="none of 60 came"):
        shown(loss * np.nan, score, best, seeds)
    with pytest.raises(SettingError, match="finite one of 60; 60 came"):
        shown(loss, score, best, seeds, 60)
    with pytest.raises(SettingError, match="finite one of 60; 2 came"):
        shown(np.where(seeds == 102, np.nan, loss), score, best, seeds, 2)
