import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from excise.errors import DopesheetError
from excise.schedule import Column, Dopesheet

FAST = settings(derandomize=True, deadline=None, max_examples=300, database=None)


def column(text: str, index: int = 0):
    return Dopesheet.parse(text).columns[index]


def test_rows_are_sorted_and_blank_cells_are_no_keyframes():
    sheet = Dopesheet.parse("STEP,lr,w\n0,1,\n100,2,5\n+0.5,,4\n+7,3,\n-1,,6\n200,4,\n")
    assert sheet.columns == (
        Column("lr", ((0, 1.0), (100, 2.0), (107, 3.0), (200, 4.0))),
        Column("w", ((100, 5.0), (150, 4.0), (199, 6.0))),
    )
    assert sheet.num_steps == 201
    assert sheet.properties == ("lr", "w")


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("lr", ("linear", "minjerk")),
        ("lr:linear", ("linear", "minjerk")),
        ("lr:log", ("log", "minjerk")),
        ("lr:log:linear", ("log", "linear")),
        ("lr::linear", ("linear", "linear")),
        ("lr::step-end", ("linear", "step-end")),
        ("lr::step", ("linear", "step-end")),
        ("lr:log:step", ("log", "step-end")),
        (" lr : log : minjerk ", ("log", "minjerk")),
        ("lr::", ("linear", "minjerk")),
    ],
)
def test_a_header_says_how_its_property_moves(title: str, expected: tuple[str, str]):
    read = column(f"STEP,{title}\n0,1\n")
    assert (read.name, read.space, read.interpolation) == ("lr", *expected)


def test_byte_order_mark_line_ends_blank_lines_and_column_order_do_not_matter():
    plain = Dopesheet.parse("STEP,PHASE,lr\n0,Train,1\n+2,,2\n9,,3\n")
    odd = Dopesheet.parse('\ufeff\r\nlr,"STEP", PHASE\r\n1,0,Train\r\n\r\n,,\r\n 2,+2\r\n3,9,\r\n\r\n')
    assert (odd.columns, odd.phases, odd.num_steps) == (plain.columns, plain.phases, plain.num_steps)


def test_rows_on_one_step_are_merged_where_they_set_different_columns():
    sheet = Dopesheet.parse(
        'STEP,PHASE,ACTION,a,b\n0,Warm,"save, log",1,\n+5,,,2,\n10,Train,probe,,3\n'
        "5,,log,,4\n0,Warm,stop,,9\n"
    )
    assert [(c.name, c.keyframes) for c in sheet.columns] == [
        ("a", ((0, 1.0), (5, 2.0))),
        ("b", ((0, 9.0), (5, 4.0), (10, 3.0))),
    ]
    assert sheet.actions == {0: ("save", "log", "stop"), 5: ("log",), 10: ("probe",)}
    assert sheet.phases == ((0, "Warm"), (10, "Train"))


def test_an_action_cell_without_events_is_no_action():
    assert Dopesheet.parse('STEP,ACTION,a\n0,", ,",1\n1,x,\n').actions == {1: ("x",)}


def test_a_column_without_keyframes_is_no_property_but_keeps_its_name():
    sheet = Dopesheet.parse("STEP,lr,reg-polar:log\n0,1,\n5,2,\n")
    assert sheet.properties == ("lr",)
    assert sheet.empty_columns == ("reg-polar",)
    assert Dopesheet.parse("STEP,lr\n0,1\n").empty_columns == ()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "s.csv is empty"),
        ("\n , \n", "s.csv is empty"),
        ("STEP,lr\n", "s.csv has a header but no rows"),
        (
            "step,lr\n0,1\n",
            "s.csv, line 1: no column is called STEP; the header is 'step', 'lr'.",
        ),
        ("lr,Step\n0,1\n", "Did you mean to call 'Step' STEP?"),
        ("STEP;lr\n0;1\n", "Its columns are separated by ';'"),
        ("STEP\tlr\n0\t1\n", "separated by '\\t'"),
        ("STEP,lr\n0,\u0663\n", "is not a number"),
        ("lr,w\n0,1\n", "Every row needs a STEP"),
        ("STEP,lr\n0,1\n,2\n", "s.csv, line 3, column 'STEP': an empty cell"),
        (
            "STEP,lr\n0,1\n\n0,2\n",
            "line 4, column 'lr': step 0 is set a second time (first in line 2)",
        ),
        (
            "STEP,lr\n0,1\n+5,3\n+0.5,2\n10,\n",
            "line 4, column 'lr': step 5 is set a second",
        ),
        ("STEP,PHASE\n0,A\n0,B\n", "s.csv, line 3, column 'PHASE': step 0 is set a second time"),
        ("STEP,lr\n0,fast\n", "s.csv, line 2, column 'lr': 'fast' is not a number"),
        ("STEP,lr\n0,1_0\n", "s.csv, line 2, column 'lr': '1_0' is not a number"),
        ("STEP,lr\n0,nan\n", "s.csv, line 2, column 'lr': 'nan' is not a finite number"),
        ("STEP,lr\n0,-inf\n", "'-inf' is not a finite number"),
        ("STEP,lr\n0,1e999\n", "'1e999' is not a finite number"),
        (
            "STEP,lr:log\n0,1\n5,0\n",
            "s.csv, line 3, column 'lr:log': 0 came, but a column in log space",
        ),
        ("STEP,lr:log::\n0,1\n", "too many parts"),
        ("STEP,lr\n0,1,2\n", "s.csv, line 2: 3 cells, but the header has 2 columns; '2' belongs to none"),
        ("STEP,lr\n0,1,\n", "s.csv, line 2: 3 cells"),
        ("STEP,lr,\n0,1\n", "s.csv, line 1, column '': column 3 has no name"),
        ("STEP,:log\n0,1\n", "column 2 has no name"),
        ("\nSTEP,lr,lr\n0,1,2\n", "s.csv, line 2, column 'lr': 'lr' has a column already, 'lr'"),
        ("STEP,lr,lr:log\n0,1,2\n", "s.csv, line 1, column 'lr:log': 'lr' has a column already, 'lr'"),
        ("STEP,STEP\n0,1\n", "'STEP' has a column already"),
        ("STEP,PHASE:\n0,A\n", "PHASE takes no space and no interpolation; write PHASE."),
        ("STEP,phase\n0,A\n", "column 'phase': write PHASE, in capitals"),
        ("STEP,lr:loog\n0,1\n", "no space is called 'loog'; known are 'linear', 'log'. Did you mean 'log'?"),
        ("STEP,lr:linear-ish\n0,1\n", "Did you mean 'linear'?"),
        ("STEP,lr:step-end\n0,1\n", "For an interpolation write 'lr::step-end'."),
        ("STEP,lr:min-jerk\n0,1\n", "For an interpolation write 'lr::minjerk'."),
        ("STEP,lr::minjrek\n0,1\n", "no interpolation is called 'minjrek'"),
        ("STEP,lr::minjrek\n0,1\n", "Did you mean 'minjerk'?"),
        ("STEP,lr::log\n0,1\n", "For a space write 'lr:log'."),
        ('STEP,lr\n0,1\n"5,2\n', "s.csv, line 3: not CSV"),
        ("STEP,lr\n0,1\0\n", "s.csv, line 2: holds a NUL character"),
        ('STEP,lr\n0,"x\ny"\n', "s.csv, line 2, column 'lr': 'x\\ny' is not a number"),
        ('STEP,lr\n0,"1\n"\n5,x\n', "s.csv, line 4, column 'lr': 'x'"),
    ],
)
def test_a_mistake_is_named_with_its_place_and_a_remedy(text: str, says: str):
    with pytest.raises(DopesheetError, match=re.escape(says)):
        Dopesheet.parse(text, source="s.csv")


PIECES = ("STEP", "PHASE", "ACTION", "lr", "lr:log", "::step", "A", "nan", "1e-3", "0", "10", "99999999")
PIECES += ("+5", "-0.5", "+.5", "-", ".", ":", " ", '"', ",", ",", ",", ",", "\n", "\n", "\r\n", "\r")
PIECES += ("\ufeff", "\0", "\u2028")
SNIPPETS = st.lists(st.sampled_from(PIECES), max_size=40).map("".join)
TABLES = SNIPPETS.map("STEP,PHASE,ACTION,lr,w\n".__add__)


@FAST
@given(st.one_of(st.text(max_size=80), SNIPPETS, TABLES))
@example("STEP,PHASE:,lr\n0,a,1\n")
@example("STEP,lr\n0,\ud800\n")
def test_any_text_is_read_or_refused_with_a_typed_error(text: str):
    try:
        sheet = Dopesheet.parse(text)
    except DopesheetError:
        return
    assert sheet.to_csv() == text
    assert sheet.num_steps > max((step for c in sheet.columns for step, _ in c.keyframes), default=-1)


CELLS = st.sampled_from(["", "", "1", "0.5", "1e-3"])
STEP_CELLS = st.sampled_from(["5", "7", "40", "+3", "-2", "+0.5", "-0.25"])


@FAST
@given(st.lists(st.tuples(STEP_CELLS, st.sampled_from(["", "A", "B"]), CELLS, CELLS), max_size=6))
def test_a_well_formed_table_keeps_every_value_that_was_written(rows: list[tuple[str, str, str, str]]):
    """Rows around two absolute ones; where steps meet, the same column twice is the only mistake left."""
    rows = [("0", "", "", ""), *rows, ("90", "", "", "")]
    text = "STEP,PHASE,a,b:log\n" + "".join(",".join(row) + "\n" for row in rows)
    try:
        sheet = Dopesheet.parse(text)
    except DopesheetError as error:
        assert "is set a second time" in str(error)  # noqa: PT017 - a refusal is one of two right answers
        return
    for index, name in ((2, "a"), (3, "b")):
        written = sorted(float(row[index]) for row in rows if row[index])
        read = [value for c in sheet.columns if c.name == name for _, value in c.keyframes]
        assert sorted(read) == written
        assert (name in sheet.empty_columns) == (not written)
    assert sheet.num_steps == 91
    assert Dopesheet.parse(sheet.to_csv()) == sheet
