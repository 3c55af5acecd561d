"""Pictures of measured values, each for a light and a dark page. They are given arrays and know no domain."""

from excise.figures.boxes import metric_boxes
from excise.figures.curves import error_curves
from excise.figures.distributions import seed_strip
from excise.figures.latents import latent_views
from excise.figures.lobes import ring_maps, strength_lines, strength_lobes
from excise.figures.scatter import error_scatter, front
from excise.figures.schedules import schedule_curves, training_curves
from excise.figures.slices import color_slices
from excise.figures.summary import condition_summary
from excise.figures.theme import DARK, LIGHT, THEMES, Picture, Theme

__all__ = [
    "DARK",
    "LIGHT",
    "THEMES",
    "Picture",
    "Theme",
    "color_slices",
    "condition_summary",
    "error_curves",
    "error_scatter",
    "front",
    "latent_views",
    "metric_boxes",
    "ring_maps",
    "schedule_curves",
    "seed_strip",
    "strength_lines",
    "strength_lobes",
    "training_curves",
]
