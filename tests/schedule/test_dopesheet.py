import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from excise.errors import DopesheetError
from excise.schedule import Column, Dopesheet

VALUES = st.floats(allow_nan=False, allow_infinity=False)
STEPS = st.integers(0, 10_000)


def test_read_csv_reads_bytes_with_a_mark_and_windows_line_ends(tmp_path: Path):
    path = tmp_path / "s.csv"
    path.write_bytes(b"\xef\xbb\xbfSTEP,lr\r\n0,1\r\n5,2\r\n")
    assert Dopesheet.read_csv(path).columns == (Column("lr", ((0, 1.0), (5, 2.0))),)
    assert Dopesheet.read_csv(str(path)).to_csv() == "STEP,lr\r\n0,1\r\n5,2\r\n"


@pytest.mark.parametrize("name", ["none.csv", ".", "no/such/folder.csv"])
def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path, name: str):
    with pytest.raises(DopesheetError, match="cannot read .*" + str(tmp_path / name)):
        Dopesheet.read_csv(tmp_path / name)


@pytest.mark.parametrize("content", [b"STEP,lr\n0,1\n5,\xff\n", b"\xef\xbb\xbfSTEP,lr\n0,1\n5,\xff\n"])
def test_undecodable_bytes_are_named_with_path_and_line(tmp_path: Path, content: bytes):
    path = tmp_path / "latin.csv"
    path.write_bytes(content)
    with pytest.raises(DopesheetError, match=r"latin\.csv, line 3: not text in UTF-8"):
        Dopesheet.read_csv(path)


def test_errors_in_a_file_carry_its_path(tmp_path: Path):
    path = tmp_path / "s.csv"
    path.write_text("STEP,lr\n0,x\n")
    with pytest.raises(DopesheetError, match=r"s\.csv, line 2, column 'lr'"):
        Dopesheet.read_csv(path)


@settings(derandomize=True, deadline=None, max_examples=60, database=None)
@given(
    st.dictionaries(
        st.sampled_from(["lr", "reg-a", "b, c", 'q"uote', "é::step-end", "d:linear:linear"]),
        st.dictionaries(STEPS, VALUES, min_size=1, max_size=5),
        min_size=1,
    )
)
def test_keyframes_written_in_code_survive_the_csv_to_the_last_bit(keyframes: dict[str, dict[int, float]]):
    sheet = Dopesheet.from_keyframes(keyframes)
    read = {c.name: c.keyframes for c in sheet.columns}
    assert read == {title.partition(":")[0]: tuple(sorted(k.items())) for title, k in keyframes.items()}
    assert Dopesheet.parse(sheet.to_csv()) == sheet
    assert sheet.num_steps == max(max(k) for k in keyframes.values()) + 1


def test_keyframes_in_code_take_a_header_as_their_key():
    sheet = Dopesheet.from_keyframes({"lr:log": {0: 1e-3, 100: 1e-2}, "w::step-end": {50: 1.0}, "none": {}})
    assert sheet.columns == (
        Column("lr", ((0, 1e-3), (100, 1e-2)), "log"),
        Column("w", ((50, 1.0),), "linear", "step-end"),
    )
    assert sheet.empty_columns == ("none",)


@pytest.mark.parametrize(
    ("keyframes", "says"),
    [
        ({"lr": {-5: 1.0, 0: 1.0, 9: 2.0}}, "from 0 on; -5 came"),
        ({"lr": {0: float("nan")}}, "<keyframes>, line 2, column 'lr': 'nan' is not a finite number"),
        ({"lr": {0: 1.0}, "PHASE": {0: 2.0}}, "'PHASE' is no property"),
        ({"lr": {0: 1.0}, "lr:log": {0: 2.0}}, "'lr' has a column already"),
        ({}, "no rows"),
    ],
)
def test_keyframes_in_code_are_checked_like_a_file(keyframes: dict[str, dict[int, float]], says: str):
    with pytest.raises(DopesheetError, match=says):
        Dopesheet.from_keyframes(keyframes)


def test_importing_schedules_stays_light():
    code = (
        "import sys, excise.schedule; "
        "print([m for m in ('torch', 'pandas', 'matplotlib', 'xarray') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
