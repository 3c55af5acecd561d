"""The seventeen named colours: twelve pure hues, 30 degrees apart, and five grays."""

import numpy as np
import xarray as xr

from excise.color.grid import CHANNELS, hsv_to_array
from excise.errors import UnknownNameError

__all__ = ["GRAYS", "HUES", "NAMES", "hsv_of", "named_colors"]

HUES = (
    "red", "orange", "yellow", "lime", "green", "teal",
    "cyan", "azure", "blue", "purple", "magenta", "pink",
)  # fmt: skip
"""Fully saturated colours of full value at hue 0, 30, ... 330 degrees."""

GRAYS = ("black", "dark gray", "gray", "light gray", "white")
"""Colours without saturation at value 0, 0.25, 0.5, 0.75 and 1."""

NAMES = HUES + GRAYS


def hsv_of(name: str) -> tuple[float, float, float]:
    """The hue (in turns), saturation and value of a named colour.

    Raises:
        UnknownNameError: no colour has that name.
    """
    if name in HUES:
        return HUES.index(name) / len(HUES), 1.0, 1.0
    if name in GRAYS:
        return 0.0, 0.0, GRAYS.index(name) / (len(GRAYS) - 1)
    raise UnknownNameError(name, NAMES, "among the named colours")


def named_colors() -> xr.DataArray:
    """All named colours: sRGB in [0, 1], dims (color, channel)."""
    hsv = np.array([hsv_of(name) for name in NAMES])
    coords = {"color": list(NAMES), "channel": list(CHANNELS)}
    return xr.DataArray(hsv_to_array(hsv), dims=("color", "channel"), coords=coords, name="rgb")
