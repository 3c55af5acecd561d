"""Dots lie where their latents are, the near ones on top, in exactly the colours given."""

from collections.abc import Sequence

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PathCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from excise.errors import SettingError, ShapeError
from excise.figures import LIGHT, THEMES, Theme, latent_views


def sphere(samples: int = 200, width: int = 4, seed: int = 0):
    """Latents on the unit sphere, their true colours, and what is drawn from them."""
    generator = np.random.default_rng(seed)
    latents = generator.normal(size=(samples, width))
    latents /= np.linalg.norm(latents, axis=1, keepdims=True)
    return latents, generator.random((samples, 3)), generator.random((samples, 3))


def draw(
    latents: np.ndarray,
    true: np.ndarray,
    drawn: np.ndarray,
    views: Sequence[tuple[int, ...]],
    theme: Theme = LIGHT,
):
    return latent_views(latents, true, drawn, views=views, name="l", title="t").draw(theme)


def dots(axes: Axes):
    (collection,) = [each for each in axes.collections if isinstance(each, PathCollection)]
    return collection


def pixels(figure: Figure):
    assert isinstance(figure.canvas, FigureCanvasAgg)
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[::-1, :, :3] / 255


@pytest.mark.parametrize("view", [(0, 1, 2), (3, 2, 0), (1, 3, 2)])
def test_far_dots_are_drawn_first_each_at_its_latent_with_its_two_colours(view: tuple[int, ...]):
    latents, true, drawn = sphere()
    collection = dots(draw(latents, true, drawn, [view]).axes[0])
    order = np.argsort(latents[:, view[2]])
    np.testing.assert_allclose(np.asarray(collection.get_offsets()), latents[order][:, list(view[:2])])
    np.testing.assert_allclose(np.asarray(collection.get_facecolor())[:, :3], true[order])
    np.testing.assert_allclose(np.asarray(collection.get_edgecolor())[:, :3], drawn[order])
    assert (np.asarray(collection.get_facecolor())[:, 3] == 1).all()
    assert (np.diff(latents[order, view[2]]) > 0).all()


def test_dots_behind_are_smaller():
    latents, true, drawn = sphere()
    sizes = dots(draw(latents, true, drawn, [(0, 1, 2)]).axes[0]).get_sizes()
    depth = np.sort(latents[:, 2])
    assert sizes[depth > 0].min() > sizes[depth < 0].max()
    assert (np.diff(sizes) >= 0).all()


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
@pytest.mark.parametrize("near_first", [True, False])
def test_of_two_dots_in_one_place_the_near_one_is_seen_ringed_by_what_is_drawn(
    theme: Theme, near_first: bool
):
    latents = np.array([[0.6, 0.0, 0.8, 0.0], [0.6, 0.0, -0.8, 0.0]])
    true = np.array([[0.2, 0.4, 0.8], [1.0, 0.0, 0.0]])
    drawn = np.array([[0.9, 0.8, 0.1], [0.0, 1.0, 0.0]])
    if not near_first:
        latents, true, drawn = latents[::-1], true[::-1], drawn[::-1]
    figure = draw(latents, true, drawn, [(0, 1, 2)], theme)
    axes = figure.axes[0]
    image = pixels(figure)
    x, y = axes.transData.transform((0.6, 0.0))
    radius = np.sqrt(dots(axes).get_sizes().max()) / 2 * figure.dpi / 72
    np.testing.assert_allclose(image[int(y), int(x)], [0.2, 0.4, 0.8], atol=1 / 255)
    np.testing.assert_allclose(image[int(y), int(x + 0.97 * radius)], [0.9, 0.8, 0.1], atol=1 / 255)
    np.testing.assert_allclose(image[int(y), int(x + 1.5 * radius)], to_rgb(theme.panel), atol=1 / 255)


def test_a_view_says_which_coordinate_lies_where():
    latents, true, drawn = sphere()
    axes = draw(latents, true, drawn, [(1, 3, 2)]).axes[0]
    assert axes.get_xlabel() == "latent 1 →"
    assert axes.get_ylabel() == "latent 3 →"
    assert axes.get_title() == "latent 2 towards you"


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_each_view_has_a_round_panel_of_its_own(count: int):
    latents, true, drawn = sphere()
    figure = draw(latents, true, drawn, [(0, 1, 2), (1, 2, 3), (2, 3, 0), (3, 0, 1)][:count])
    boxes = [axes.get_window_extent() for axes in figure.axes]
    assert len(boxes) == count
    assert all(box.width == pytest.approx(box.height, rel=1e-6) for box in boxes)
    assert len({(round(box.x0), round(box.y0)) for box in boxes}) == count
    assert all(box.x0 > 0 and box.x1 < figure.bbox.width for box in boxes)


def test_latents_off_the_sphere_are_not_cut_off():
    latents, true, drawn = sphere()
    axes = draw(3 * latents, true, drawn, [(0, 1, 2)]).axes[0]
    assert axes.get_xlim()[1] > 3 * np.abs(latents[:, :2]).max()
    assert axes.get_ylim() == axes.get_xlim()


def test_fewer_dots_are_larger():
    few, many = (
        dots(draw(*sphere(samples), [(0, 1, 2)]).axes[0]).get_sizes().max() for samples in (100, 8000)
    )
    assert few > 4 * many


def test_the_text_leads_with_the_worst_colour_and_follows_the_data():
    latents, true, _ = sphere()
    latents[:, 2] = 0.0
    drawn = true.copy()
    true[7], drawn[7] = 1.0, 0.1
    alt = latent_views(latents, true, drawn, views=[(0, 1, 2)], name="l", title="t").alt
    assert alt.startswith(
        "Drawn back from its latent, the worst of 200 colours has an error of 0.81, the median colour 0."
    )
    assert alt.endswith("and least along 2 (0.00).")
    drawn[7] = 0.5
    assert (
        "an error of 0.25" in latent_views(latents, true, drawn, views=[(0, 1, 2)], name="l", title="t").alt
    )


@pytest.mark.parametrize("view", [(0, 1, 4), (-1, 0, 1), (0, 1)])
def test_a_view_of_coordinates_that_are_not_there_is_refused(view: tuple[int, ...]):
    with pytest.raises(ShapeError, match="each from 0 to 3"):
        draw(*sphere(), [view])


def test_what_does_not_fit_is_refused():
    latents, true, drawn = sphere()
    with pytest.raises(ShapeError, match=r"true colours are \[sample, 3\], here \(200, 3\)"):
        draw(latents, true[:-1], drawn, [(0, 1, 2)])
    with pytest.raises(ShapeError, match="reconstructed colours"):
        draw(latents, true, drawn[:, :2], [(0, 1, 2)])
    with pytest.raises(ShapeError, match=r"latents are \[sample, latent\]"):
        draw(latents[0], true, drawn, [(0, 1, 2)])
    with pytest.raises(ShapeError, match="at least one view"):
        draw(latents, true, drawn, [])
    latents[3, 1] = np.nan
    with pytest.raises(SettingError, match="latents hold 1 values"):
        draw(latents, true, drawn, [(0, 1, 2)])
