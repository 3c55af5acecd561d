"""Streams of colours with weak labels."""

from collections.abc import Callable, Mapping

import numpy as np
import torch

from excise.color.grid import hsv_grid, rgb_grid
from excise.stream import TensorStream

__all__ = ["hsv_stream", "rgb_stream"]


def hsv_stream(
    labels: Mapping[str, Callable[[np.ndarray], np.ndarray]],
    *,
    batch_size: int = 64,
    hues: int = 36,
    saturations: int = 10,
    values: int = 10,
) -> TensorStream:
    """Colours of an HSV grid, drawn so that black, the grays and the pure hues are each seen enough.

    A grid regular in HSV holds black once for every hue and saturation, and each gray once for every hue. The
    weight (1 - v) / (n_s n_h) + (1 - s) v / n_h + s v undoes that.

    Args:
        labels: for each label, the probability that a visit of a colour carries it: a function of sRGB
            `[..., 3]`, such as a `WeakLabel`.
        batch_size: colours a batch.
        hues: how many hues, evenly around the circle.
        saturations: how many saturations, evenly over [0, 1].
        values: how many values, evenly over [0, 1].

    Raises:
        SettingError: a probability outside [0, 1], an empty batch, an empty grid.
    """
    grid = hsv_grid(hues, saturations, values)
    rgb = grid.to_numpy().reshape(-1, 3)
    s, v = grid["s"].to_numpy()[:, None], grid["v"].to_numpy()
    one_hue = (1 - v) / (saturations * hues) + (1 - s) * v / hues + s * v
    weights = np.broadcast_to(one_hue, (hues, saturations, values)).reshape(-1)
    return TensorStream(
        torch.from_numpy(rgb).to(torch.float32),
        _probabilities(labels, rgb),
        batch_size=batch_size,
        weights=torch.from_numpy(weights.copy()).to(torch.float32),
    )


def rgb_stream(
    labels: Mapping[str, Callable[[np.ndarray], np.ndarray]], *, batch_size: int = 64, steps: int = 8
) -> TensorStream:
    """Colours spread evenly over the RGB cube, drawn uniformly.

    Args:
        labels: for each label, the probability that a visit of a colour carries it: a function of sRGB
            `[..., 3]`, such as a `WeakLabel`.
        batch_size: colours a batch.
        steps: how many colours along each edge of the cube.

    Raises:
        SettingError: a probability outside [0, 1], an empty batch, an empty grid.
    """
    rgb = rgb_grid(steps).to_numpy().reshape(-1, 3)
    return TensorStream(
        torch.from_numpy(rgb).to(torch.float32), _probabilities(labels, rgb), batch_size=batch_size
    )


def _probabilities(
    labels: Mapping[str, Callable[[np.ndarray], np.ndarray]], rgb: np.ndarray
) -> dict[str, torch.Tensor]:
    return {
        name: torch.from_numpy(probability(rgb)).to(torch.float32) for name, probability in labels.items()
    }
