"""Colours at regular places of HSV or RGB space, as labelled arrays.

Each grid holds sRGB values in [0, 1] along its last dim `channel` ("r", "g", "b"); its other dims are the
coordinates it is regular in.
"""

from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.colors import hsv_to_rgb

__all__ = ["hsv_grid", "hsv_to_array", "rgb_grid"]

CHANNELS = ("r", "g", "b")


def hsv_grid(
    hues: int | Sequence[float] | np.ndarray,
    saturations: int | Sequence[float] | np.ndarray,
    values: int | Sequence[float] | np.ndarray,
) -> xr.DataArray:
    """Colours at every combination of some hues, saturations and values.

    Args:
        hues: the hues in turns (0 and 1 are both red; any real number wraps), or how many to place evenly
            around the circle, from 0.
        saturations: the saturations in [0, 1], or how many to place evenly over [0, 1].
        values: the values in [0, 1], or how many to place evenly over [0, 1].

    Returns:
        sRGB in [0, 1], dims (h, s, v, channel).
    """
    h = np.arange(hues) / hues if isinstance(hues, int) else np.asarray(hues, dtype=float)
    s = np.linspace(0, 1, saturations) if isinstance(saturations, int) else np.asarray(saturations, dtype=float)
    v = np.linspace(0, 1, values) if isinstance(values, int) else np.asarray(values, dtype=float)
    hsv = np.stack(np.meshgrid(h, s, v, indexing="ij"), axis=-1)
    coords = {"h": h, "s": s, "v": v, "channel": list(CHANNELS)}
    return xr.DataArray(hsv_to_array(hsv), dims=("h", "s", "v", "channel"), coords=coords, name="rgb")


def rgb_grid(steps: int) -> xr.DataArray:
    """Colours evenly over the RGB cube, `steps` along each edge.

    Returns:
        sRGB in [0, 1], dims (r, g, b, channel).
    """
    edge = np.linspace(0, 1, steps)
    rgb = np.stack(np.meshgrid(edge, edge, edge, indexing="ij"), axis=-1)
    coords = {"r": edge, "g": edge, "b": edge, "channel": list(CHANNELS)}
    return xr.DataArray(rgb, dims=("r", "g", "b", "channel"), coords=coords, name="rgb")


def hsv_to_array(hsv: np.ndarray) -> np.ndarray:
    """HSV `[..., 3]` as sRGB `[..., 3]`, both in [0, 1]; hues wrap."""
    wrapped = np.array(hsv, dtype=float)
    wrapped[..., 0] %= 1.0
    return hsv_to_rgb(wrapped)
