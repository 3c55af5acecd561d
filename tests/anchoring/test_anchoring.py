import copy
import math
import pickle
import warnings
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor

from excise.anchoring import Anchoring, Separate, Term, Unitarity
from excise.errors import SettingError, UnknownPropertyError, UnusedColumnWarning
from excise.schedule import Dopesheet, Timeline

SHEET = "STEP,PHASE,ACTION,lr,unit,anchor,separate,planar\n0,Warm,log,1,1,0,2,0.5\n10,,,1,3,1,0,0.5\n"


def test_two_terms_of_one_name_are_refused(terms: list[Term]):
    with pytest.raises(SettingError, match="'anchor', 'unit' came more than once"):
        Anchoring([*terms, Term("unit", Unitarity(), "decoder"), terms[1]])


def test_a_term_cannot_be_called_lr():
    with pytest.raises(SettingError, match="'lr' is the schedule's column for the learning rate"):
        Anchoring([Term("lr", Unitarity(), "encoder")])


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Term("", Unitarity(), "encoder"), "a term has a name and a layer; name=''"),
        (lambda: Term("unit", Unitarity(), ""), "layer=''"),
        (lambda: Term("unit", Unitarity(), "encoder", {"red": math.nan}), "the affinity of 'red' is nan"),
        (lambda: Term("unit", Unitarity(), "encoder", {"red": math.inf}), "the affinity of 'red' is inf"),
        (lambda: Term("apart", cast(Any, Separate), "encoder"), r"not its class: write Separate\(\.\.\.\)"),
    ],
)
def test_a_term_that_cannot_work_is_refused(make: Callable[[], Term], says: str):
    with pytest.raises(SettingError, match=says):
        make()


def test_a_column_that_drives_no_term_is_warned_of_with_the_nearest_term(terms: list[Term]):
    sheet = Dopesheet.parse("STEP,lr,unit,ancor,separate,planar,zzz\n0,1,1,1,1,1,1\n")
    with pytest.warns(UnusedColumnWarning) as caught:
        anchoring = Anchoring(terms, sheet)
    told = [str(warning.message) for warning in caught]
    assert len(told) == 2
    assert "'ancor' drives nothing" in told[0]
    assert "Did you mean the term 'anchor'?" in told[0]
    assert "'zzz' drives nothing" in told[1]
    assert "Did you mean" not in told[1]
    assert "Terms: 'unit', 'anchor', 'separate', 'planar'." in told[1]
    assert anchoring.notes == ("term 'anchor' has no column in the schedule: its weight is 1 at every step",)


def test_a_term_that_has_its_own_column_is_no_candidate_for_another(terms: list[Term]):
    sheet = Dopesheet.parse("STEP,unit,anchor,separate,planar,anchor-2\n0,1,1,1,1,1\n")
    with pytest.warns(UnusedColumnWarning, match=r"'anchor-2' drives nothing: no term has that name\. Terms"):
        Anchoring(terms, sheet)


def test_a_column_without_keyframes_is_neither_overlooked_nor_taken_for_a_weight(terms: list[Term]):
    sheet = Dopesheet.parse("STEP,unit,anchor,separate,polar,lr\n0,1,,1,,\n")
    with pytest.warns(UnusedColumnWarning, match="'polar' drives nothing") as caught:
        anchoring = Anchoring(terms, sheet)
    assert len(caught) == 1, "an empty lr is no column that drives nothing: it is for the loop to miss"
    assert anchoring.notes == (
        "term 'anchor' has an empty column in the schedule: its weight is 1 at every step",
        "term 'planar' has no column in the schedule: its weight is 1 at every step",
    )


def test_a_schedule_that_fits_gives_neither_warning_nor_note(terms: list[Term]):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Anchoring(terms, Dopesheet.parse(SHEET)).notes == ()
        assert Anchoring(terms, Dopesheet.parse(SHEET).timeline()).notes == ()
        assert Anchoring(terms).notes == ()


def test_the_layers_are_named_once_each_and_the_terms_read_as_text(terms: list[Term]):
    anchoring = Anchoring(terms, Dopesheet.parse("STEP,unit,separate,planar\n0,1,1,1\n"))
    assert anchoring.layers == ("encoder", "bottleneck")
    text = repr(anchoring)
    assert "unit: Unitarity() on 'encoder' (scheduled)" in text
    assert "on 'bottleneck', vibrant x 0.5, red x 0.25 (scheduled)" in text
    assert "anchor: Anchor(point=(1.0, 0.0, 0.0, 0.0)) on 'bottleneck', red x 1 (weight 1)" in text


COPIES: dict[str, Callable[[Any], Any]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda value: pickle.loads(pickle.dumps(value)),
}
each_copy = pytest.mark.parametrize("way", COPIES)


@each_copy
def test_a_copied_anchoring_gives_the_same_losses(
    way: str, autoencoder: Callable[..., Any], inputs: Tensor, labels: dict[str, Tensor], terms: list[Term]
):
    anchoring = Anchoring(terms, Dopesheet.parse(SHEET))
    twin = COPIES[way](anchoring)
    assert twin.terms == anchoring.terms
    assert twin.notes == anchoring.notes
    model = autoencoder()
    with anchoring.attach(model) as one, twin.attach(model) as other:
        for step in (0, 4, 10):
            model(inputs)
            assert torch.equal(one.loss(labels, step), other.loss(labels, step))


@each_copy
def test_a_copied_timeline_is_as_good_as_the_original(way: str):
    original = Dopesheet.parse(SHEET).timeline().retarget("unit", step=4, value=9.0, arrive=8)
    twin: Timeline = COPIES[way](original)
    assert (twin.num_steps, twin.phases, twin.tracks) == (
        original.num_steps,
        original.phases,
        original.tracks,
    )
    assert dict(twin.actions) == {0: ("log",)}
    assert twin.properties == original.properties
    for name, values in original.table.items():
        np.testing.assert_array_equal(twin.table[name], values)
        with pytest.raises(ValueError, match="read-only"):
            twin.table[name][0] = 7
    for changed in (twin.table, twin.tracks, twin.actions):
        with pytest.raises(TypeError, match="does not support item assignment"):
            changed["unit"] = None  # pyright: ignore[reportIndexIssue] - that it is refused is the test
    with pytest.raises(UnknownPropertyError, match="Did you mean 'anchor'"):
        twin.table["ancor"]
    again = twin.retarget("anchor", step=2, value=5.0, arrive=6).table["anchor"]
    np.testing.assert_array_equal(
        again, original.retarget("anchor", step=2, value=5.0, arrive=6).table["anchor"]
    )


def test_a_term_that_would_never_act_is_refused():
    with pytest.raises(SettingError, match="would never act"):
        Term("a", Unitarity(), "encoder", {"red": -1.0})


def test_terms_may_come_from_a_generator():
    anchoring = Anchoring(Term(name, Unitarity(), "encoder") for name in ("a", "b"))
    assert [term.name for term in anchoring.terms] == ["a", "b"]
