"""The experiments, each a named function that gives its recipe.

Sources: *Sparse Concept Anchoring for Interpretable and Controllable Neural Representations* (arXiv 2512.12469)
and the series of experiments that led to it.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from excise.errors import UnknownRecipeError
from excise.experiments.catalogue.deletion import delete_warmth
from excise.experiments.catalogue.sweeps import anchored, isolated
from excise.experiments.recipe import Recipe

__all__ = ["RECIPES", "anchored", "delete_warmth", "find_recipe", "isolated"]

RECIPES: Mapping[str, Callable[[], Recipe]] = MappingProxyType(
    {"2.6": delete_warmth, "2.4.1": anchored, "2.9.1": isolated}
)
"""Every recipe by its name, in the order of the series."""


def find_recipe(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        UnknownRecipeError: there is none.
    """
    if name not in RECIPES:
        raise UnknownRecipeError(name, RECIPES, "in the catalogue")
    return RECIPES[name]()
