import pytest

from excise.errors import DopesheetError
from excise.schedule.steps import MAX_STEP, Place, resolve


def steps(*cells: str):
    return resolve([Place(line, cell) for line, cell in enumerate(cells, 2)], "s.csv")


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (("0", "+10", "1000"), [0, 10, 1000]),
        (("0", "-10", "1000"), [0, 990, 1000]),
        (("5", "+10", "+20", "1000"), [5, 15, 25, 1000]),
        (("0", "-10", "-20", "1000"), [0, 990, 980, 1000]),
        (("1000", "+0.9", "3000"), [1000, 2800, 3000]),
        (("1000", "-0.9", "3000"), [1000, 1200, 3000]),
        (("0", "+.25", "100"), [0, 25, 100]),
        (("100", "+1"), [100, 101]),
        (("-1", "100"), [99, 100]),
        (("7",), [7]),
        (("0", "+0.5", "+10", "+0.9", "200"), [0, 100, 10, 180, 200]),
    ],
)
def test_steps_count_from_the_absolute_rows_around(cells: tuple[str, ...], expected: list[int]):
    assert steps(*cells) == expected


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (("0", "+0.5", "1"), 0),  # 0.5
        (("0", "+0.5", "3"), 2),  # 1.5
        (("0", "+0.5", "5"), 2),  # 2.5
        (("0", "+0.33", "750"), 248),  # 247.5
        (("0", "-0.33", "750"), 502),  # 502.5
        (("0", "+0.1", "25"), 2),  # 2.5, which 0.1 in binary overshoots
        (("0", "+0.1", "26"), 3),  # 2.6
    ],
)
def test_shares_are_rounded_to_the_nearest_step_and_ties_to_even(cells: tuple[str, ...], expected: int):
    assert steps(*cells)[1] == expected


@pytest.mark.parametrize(
    ("cells", "line", "says"),
    [
        (("+10", "20"), 2, "absolute row before it"),
        (("0", "-10"), 3, "absolute row after it"),
        (("+0.5", "10"), 2, "no absolute row comes before"),
        (("0", "+0.5"), 3, "no absolute row comes after"),
        (("0", "-0.5"), 3, "no absolute row comes after"),
        (("-10", "5"), 2, "comes to step -5"),
        (("0", "+0", "5"), 3, "at least 1"),
        (("0", "-0", "5"), 3, "at least 1"),
        (("0", "+1.0", "5"), 3, "between 0 and 1"),
        (("0", "+0.0", "5"), 3, "between 0 and 1"),
        (("0", "-1.5", "5"), 3, "between 0 and 1"),
        (("0.5", "5"), 2, r"\+0\.5 for a share"),
        (("5.0", "9"), 2, "write a whole step\\.$"),
        (("0", "x"), 3, "is not a step. Write 1000"),
        (("0", ""), 3, "an empty cell is not a step"),
        (("0", "1e3"), 3, "is not a step"),
        (("0", "1_000"), 3, "is not a step"),
        (("0", "٣"), 3, "is not a step"),
        (("0", "+ 5"), 3, "is not a step"),
        (("0", "--5"), 3, "is not a step"),
        (("0", "nan"), 3, "is not a step"),
    ],
)
def test_a_step_that_cannot_be_resolved_is_named_with_line_and_column(
    cells: tuple[str, ...], line: int, says: str
):
    with pytest.raises(DopesheetError, match=rf"^s\.csv, line {line}, column 'STEP': .*{says}"):
        steps(*cells)


@pytest.mark.parametrize("cell", [str(MAX_STEP + 1), "1000000000000", "9" * 5000, "+" + "9" * 25])
def test_an_absurd_step_is_refused_before_any_memory_is_taken(cell: str):
    with pytest.raises(DopesheetError, match=f"steps run from 0 to {MAX_STEP}"):
        steps("0", cell)
    assert steps("0", str(MAX_STEP)) == [0, MAX_STEP]
