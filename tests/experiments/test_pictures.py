"""The schedule is drawn as it acted: the weights of the terms, whatever the columns of its file are called."""

from typing import Any

import numpy as np

from excise.experiments.catalogue import TRAININGS
from excise.experiments.pictures import _schedule
from excise.figures import LIGHT, training_curves


def lines(axes: Any):
    return {line.get_label(): line for line in axes.lines}


def test_a_column_that_drives_nothing_is_not_drawn_and_a_term_without_one_is_at_1():
    picture = _schedule(TRAININGS["2.2"]())
    drawn = lines(picture.draw(LIGHT).axes[1])
    assert list(drawn) == ["reg-anchor", "reg-planar", "reg-separate", "reg-unit", "reg-unit-v"]
    assert np.array_equal(drawn["reg-planar"].get_ydata(), np.ones(20_001))
    assert "reg-planar 1" in picture.alt
    assert "reg-polar" not in picture.alt
    assert picture.caption.endswith(
        "The schedule gives no weight for reg-planar, which is 1 at every step. "
        "The schedule's column reg-polar drives no term and is not drawn."
    )


def test_a_term_has_the_same_colour_in_the_training_and_the_schedule_of_an_experiment():
    for name, make in TRAININGS.items():
        recipe = make()
        steps = np.arange(3.0)
        metrics = {"step": steps, "objective": steps + 1}
        metrics |= {f"term/{term.name}": steps + 1 for term in recipe.terms}
        trained = lines(training_curves(metrics, name="t", title="t").draw(LIGHT).axes[0])
        scheduled = lines(_schedule(recipe).draw(LIGHT).axes[1])
        assert {term.name for term in recipe.terms} == set(scheduled), name
        assert all(trained[term].get_color() == line.get_color() for term, line in scheduled.items()), name
