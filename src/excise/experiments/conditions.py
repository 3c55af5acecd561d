"""The conditions of a recipe: the trained model as it is, and under each of its edits."""

from torch import nn

from excise.experiments.recipe import BASELINE, Edit, Recipe
from excise.interventions.intervened import Intervened
from excise.surgery import ablate, prune

__all__ = ["conditions_of"]

_SURGERY = {"ablate": ablate, "prune": prune}


def conditions_of(recipe: Recipe, model: nn.Module) -> dict[str, nn.Module]:
    """The model under each edit of the recipe, by the name of the condition.

    Raises:
        SurgeryError: an edit cannot be made on this model.
    """
    conditions: dict[str, nn.Module] = {BASELINE: model}
    for edit in recipe.edits:
        if isinstance(edit, Edit):
            conditions[edit.condition] = _SURGERY[edit.mode](model, edit.layer, list(edit.dims))
        else:
            conditions[edit.condition] = Intervened(model, edit.layer, edit.intervention)
    return conditions
