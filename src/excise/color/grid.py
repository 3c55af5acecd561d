"""Colours at regular places of HSV or RGB space, as labelled arrays.

Each grid holds sRGB values in [0, 1] along its last dim `channel` ("r", "g", "b"); its other dims are the
coordinates it is regular in.
"""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from excise.errors import SettingError

__all__ = ["hsv_grid", "hsv_to_array", "rgb_grid"]

CHANNELS = ("r", "g", "b")

Places = int | np.integer | Sequence[float] | np.ndarray
"""Coordinates along one axis, or how many of them."""


def hsv_grid(
    hues: Places,
    saturations: Places,
    values: Places,
) -> xr.DataArray:
    """Colours at every combination of some hues, saturations and values.

    Args:
        hues: the hues in turns (0 and 1 are both red; any real number wraps), or how many to place evenly
            around the circle, from 0.
        saturations: the saturations in [0, 1], or how many to place evenly over [0, 1].
        values: the values in [0, 1], or how many to place evenly over [0, 1].

    Returns:
        sRGB in [0, 1], dims (h, s, v, channel).

    Raises:
        SettingError: an axis without a place, or a saturation or value outside [0, 1].
    """
    h = _places("hues", hues, circular=True)
    s = _places("saturations", saturations)
    v = _places("values", values)
    hsv = np.stack(np.meshgrid(h, s, v, indexing="ij"), axis=-1)
    coords = {"h": h, "s": s, "v": v, "channel": list(CHANNELS)}
    return xr.DataArray(hsv_to_array(hsv), dims=("h", "s", "v", "channel"), coords=coords, name="rgb")


def rgb_grid(steps: int) -> xr.DataArray:
    """Colours evenly over the RGB cube, `steps` along each edge.

    Returns:
        sRGB in [0, 1], dims (r, g, b, channel).

    Raises:
        SettingError: there is no step.
    """
    edge = _places("steps", steps)
    rgb = np.stack(np.meshgrid(edge, edge, edge, indexing="ij"), axis=-1)
    coords = {"r": edge, "g": edge, "b": edge, "channel": list(CHANNELS)}
    return xr.DataArray(rgb, dims=("r", "g", "b", "channel"), coords=coords, name="rgb")


def hsv_to_array(hsv: np.ndarray) -> np.ndarray:
    """HSV `[..., 3]` as sRGB `[..., 3]`, both in [0, 1]; hues wrap."""
    from matplotlib.colors import hsv_to_rgb

    wrapped = np.array(hsv, dtype=float)
    wrapped[..., 0] %= 1.0
    return hsv_to_rgb(wrapped)


def _places(name: str, asked: Places, circular: bool = False) -> np.ndarray:
    if isinstance(asked, int | np.integer):
        if asked < 1:
            raise SettingError(f"a grid has at least 1 of its {name}; {asked} came.")
        return np.arange(asked) / asked if circular else np.linspace(0, 1, int(asked))
    places = np.asarray(asked, dtype=float)
    if places.ndim != 1 or not places.size or not np.isfinite(places).all():
        raise SettingError(f"{name} are a count or a list of finite numbers; {asked} came.")
    if not circular and (places.min() < 0 or places.max() > 1):
        raise SettingError(f"{name} lie in [0, 1]; {places.min():g} to {places.max():g} came.")
    return places
