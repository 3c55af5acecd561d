"""Nothing that is written on a picture is cut off by its edge."""

import numpy as np
import pytest
import xarray as xr
from matplotlib.colors import hsv_to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text

from excise import figures
from excise.figures import (
    THEMES,
    Picture,
    Theme,
    color_slices,
    error_curves,
    latent_views,
    schedule_curves,
    seed_strip,
    training_curves,
)


def pictures():
    coords = {"h": np.linspace(0, 1, 25), "s": np.linspace(0, 1, 4), "v": np.linspace(0, 1, 8)}
    grid = np.stack(np.meshgrid(*coords.values(), indexing="ij"), axis=-1)
    rgb = xr.DataArray(hsv_to_rgb(grid % 1.0001), dims=("h", "s", "v", "channel"), coords=coords)
    drawn = rgb.copy()
    drawn[..., 0] *= 0.3
    generator = np.random.default_rng(0)
    latents = generator.normal(size=(300, 4))
    latents /= np.linalg.norm(latents, axis=1, keepdims=True)
    colors = generator.random((300, 3))
    names = ["red", "dark gray", "light gray", "a colour of a long name"]
    seeds = xr.DataArray(
        generator.random((12, 4)) * 1e-4, dims=("seed", "color"), coords={"seed": range(12), "color": names}
    )
    steps = np.arange(0, 100_001, 100)
    terms = ["reg-anti-subspace", "a term whose name is far too long for one line", "reg-separate"]
    table = {name: np.linspace(0, 1e-4, 100_001) for name in ["lr", *terms]}
    metrics = {"step": steps, "objective": np.geomspace(1, 1e-6, len(steps))}
    metrics |= {f"term/{name}": np.geomspace(100, 1e-3, len(steps)) for name in terms}
    levels = {"a level of a rather long name: 1/3": 1 / 3}
    views = [(0, 1, 2), (1, 2, 3), (2, 3, 0), (3, 0, 1)]
    error = ((drawn - rgb) ** 2).mean("channel")
    return [
        color_slices(rgb, None, name="true", title="t"),
        color_slices(rgb[:, :3], drawn[:, :3], name="slices", title="t"),
        error_curves(error, rgb, name="error", levels=levels, title="t"),
        error_curves(error * 1e-4, rgb, name="small-error", title="t"),
        latent_views(latents, colors, colors, views=views, name="four", title="t"),
        latent_views(latents, colors, colors, views=views[:2], name="two", title="t"),
        training_curves(metrics, name="training", title="t"),
        schedule_curves(table, name="schedule", title="t"),
        seed_strip(seeds, colors[:4], np.arange(12) < 2, name="seeds", levels=levels, title="t"),
    ]


def overhang(figure: Figure):
    """By how many inches what is drawn reaches over the edge of its figure."""
    figure.canvas.draw()
    drawn, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    return max(-drawn.x0, -drawn.y0, drawn.x1 - width, drawn.y1 - height)


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
@pytest.mark.parametrize("picture", pictures(), ids=lambda picture: picture.name)
def test_no_text_is_cut_off(picture: Picture, theme: Theme):
    assert overhang(picture.draw(theme)) <= 0


def test_the_check_sees_text_that_is_cut_off():
    figure = pictures()[0].draw(THEMES[0])
    figure.text(0.97, 0.5, "this hangs over")
    assert overhang(figure) > 0.1


@pytest.mark.parametrize("picture", pictures(), ids=lambda picture: picture.name)
def test_the_smallest_text_keeps_six_and_a_half_pixels_on_a_phone(picture: Picture):
    figure = picture.draw(THEMES[0])
    figure.canvas.draw()
    sizes = [
        float(text.get_fontsize()) for text in figure.findobj(Text) if text.get_visible() and text.get_text()
    ]
    assert min(sizes) * figure.dpi / 72 * 390 / figure.bbox.width >= 6.5


def test_all_public_names_are_exported():
    assert set(figures.__all__) == {
        *("DARK", "LIGHT", "THEMES", "Picture", "Theme"),
        *("color_slices", "error_curves", "latent_views"),
        *("schedule_curves", "seed_strip", "training_curves"),
    }
    assert all(hasattr(figures, name) for name in figures.__all__)
