"""Pictures of measured values, each for a light and a dark page. They are given arrays and know no domain."""

from excise.figures.curves import error_curves
from excise.figures.distributions import seed_strip
from excise.figures.latents import latent_views
from excise.figures.schedules import schedule_curves, training_curves
from excise.figures.slices import color_slices
from excise.figures.theme import DARK, LIGHT, THEMES, Picture, Theme

__all__ = [
    "DARK",
    "LIGHT",
    "THEMES",
    "Picture",
    "Theme",
    "color_slices",
    "error_curves",
    "latent_views",
    "schedule_curves",
    "seed_strip",
    "training_curves",
]
