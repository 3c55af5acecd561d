"""Lobes, rings and lines lie where the intervention acts and where it moves things."""

from collections.abc import Callable

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.projections.polar import PolarAxes

from excise.errors import SettingError, ShapeError
from excise.figures import LIGHT, Picture, ring_maps, strength_lines, strength_lobes

ALIGNMENT = np.linspace(-1, 1, 41)
RAMP = ("ramp", ALIGNMENT, np.clip(ALIGNMENT, 0, 1))
HALF = ("half", ALIGNMENT, np.where(ALIGNMENT > 0.49, 0.5, 0.0))


def outline(axes: Axes):
    (line,) = axes.lines
    return np.asarray(line.get_xdata()), np.asarray(line.get_ydata())


def test_a_lobe_has_its_strength_at_the_angle_whose_cosine_is_the_alignment():
    for axes, (_, _, strength) in zip(
        strength_lobes([RAMP, HALF], name="l", title="t").draw(LIGHT).axes, (RAMP, HALF), strict=True
    ):
        assert isinstance(axes, PolarAxes)
        angle, radius = outline(axes)
        np.testing.assert_allclose(
            np.interp(np.cos(angle[1:-1]), ALIGNMENT, strength), radius[1:-1], atol=1e-12
        )


def test_a_lobe_is_symmetric_about_the_direction_and_begins_and_ends_at_the_centre():
    angle, radius = outline(strength_lobes([HALF], name="l", title="t").draw(LIGHT).axes[0])
    np.testing.assert_array_equal(angle, -angle[::-1])
    np.testing.assert_array_equal(radius, radius[::-1])
    assert radius[0] == radius[-1] == 0
    assert abs(angle[len(angle) // 2]) == 0


def test_alignments_may_come_in_any_order():
    order = np.random.default_rng(0).permutation(len(ALIGNMENT))
    shuffled = ("ramp", ALIGNMENT[order], RAMP[2][order])
    one, other = (strength_lobes([each], name="l", title="t") for each in (RAMP, shuffled))
    np.testing.assert_array_equal(outline(one.draw(LIGHT).axes[0]), outline(other.draw(LIGHT).axes[0]))
    assert one.alt == other.alt


def test_all_lobes_share_one_scale_that_holds_the_strongest():
    strong = ("strong", ALIGNMENT, 3 * RAMP[2])
    axes = strength_lobes([RAMP, strong], name="l", title="t").draw(LIGHT).axes
    assert {each.get_ylim() for each in axes} == {(0.0, 3.0)}
    assert {each.get_ylim() for each in strength_lobes([HALF], name="l", title="t").draw(LIGHT).axes} == {
        (0, 1)
    }


def test_each_panel_stands_below_its_name():
    figure = strength_lobes([RAMP, HALF], name="l", title="t").draw(LIGHT)
    assert [text.get_text() for text in figure.texts] == ["ramp", "half"]
    for text, axes in zip(figure.texts, figure.axes, strict=True):
        box = axes.get_position()
        assert box.x0 < text.get_position()[0] < box.x1
        assert text.get_position()[1] > box.y1


def test_the_text_of_lobes_gives_the_strongest_and_how_wide_it_acts():
    assert strength_lobes([RAMP, HALF], name="l", title="t").alt == (
        "The greatest strength is from 0.5 for half to 1 for ramp; the widest angle with any strength is "
        "from 60 degrees for half to 87 degrees for ramp."
    )
    nothing = ("nothing", ALIGNMENT, 0 * ALIGNMENT)
    assert strength_lobes([nothing], name="l", title="t").alt == (
        "The greatest strength is 0 for nothing; the widest angle with any strength is 0 degrees for nothing."
    )
    assert "1 for all 2;" in strength_lobes([RAMP, ("b", *RAMP[1:])], name="l", title="t").alt


def ring(count: int, squeeze: float = 0.5):
    angle = np.linspace(-np.pi, np.pi, count, endpoint=False)
    return "squeeze", angle, np.column_stack([squeeze * np.cos(angle), np.sin(angle)])


def test_each_dot_lies_where_its_latent_was_moved_and_its_line_leads_back():
    label, angle, after = ring(60)
    (axes,) = ring_maps([(label, angle, after)], name="r", title="t").draw(LIGHT).axes
    (dots,) = [each for each in axes.collections if isinstance(each, PathCollection)]
    (tracks,) = [each for each in axes.collections if isinstance(each, LineCollection)]
    np.testing.assert_allclose(np.asarray(dots.get_offsets()), after)
    segments = np.array(tracks.get_segments())
    np.testing.assert_allclose(segments[:, 0], np.column_stack([np.cos(angle), np.sin(angle)]))
    np.testing.assert_allclose(segments[:, 1], after)


def test_of_many_latents_only_so_many_are_drawn_as_stay_apart():
    (axes,) = ring_maps([ring(1000)], name="r", title="t").draw(LIGHT).axes
    (dots,) = [each for each in axes.collections if isinstance(each, PathCollection)]
    assert len(np.asarray(dots.get_offsets())) == 72


def test_the_ring_keeps_its_shape_and_what_leaves_it_stays_in_view():
    far = ("far", np.zeros(1), np.array([[-4.0, 3.0]]))
    for axes in ring_maps([ring(8), far], name="r", title="t").draw(LIGHT).axes:
        width, height = np.ptp(axes.get_xlim()), np.ptp(axes.get_ylim())
        box = axes.get_window_extent()
        assert box.width / width == pytest.approx(box.height / height)
        assert axes.get_xlim()[0] < -4


def test_the_text_of_rings_gives_how_far_they_are_moved():
    still = ("still", *ring(8, squeeze=1.0)[1:])
    assert ring_maps([ring(8), still], name="r", title="t").alt == (
        "The furthest that a latent of length 1 is moved is from 0 for still to 0.5 for squeeze; "
        "lengths afterwards are from 0.5 to 1."
    )


def curves(count: int):
    return [(f"curve {index}", ALIGNMENT, index * ALIGNMENT) for index in range(count)]


def labelled_lines(axes: Axes):
    return [line for line in axes.lines if not str(line.get_label()).startswith("_")]


def test_each_curve_is_a_line_in_the_legend_and_no_two_look_the_same():
    (axes,) = strength_lines(curves(28), name="n", title="t").draw(LIGHT).axes
    lines = labelled_lines(axes)
    for line, (label, alignment, values) in zip(lines, curves(28), strict=True):
        assert line.get_label() == label
        np.testing.assert_array_equal(line.get_xdata(), alignment)
        np.testing.assert_array_equal(line.get_ydata(), values)
    # matplotlib keeps dashes of a line only as a private pair (offset, lengths).
    looks = {(line.get_color(), str(getattr(line, "_unscaled_dash_pattern"))) for line in lines}  # noqa: B009 - private: type checkers refuse the plain name
    assert len(looks) == 28
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == [label for label, _, _ in curves(28)]


def test_the_diagonal_is_drawn_when_asked_for_and_only_then():
    plain, with_diagonal = (
        strength_lines([RAMP], name="n", title="t", identity=each).draw(LIGHT).axes[0]
        for each in (False, True)
    )
    diagonal = next(line for line in with_diagonal.lines if line not in labelled_lines(with_diagonal))
    np.testing.assert_array_equal(diagonal.get_xdata(), [-1, 1])
    np.testing.assert_array_equal(diagonal.get_ydata(), [-1, 1])
    assert with_diagonal.get_ylim()[0] < -1
    assert plain.get_ylim()[0] > -0.5


def test_the_text_of_lines_gives_the_values_at_the_greatest_alignment():
    picture = strength_lines([RAMP, HALF], name="n", title="t", ylabel="new alignment")
    assert picture.alt == "At the greatest alignment the new alignment is from 0.5 for half to 1 for ramp."
    assert picture.draw(LIGHT).axes[0].get_ylabel() == "new alignment"


@pytest.mark.parametrize("picture", [strength_lobes, strength_lines])
def test_curves_that_do_not_fit_are_refused(picture: Callable[..., Picture]):
    with pytest.raises(ShapeError, match="at least one named curve"):
        picture([], name="l", title="t")
    with pytest.raises(ShapeError, match=r"two arrays \[n\] for 'a'; \(41,\) and \(40,\) came"):
        picture([("a", ALIGNMENT, ALIGNMENT[1:])], name="l", title="t")
    with pytest.raises(ShapeError, match=r"\(0,\)"):
        picture([("a", ALIGNMENT[:0], ALIGNMENT[:0])], name="l", title="t")
    with pytest.raises(SettingError, match="values of 'a' hold 1 values"):
        picture([("a", ALIGNMENT, np.where(ALIGNMENT == 1, np.nan, 0.0))], name="l", title="t")
    with pytest.raises(SettingError, match="those of 'a' go from -2 to 2"):
        picture([("a", 2 * ALIGNMENT, RAMP[2])], name="l", title="t")


def test_an_alignment_beyond_1_by_rounding_is_drawn_at_1():
    rounded = ("a", np.array([0.0, 1 + 1e-9]), np.array([0.0, 1.0]))
    assert np.isfinite(outline(strength_lobes([rounded], name="l", title="t").draw(LIGHT).axes[0])).all()


def test_a_negative_strength_is_no_lobe_but_may_be_a_line():
    backward = ("backward", ALIGNMENT, -RAMP[2])
    with pytest.raises(SettingError, match="'backward' has -1"):
        strength_lobes([backward], name="l", title="t")
    assert strength_lines([backward], name="l", title="t").draw(LIGHT).axes[0].get_ylim()[0] < -1


def test_rings_that_do_not_fit_are_refused():
    label, angle, after = ring(8)
    with pytest.raises(ShapeError, match="at least one ring"):
        ring_maps([], name="r", title="t")
    with pytest.raises(ShapeError, match=r"positions \[n, 2\] for 'squeeze'; \(8,\) and \(8, 1\) came"):
        ring_maps([(label, angle, after[:, :1])], name="r", title="t")
    with pytest.raises(SettingError, match="positions of 'squeeze' hold 16"):
        ring_maps([(label, angle, after * np.nan)], name="r", title="t")
