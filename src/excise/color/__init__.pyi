from .concepts import CONCEPTS, WeakLabel, blueness, greenness, redness, vibrancy
from .grid import hsv_grid, rgb_grid
from .models import L2Norm, NormalizedMLP, PlainMLP
from .names import GRAYS, HUES, NAMES, hsv_of, named_colors
from .similarity import hsv_similarity, rgb_similarity
from .stream import hsv_stream, rgb_stream

__all__ = [
    "CONCEPTS",
    "GRAYS",
    "HUES",
    "NAMES",
    "L2Norm",
    "NormalizedMLP",
    "PlainMLP",
    "WeakLabel",
    "blueness",
    "greenness",
    "hsv_grid",
    "hsv_of",
    "hsv_similarity",
    "hsv_stream",
    "named_colors",
    "redness",
    "rgb_grid",
    "rgb_similarity",
    "rgb_stream",
    "vibrancy",
]
