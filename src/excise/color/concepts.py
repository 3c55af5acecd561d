"""What a colour can be said to be: graded concepts, and the weak labels that are drawn from them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from excise.errors import SettingError, UnknownConceptError

__all__ = ["CONCEPTS", "WeakLabel", "blueness", "greenness", "redness", "vibrancy"]


def redness(rgb: np.ndarray) -> np.ndarray:
    """How red each colour `[..., 3]` is: r (1 - g/2 - b/2), in [0, 1]."""
    return _dominance(rgb, 0)


def greenness(rgb: np.ndarray) -> np.ndarray:
    """How green each colour `[..., 3]` is: g (1 - r/2 - b/2), in [0, 1]."""
    return _dominance(rgb, 1)


def blueness(rgb: np.ndarray) -> np.ndarray:
    """How blue each colour `[..., 3]` is: b (1 - r/2 - g/2), in [0, 1]."""
    return _dominance(rgb, 2)


def vibrancy(rgb: np.ndarray) -> np.ndarray:
    """How vibrant each colour `[..., 3]` is: saturation times value (HSV), in [0, 1].

    The product is the largest channel minus the smallest.
    """
    return np.asarray(rgb.max(axis=-1) - rgb.min(axis=-1))


CONCEPTS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = MappingProxyType(
    {"redness": redness, "greenness": greenness, "blueness": blueness, "vibrancy": vibrancy}
)


@dataclass(frozen=True)
class WeakLabel:
    """A label that a colour carries now and then, the likelier the more of a concept it has.

    The probability is scale x concept^power, or scale x (1 - concept)^power for the lack of the concept.

    Args:
        concept: one of `CONCEPTS`.
        power: above 0; the higher, the more the label is confined to the concept's purest colours.
        scale: the probability for the purest colour, in [0, 1].
        lack: True labels colours for their lack of the concept.

    Raises:
        UnknownConceptError: there is no such concept.
        SettingError: a power or a scale outside its range.
    """

    concept: str
    power: float
    scale: float
    lack: bool = False

    def __post_init__(self) -> None:
        if self.concept not in CONCEPTS:
            raise UnknownConceptError(self.concept, CONCEPTS, "of colour")
        if not self.power > 0 or not 0 <= self.scale <= 1:
            raise SettingError(
                f"a weak label has a power above 0 and a scale in [0, 1]; "
                f"power={self.power}, scale={self.scale} came."
            )

    def __call__(self, rgb: np.ndarray) -> np.ndarray:
        """The probability that each colour `[..., 3]` carries the label, `[...]`."""
        degree = CONCEPTS[self.concept](rgb)
        return np.asarray(self.scale * (1 - degree if self.lack else degree) ** self.power)


def _dominance(rgb: np.ndarray, channel: int) -> np.ndarray:
    # Rounding cannot carry the sum of the two others above 2, and so the degree below 0; a difference could.
    first, second = (rgb[..., other] for other in range(3) if other != channel)
    return np.asarray(rgb[..., channel] * (1 - (first + second) / 2))
