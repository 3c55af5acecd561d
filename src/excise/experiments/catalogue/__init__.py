"""The experiments, each a named function that gives its recipe.

Sources: *Sparse Concept Anchoring for Interpretable and Controllable Neural Representations* (arXiv 2512.12469)
and the series of experiments that led to it.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from excise.errors import UnknownRecipeError
from excise.experiments.catalogue.anchoring import anchor_red_alone, anchor_red_and_hues
from excise.experiments.catalogue.deletion import delete_half_an_axis, delete_vibrancy, delete_warmth
from excise.experiments.catalogue.early import (
    inhibit_red,
    inhibit_red_on_the_sphere,
    inhibit_red_with_a_sigmoid,
)
from excise.experiments.catalogue.isolated import (
    delete_red_from_a_kept_axis,
    delete_red_from_an_emptied_axis,
)
from excise.experiments.catalogue.isolated_sweeps import isolated, isolated_without_anti_anchor
from excise.experiments.catalogue.shapes import draw_shapes
from excise.experiments.catalogue.sweeps import anchored, anchored_alone, planar
from excise.experiments.recipe import Recipe
from excise.experiments.shapes import ShapesRecipe

__all__ = [
    "RECIPES",
    "TRAININGS",
    "anchor_red_alone",
    "anchor_red_and_hues",
    "anchored",
    "anchored_alone",
    "delete_half_an_axis",
    "delete_red_from_a_kept_axis",
    "delete_red_from_an_emptied_axis",
    "delete_vibrancy",
    "delete_warmth",
    "draw_shapes",
    "find_recipe",
    "inhibit_red",
    "inhibit_red_on_the_sphere",
    "inhibit_red_with_a_sigmoid",
    "isolated",
    "isolated_without_anti_anchor",
    "planar",
]

TRAININGS: Mapping[str, Callable[[], Recipe]] = MappingProxyType(
    {
        "2.2": inhibit_red,
        "2.3": inhibit_red_on_the_sphere,
        "2.3-sigmoid": inhibit_red_with_a_sigmoid,
        "2.4": anchor_red_and_hues,
        "2.5": anchor_red_alone,
        "2.6": delete_warmth,
        "2.7": delete_vibrancy,
        "2.8": delete_half_an_axis,
        "2.9": delete_red_from_a_kept_axis,
        "2.10": delete_red_from_an_emptied_axis,
        "2.4.1": anchored,
        "2.5.1": anchored_alone,
        "2.7.1": planar,
        "2.9.1": isolated,
        "2.10.1": isolated_without_anti_anchor,
    }
)
"""Every recipe that trains a model by its name, in the order of the series."""

RECIPES: Mapping[str, Callable[[], Recipe | ShapesRecipe]] = MappingProxyType(
    {"2.1": draw_shapes, **TRAININGS}
)
"""Every recipe by its name, in the order of the series."""


def find_recipe(name: str) -> Recipe | ShapesRecipe:
    """The recipe of that name.

    Raises:
        UnknownRecipeError: there is none.
    """
    if name not in RECIPES:
        raise UnknownRecipeError(name, RECIPES, "in the catalogue")
    return RECIPES[name]()
