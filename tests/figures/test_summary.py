"""The stacked summary shows one condition thrice, its slice and its errors on one axis."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.colors import hsv_to_rgb
from PIL import Image

from excise.errors import SettingError, ShapeError
from excise.figures import LIGHT, Picture, condition_summary, error_curves


def solid(hues: np.ndarray, saturations: int, values: int):
    coords = {"h": hues, "s": np.linspace(0, 1, saturations), "v": np.linspace(0, 1, values)}
    grid = np.stack(np.meshgrid(*coords.values(), indexing="ij"), axis=-1)
    grid[..., 0] %= 1
    return xr.DataArray(hsv_to_rgb(grid), dims=("h", "s", "v", "channel"), coords=coords)


def without_red(true: xr.DataArray):
    drawn = true.copy()
    drawn[..., 0] *= 0.2
    return drawn


def parts(hues: int = 24):
    true, lines = solid(np.arange(hues) / hues, 2, 8)[:, 1], solid(np.linspace(0, 1, 49), 3, 4)
    generator = np.random.default_rng(0)
    latents, colors = generator.normal(size=(200, 4)), generator.random((200, 3))
    return {
        "latents": latents / np.linalg.norm(latents, axis=1, keepdims=True),
        "rgb": colors,
        "reconstructed": colors[::-1],
        "true": true,
        "predicted": without_red(true),
        "error": ((without_red(lines) - lines) ** 2).mean("channel"),
        "error_rgb": lines,
        "views": [(0, 1, 2), (3, 2, 1)],
        "slice_label": "saturation 1",
    }


def summary(**changed: object) -> Picture:
    given = parts() | changed
    latents = [given.pop(key) for key in ("latents", "rgb", "reconstructed")]
    return condition_summary(*latents, name="s", title="t", **given)  # pyright: ignore[reportArgumentType] - arguments come by name from the test


def test_both_views_show_every_latent():
    given = parts()
    axes = summary().draw(LIGHT).axes[:2]
    for each, (across, upward, _) in zip(axes, given["views"], strict=True):
        (dots,) = [dots for dots in each.collections if isinstance(dots, PathCollection)]
        drawn, expected = np.asarray(dots.get_offsets()), given["latents"][:, [across, upward]]
        np.testing.assert_allclose(drawn[np.lexsort(drawn.T)], expected[np.lexsort(expected.T)])


@pytest.mark.parametrize("hues", [24, 12, 7])
def test_every_cell_of_the_slice_lies_straight_above_its_errors(tmp_path: Path, hues: int):
    given = parts(hues)
    picture = summary(true=given["true"], predicted=given["predicted"])
    image = np.asarray(Image.open(picture.save(tmp_path)[0]).convert("RGB"))[::-1] / 255
    figure = picture.draw(LIGHT)
    _, _, cells, errors = figure.axes
    box = cells.get_window_extent()
    for h, hue in enumerate(given["true"]["h"].to_numpy()):
        x = errors.transData.transform((360 * hue, 0))[0]
        for v in range(8):
            y = box.y0 + box.height * (v + 0.5) / 8
            np.testing.assert_allclose(image[int(y), int(x)], given["true"][h, v], atol=1 / 255)
            corner = image[int(y - 0.38 * box.height / 8), int(x)]
            np.testing.assert_allclose(corner, given["predicted"][h, v], atol=1 / 255)


def test_slice_and_errors_share_their_width():
    _, _, cells, errors = summary().draw(LIGHT).axes
    above, below = cells.get_window_extent(), errors.get_window_extent()
    assert below.x0 - 1 <= above.x0 < above.x1 <= below.x1 + 1
    assert above.width > 0.95 * below.width
    assert above.y0 > below.y1


def test_the_errors_are_those_of_the_panel_of_error_curves():
    given = parts()
    reference = error_curves(given["error"], given["error_rgb"], name="e", title="t").draw(LIGHT).axes[0]
    for order in (("h", "s", "v"), ("v", "h", "s")):
        axes = summary(error=given["error"].transpose(*order)).draw(LIGHT).axes[3]
        (ours,), (theirs,) = (
            [each for each in panel.collections if isinstance(each, LineCollection)]
            for panel in (axes, reference)
        )
        rows, expected = (
            np.column_stack([np.array(lines.get_segments()).reshape(-1, 6), np.asarray(lines.get_colors())])
            for lines in (ours, theirs)
        )
        np.testing.assert_allclose(
            rows[np.lexsort(rows.round(9).T)], expected[np.lexsort(expected.round(9).T)]
        )
        assert axes.get_ylim() == reference.get_ylim()


def test_the_slice_is_named_and_levels_are_labelled():
    _, _, cells, errors = summary(levels={"near": 0.2, "far": 90.0}).draw(LIGHT).axes
    assert cells.get_title(loc="left") == "saturation 1"
    assert [text.get_text() for text in errors.texts] == ["near"]


@pytest.mark.parametrize("shape", [(1, 1), (400, 300), (60, 2)])
def test_small_and_large_slices_can_be_drawn(shape: tuple[int, int]):
    true = solid(np.arange(shape[0]) / shape[0], 2, shape[1])[:, 1]
    figure = summary(true=true, predicted=without_red(true)).draw(LIGHT)
    figure.canvas.draw()
    box = figure.axes[2].get_position()
    assert 0 < box.x0 < box.x1 <= 1


def test_the_text_leads_with_the_largest_error_and_ends_with_the_latents():
    given = parts()
    alt = summary().alt
    assert alt.startswith(error_curves(given["error"], given["error_rgb"], name="e", title="t").alt)
    reach = np.sqrt((given["latents"] ** 2).mean(axis=0))
    assert f"furthest along coordinate {reach.argmax()}" in alt


def test_what_does_not_fit_is_refused():
    given = parts()
    with pytest.raises(ShapeError, match="two views of the latents; 1 came"):
        summary(views=[(0, 1, 2)])
    with pytest.raises(ShapeError, match="a view names three coordinates"):
        summary(views=[(0, 1, 2), (0, 1, 4)])
    with pytest.raises(ShapeError, match="errors need the dim 'h'"):
        summary(error=given["error"].rename(h="x"))
    with pytest.raises(ShapeError, match="differ along 'h': 24 and 12"):
        summary(predicted=given["predicted"][::2])
    with pytest.raises(ShapeError, match="true colours take the dims"):
        summary(true=given["true"][0])
    with pytest.raises(SettingError, match="errors hold"):
        summary(error=given["error"].where(given["error"]["s"] > 0))
