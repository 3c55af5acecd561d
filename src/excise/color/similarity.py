"""How alike two colours are, as a concept reaches from a pure colour into those around it."""

import numpy as np

from excise.errors import SettingError, ShapeError

__all__ = ["hsv_similarity", "rgb_similarity"]

Coordinate = np.ndarray | np.floating | float
"""One coordinate of one colour, or of many."""


def hsv_similarity(
    h: Coordinate, s: Coordinate, v: Coordinate, other: tuple[float, float, float]
) -> np.ndarray:
    """How alike each colour is to another: 1 for the colour itself, 0 from a quarter turn away for pure hues.

    With the angle d between the hues in degrees, the hue part max(0, (90 - d) / 90) and the mean r of the two
    vibrancies (saturation times value), it is (r hue + 1 - r) (1 - |ds|) (1 - |dv|). The less vibrant the two
    are, the less their hues count; between two grays they do not. A gray beside a pale colour still has the hue
    that its coordinates say; it makes no difference where the other colour is fully saturated.

    Args:
        h: hues in turns; any real number wraps.
        s: saturations in [0, 1]; the three broadcast.
        v: values in [0, 1].
        other: hue, saturation and value of the colour to compare with.

    Returns:
        In [0, 1], symmetric in the two colours, of the shape that h, s and v broadcast to, in float64.

    Raises:
        ShapeError: h, s and v do not broadcast.
        SettingError: a hue is not finite, or a saturation or value is outside [0, 1].
    """
    hue, saturation, value = (np.asarray(each, dtype=float) for each in (h, s, v))
    try:
        np.broadcast_shapes(hue.shape, saturation.shape, value.shape)
    except ValueError as error:
        raise ShapeError(
            f"hues {hue.shape}, saturations {saturation.shape} and values {value.shape} do not broadcast."
        ) from error
    other_hue, other_saturation, other_value = (np.asarray(each, dtype=float) for each in other)
    for hues in (hue, other_hue):
        if not np.isfinite(hues).all():
            raise SettingError("hues are finite numbers of turns; one that is not came.")
    for name, places in (
        ("saturations", saturation), ("values", value),
        ("saturations", other_saturation), ("values", other_value),
    ):  # fmt: skip
        _check_unit(name, places)
    turn = np.abs(hue - other_hue) % 1
    hue_part = np.maximum(0, 1 - 4 * np.minimum(turn, 1 - turn))
    vibrancy = (saturation * value + other_saturation * other_value) / 2
    # As 1 - r (1 - hue), the first factor is exactly 1 for equal hues; r hue + 1 - r would be rounded.
    alike = 1 - vibrancy * (1 - hue_part)
    return np.asarray(alike * (1 - np.abs(saturation - other_saturation)) * (1 - np.abs(value - other_value)))


def rgb_similarity(rgb: np.ndarray, other_rgb: np.ndarray) -> np.ndarray:
    """How alike each sRGB colour is to another, as `hsv_similarity` has it; grays have hue 0.

    Args:
        rgb: colours `[..., 3]` in [0, 1].
        other_rgb: the colour `[3]` to compare with, in [0, 1].

    Returns:
        `[...]` in [0, 1], in float64.

    Raises:
        ShapeError: the colours have no three channels, or there is more than one other.
        SettingError: a channel is outside [0, 1].
    """
    from matplotlib.colors import rgb_to_hsv

    if rgb.shape[-1:] != (3,) or other_rgb.shape != (3,):
        raise ShapeError(
            f"rgb_similarity takes colours [..., 3] and another [3]; {rgb.shape} and {other_rgb.shape} came."
        )
    _check_unit("channels", rgb)
    _check_unit("channels", other_rgb)
    h, s, v = np.moveaxis(rgb_to_hsv(rgb.astype(float)), -1, 0)
    other = rgb_to_hsv(other_rgb.astype(float))
    return hsv_similarity(h, s, v, (float(other[0]), float(other[1]), float(other[2])))


def _check_unit(name: str, values: np.ndarray) -> None:
    outside = values[~((values >= 0) & (values <= 1))]
    if outside.size:
        raise SettingError(f"{name} lie in [0, 1]; {outside.flat[0]:g} came.")
