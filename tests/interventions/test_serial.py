import json
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from excise.errors import SettingError, UnknownNameError
from excise.interventions import (
    AxisAlignedSuppression,
    BezierMapper,
    BoundedFalloff,
    Falloff,
    Intervention,
    LinearMapper,
    Mapper,
    Repulsion,
    Suppression,
    as_spec,
    from_spec,
)

Z = torch.randn(50, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
DRAWN = torch.randn(20, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
BASIS = torch.linalg.qr(DRAWN[:3].T).Q.T
FALLOFFS = [BoundedFalloff(), BoundedFalloff(0, 1, 0), BoundedFalloff(0.5, 0.7, 2.5)]
MAPPERS = [LinearMapper(0.1, 1 / 3), BezierMapper(0, 0.5, 0.2), BezierMapper(0, 0.5).tabulated(9)]
EDITS = [
    *(Suppression(DRAWN[0], falloff) for falloff in FALLOFFS),
    Suppression(BASIS, FALLOFFS[2]),
    AxisAlignedSuppression([4, 0]),
    *(Repulsion(DRAWN[0], mapper, seed=3) for mapper in MAPPERS),
]
SUPPRESSION = as_spec(Suppression([1, 0]))
FALLOFF = SUPPRESSION["falloff"]
REPULSION = as_spec(Repulsion([1, 0], MAPPERS[0]))


def through_json(described: Intervention | Falloff | Mapper) -> Intervention | Falloff | Mapper:
    return from_spec(json.loads(json.dumps(as_spec(described), allow_nan=False)))


@pytest.mark.parametrize("edit", EDITS, ids=str)
def test_what_is_read_back_equals_what_was_written_and_edits_to_the_bit(edit: Intervention):
    read = through_json(edit)
    assert isinstance(read, type(edit))
    assert (read, hash(read)) == (edit, hash(edit))
    assert torch.equal(read(Z), edit(Z))
    assert torch.equal(read(Z.float()), edit(Z.float()))


@pytest.mark.parametrize("row", range(len(DRAWN)))
def test_a_direction_is_not_scaled_a_second_time(row: int):
    for edit in (Suppression(DRAWN[row]), Repulsion(DRAWN[row], MAPPERS[0])):
        assert through_json(edit) == edit
    repulsion = Repulsion(DRAWN[row], MAPPERS[0])
    assert Repulsion(repulsion.direction, MAPPERS[0]) == repulsion


@pytest.mark.parametrize("part", [*FALLOFFS, *MAPPERS], ids=str)
def test_falloffs_and_mappers_are_saved_by_themselves(part: Falloff | Mapper):
    assert through_json(part) == part
    assert through_json(part) != FALLOFFS[1] or part == FALLOFFS[1]


def test_a_table_is_what_the_constructor_takes():
    assert SUPPRESSION == {
        "kind": "Suppression",
        "basis": [[1, 0]],
        "falloff": {"kind": "BoundedFalloff", "start": 0, "strength": 1, "power": 0},
    }
    assert REPULSION == {
        "kind": "Repulsion",
        "direction": [1, 0],
        "mapper": {"kind": "LinearMapper", "start": 0.1, "end": 1 / 3},
        "seed": 0,
    }
    assert as_spec(AxisAlignedSuppression([2, 0])) == {"kind": "AxisAlignedSuppression", "dims": [0, 2]}


def test_a_direction_written_by_hand_is_scaled_like_any_other():
    assert from_spec(REPULSION | {"direction": [3, 4]}) == Repulsion([0.6, 0.8], MAPPERS[0])


def test_an_expected_sort_is_given_or_refused():
    assert from_spec(SUPPRESSION, Intervention) == Suppression([1, 0])
    assert from_spec(FALLOFF, Falloff) == BoundedFalloff(0, 1, 0)
    with pytest.raises(
        SettingError, match="'AxisAlignedSuppression', 'Repulsion' is needed; 'BoundedFalloff' came"
    ):
        from_spec(FALLOFF, Intervention)


@pytest.mark.parametrize(
    ("spec", "asked", "nearest"),
    [
        (SUPPRESSION | {"kind": "Supression"}, "Supression", "Suppression"),
        (FALLOFF | {"kind": "boundedfallof"}, "boundedfallof", "BoundedFalloff"),
        (REPULSION | {"mapper": {"kind": "BezierMaper"}}, "BezierMaper", "BezierMapper"),
    ],
)
def test_an_unknown_kind_is_named_with_the_nearest(spec: dict[str, Any], asked: str, nearest: str):
    with pytest.raises(UnknownNameError) as caught:
        from_spec(spec)
    assert (caught.value.asked, caught.value.nearest[0]) == (asked, nearest)


def test_only_what_fits_the_place_is_named_as_known():
    with pytest.raises(UnknownNameError, match=r"for Repulsion.mapper") as caught:
        from_spec(REPULSION | {"mapper": {"kind": "Bounded"}})
    assert caught.value.known == ("LinearMapper", "BezierMapper", "TabulatedMapper")


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"basis": [[1]]}, "a table with a `kind` is needed, one of 'Suppression'"),
        ({"kind": 3}, "a table with a `kind` is needed"),
        ({"kind": ["Suppression"]}, "a table with a `kind` is needed"),
        (
            SUPPRESSION | {"falof": 1},
            r"Suppression has no 'falof'. Did you mean 'falloff'\? It takes 'basis', 'falloff'",
        ),
        (SUPPRESSION | {"seed": 1}, r"Suppression has no 'seed'. It takes"),
        ({"kind": "Suppression", "basis": [[1]]}, "Suppression lacks 'falloff'; it takes 'basis', 'falloff'"),
        (
            SUPPRESSION | {"falloff": {"kind": "BoundedFalloff", "start": 0}},
            "Suppression.falloff lacks 'strength', 'power'",
        ),
        (
            SUPPRESSION | {"falloff": FALLOFF | {"start": "0"}},
            "Suppression.falloff.start is a number; '0' came",
        ),
        (
            SUPPRESSION | {"falloff": FALLOFF | {"power": True}},
            "Suppression.falloff.power is a number; True came",
        ),
        (
            SUPPRESSION | {"falloff": FALLOFF | {"start": 2}},
            "Suppression.falloff: BoundedFalloff takes a start in",
        ),
        (
            SUPPRESSION | {"falloff": None},
            "Suppression.falloff: a table with a `kind` is needed, one of 'BoundedFalloff'",
        ),
        (
            SUPPRESSION | {"falloff": REPULSION["mapper"]},
            "Suppression.falloff: one of 'BoundedFalloff' is needed",
        ),
        (SUPPRESSION | {"basis": "ab"}, "Suppression.basis is a list; 'ab' came"),
        (SUPPRESSION | {"basis": [[1, None]]}, r"Suppression.basis\[0\]\[1\] is a number; None came"),
        (SUPPRESSION | {"basis": [[1, 0], [1, 0]]}, "Suppression: the rows of a basis are orthonormal"),
        (SUPPRESSION | {"basis": [[1, 0], [1]]}, "Suppression: a basis is a direction"),
        (REPULSION | {"seed": 1.5}, "Repulsion.seed is a whole number; 1.5 came"),
        (REPULSION | {"seed": False}, "Repulsion.seed is a whole number; False came"),
        (REPULSION | {"seed": -1}, "Repulsion: a seed is a whole number of at least 0"),
        (
            {"kind": "AxisAlignedSuppression", "dims": [0.0]},
            r"AxisAlignedSuppression.dims\[0\] is a whole number",
        ),
        ({"kind": "AxisAlignedSuppression", "dims": 0}, "AxisAlignedSuppression.dims is a list; 0 came"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_table_that_does_not_fit_is_refused_at_its_place(spec: dict[str, Any], says: str):
    with pytest.raises(SettingError, match=says):
        from_spec(spec)


@dataclass(frozen=True)
class Mine(Falloff):
    def __call__(self, alignment: Tensor) -> Tensor:
        return alignment


@pytest.mark.parametrize("foreign", [Mine(), Suppression([1, 0], Mine())], ids=["falloff", "inside"])
def test_what_is_not_one_of_ours_acts_but_is_not_saved(foreign: Falloff | Intervention):
    assert Suppression([1, 0], Mine())(torch.tensor([0.5, 0.0])).tolist() == [0.25, 0]
    with pytest.raises(
        SettingError, match=r"only interventions, falloffs and mappers of excise .* Mine\(\) came"
    ):
        as_spec(foreign)
