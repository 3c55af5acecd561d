"""Nothing that is written on a picture is cut off by its edge."""

import itertools
from dataclasses import dataclass
from functools import cache

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
    condition_summary,
    error_curves,
    error_scatter,
    front,
    latent_views,
    metric_boxes,
    ring_maps,
    schedule_curves,
    seed_strip,
    strength_lines,
    strength_lobes,
    training_curves,
)

LONG = "a name that is far too long for one line of a panel or of a legend"


@dataclass(frozen=True)
class Part:
    name: str
    first: int
    last: int


PHASES = [
    Part("warm up", 0, 29_999),
    Part("blink", 30_000, 30_010),
    Part("the last of them", 30_011, 100_000),
]


def interventions():
    alignment = np.linspace(-1, 1, 41)
    angle = np.linspace(-np.pi, np.pi, 73)
    ring = np.column_stack([np.cos(angle), np.sin(angle)])
    curves = [
        (f"{LONG} {power}" * (power % 2) or "brief", alignment, alignment**power) for power in range(1, 9)
    ]
    lobes = [(label, alignment, np.abs(values)) for label, alignment, values in curves]
    rings = [(label, angle, ring * [1, 0.1 * index]) for index, (label, _, _) in enumerate(curves)]
    return [
        strength_lobes(lobes, name="eight-lobes", title="t"),
        strength_lobes(lobes[:1], name="one-lobe", title="t"),
        strength_lines(curves, name="lines", title="t", ylabel=LONG, identity=True),
        ring_maps(rings, name="eight-rings", title="t"),
        ring_maps([(LONG, angle, 1.5 * ring)], name="one-ring", title="t"),
    ]


def sweeps():
    generator = np.random.default_rng(0)
    loss, score, seeds = (
        10 ** generator.normal(-4, 1, 60),
        1 - 1e-5 * generator.random(60),
        np.arange(60) + 10**6,
    )
    metrics = {
        LONG: score,
        "loss": loss,
        "same": 0 * loss,
        "nothing": np.nan * loss,
        "negative": -1e-9 * score,
    }
    published = {"loss": (1e-4, 1e-3)}
    here = {"seeds": seeds, "chosen": int(score.argmax()), "title": "t"}
    return [
        front(loss, score, score > 0.999997, xlabel=LONG * 2, ylabel=LONG, name="front", **here),
        front(score, loss, score > 0.999997, xlabel="x", ylabel="y", name="other-front", **here),
        metric_boxes(metrics, published=published, name="five-boxes", **here),
        metric_boxes({LONG: score[:1]}, chosen=0, name="one-box", title="t"),
        error_scatter(
            score, loss, np.zeros((60, 3)), r_squared=0.5, xlabel=LONG * 2, ylabel=LONG, name="s", title="t"
        ),
        error_scatter(loss * 0 + 1, loss, np.zeros((60, 3)), r_squared=np.nan, name="s-flat", title="t"),
    ]


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
        schedule_curves(table, phases=PHASES, name="phases", title="t"),
        schedule_curves({"lr": table["lr"]}, phases=PHASES, name="phases-of-rate", title="t"),
        condition_summary(
            latents,
            colors,
            colors,
            true=rgb[:, 3],
            predicted=drawn[:, 3],
            error=error * 1e-4,
            error_rgb=rgb,
            views=views[:2],
            levels=levels,
            slice_label=LONG,
            upward_label=LONG,
            name="summary",
            title="t",
        ),
        *interventions(),
        *sweeps(),
        seed_strip(seeds, colors[:4], np.arange(12) < 2, name="seeds", levels=levels, title="t"),
    ]


PICTURES = pictures()


@cache
def drawn(picture: Picture, theme: Theme):
    """The figure, drawn once for all tests that only look at it."""
    figure = picture.draw(theme)
    figure.canvas.draw()
    return figure


def overhang(figure: Figure):
    """By how many inches what is drawn reaches over the edge of its figure."""
    drawn, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    return max(-drawn.x0, -drawn.y0, drawn.x1 - width, drawn.y1 - height)


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.name)
def test_no_text_is_cut_off(picture: Picture, theme: Theme):
    assert overhang(drawn(picture, theme)) <= 0


def texts_beyond_their_axis(figure: Figure):
    """Labels of ticks outside the limits: matplotlib keeps them and does not draw them."""
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            yield from (tick.label1 for tick in axis.get_major_ticks() if not low <= tick.get_loc() <= high)


def collisions(figure: Figure):
    """Pairs of upright texts that lie over one another, by more than the blank edge of their boxes."""
    hidden = set(texts_beyond_their_axis(figure))
    boxes = [
        (text.get_text(), text.get_window_extent().padded(-1))
        for text in figure.findobj(Text)
        if isinstance(text, Text) and text.get_visible() and text.get_text().strip()
        if text not in hidden and not text.get_rotation() % 90
    ]
    pairs = itertools.combinations(boxes, 2)
    return [(one, other) for (one, box), (other, over) in pairs if box.overlaps(over)]


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.name)
def test_no_text_lies_over_another(picture: Picture):
    assert collisions(drawn(picture, THEMES[0])) == []


def test_the_check_sees_text_over_another():
    figure = PICTURES[0].draw(THEMES[0])
    figure.text(0.5, 0.5, "this")
    figure.text(0.51, 0.5, "and this")
    figure.canvas.draw()
    assert ("this", "and this") in collisions(figure)


def test_the_check_sees_text_that_is_cut_off():
    figure = PICTURES[0].draw(THEMES[0])
    figure.text(0.97, 0.5, "this hangs over")
    assert overhang(figure) > 0.1


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.name)
def test_the_smallest_text_keeps_six_and_a_half_pixels_on_a_phone(picture: Picture):
    figure = drawn(picture, THEMES[0])
    sizes = [
        float(text.get_fontsize()) for text in figure.findobj(Text) if text.get_visible() and text.get_text()
    ]
    assert min(sizes) * figure.dpi / 72 * 390 / figure.bbox.width >= 6.5


def test_all_public_names_are_exported():
    assert set(figures.__all__) == {
        *("DARK", "LIGHT", "THEMES", "Picture", "Theme"),
        *("color_slices", "condition_summary", "error_curves", "error_scatter", "front", "latent_views"),
        *("metric_boxes", "ring_maps", "schedule_curves", "seed_strip", "strength_lines", "strength_lobes"),
        "training_curves",
    }
    assert all(hasattr(figures, name) for name in figures.__all__)
