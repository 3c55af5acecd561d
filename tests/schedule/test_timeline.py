import csv
import math
import time
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import excise
from excise.errors import SettingError, UnknownPropertyError
from excise.schedule import Dopesheet, Phase

FAST = settings(derandomize=True, deadline=None, max_examples=60, database=None)
SHEETS = Path(str(excise.__file__)).parent / "experiments" / "dopesheets"
LENGTHS = {"2.2": 20_001, "2.10": 1_501} | {f"2.{n}": 3_001 for n in range(3, 10)}
LENGTHS |= {f"2.{n}.1": 1_501 for n in (4, 5, 7, 9, 10)}


def closed_form(path: Path):
    """The schedule of a plain CSV as a function of property and step, computed one scalar at a time."""
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    anchors = [(i, int(row["STEP"])) for i, row in enumerate(rows) if row["STEP"][0] not in "+-"]

    def place(i: int, cell: str):
        if cell[0] not in "+-":
            return int(cell)
        before = max(s for j, s in anchors if j < i)
        if "." not in cell:
            assert cell[0] == "+"
            return before + int(cell)
        after = min(s for j, s in anchors if j > i)
        return int((before + Decimal(cell) * (after - before)).to_integral_value("ROUND_HALF_EVEN"))

    steps = [place(i, row["STEP"]) for i, row in enumerate(rows)]

    def curve(name: str) -> list[float]:
        keys = sorted((s, float(row[name])) for s, row in zip(steps, rows, strict=True) if row[name])
        values = []
        for step in range(max(steps) + 1):
            past = [key for key in keys if key[0] <= step]
            coming = [key for key in keys if key[0] > step]
            if not past or not coming:
                values.append((past[-1] if past else coming[0])[1])
                continue
            (s0, v0), (s1, v1) = past[-1], coming[0]
            t = (step - s0) / (s1 - s0)
            values.append(v0 + (v1 - v0) * (10 * math.pow(t, 3) - 15 * math.pow(t, 4) + 6 * math.pow(t, 5)))
        return values

    names = [name for name in rows[0] if name not in ("STEP", "PHASE", "ACTION")]
    return {name: curve(name) for name in names}


@pytest.mark.parametrize("name", sorted(LENGTHS))
def test_every_published_schedule_equals_its_closed_form_at_every_step(name: str):
    sheet = Dopesheet.read_csv(SHEETS / f"{name}.csv")
    timeline = sheet.timeline()
    expected = closed_form(SHEETS / f"{name}.csv")
    assert timeline.properties == tuple(expected)
    assert sheet.empty_columns == ()
    assert timeline.num_steps == LENGTHS[name]
    for prop, values in expected.items():
        np.testing.assert_allclose(timeline.table[prop], values, rtol=0, atol=1e-12)
    assert timeline.phases == (Phase("Train", 0, LENGTHS[name] - 1),)


def test_every_published_schedule_is_there():
    assert {path.stem for path in SHEETS.glob("*.csv")} == set(LENGTHS)


def test_the_schedule_of_2_6_has_its_published_values():
    timeline = Dopesheet.read_csv(SHEETS / "2.6.csv").timeline()
    names = ("lr", "reg-separate", "reg-anchor", "reg-unit", "reg-planar")
    golden = {
        0: (1e-8, 0.01, 0.01, 0.01, 0.01),
        1000: (0.1, 0.01, 0.04, 0.1, 0.1),
        3000: (0.05, 0.0, 0.0, 0.0, 0.0),
    }
    for step, values in golden.items():
        assert timeline.at(step) == dict(zip(names, values, strict=True))
    # Published to five decimals.
    published = dict(zip(names, (0.09482, 0.00865, 0.0346, 0.0865, 0.0865), strict=True))
    assert timeline.at(1500) == pytest.approx(published, abs=5.1e-6)


def test_log_space_moves_the_logarithm():
    timeline = Dopesheet.parse("STEP,lr:log,w:log:linear\n10,1e-4,1\n50,0.3,100\n90,,\n").timeline()
    for step in range(10, 51):
        t = (step - 10) / 40
        ease = 10 * t**3 - 15 * t**4 + 6 * t**5
        assert timeline.table["lr"][step] == pytest.approx(1e-4 ** (1 - ease) * 0.3**ease, rel=1e-12)
        assert timeline.table["w"][step] == pytest.approx(10 ** (2 * t), rel=1e-12)
    # Control: half-way in log space is the geometric mean, far from the arithmetic one.
    assert timeline.table["lr"][30] < 0.01


def test_log_space_has_a_floor_between_keyframes_that_are_met_exactly():
    values = Dopesheet.parse("STEP,a:log\n0,1e-30\n100,1\n200,1e-30\n").timeline().table["a"]
    assert values[0] == values[200] == 1e-30
    assert values[1:200].min() >= 1e-10
    assert values[50] == pytest.approx(1e-5, rel=1e-9)


def test_a_log_property_between_equal_keyframes_is_constant_to_the_last_bit():
    assert math.exp(math.log(0.1)) != 0.1, "control: the way through the logarithm alone would miss"
    for title in ("a:log", "a:log:linear"):
        values = Dopesheet.from_keyframes({title: {0: 0.1, 50: 0.1}}).timeline().table["a"]
        assert (values == 0.1).all()


def test_step_end_holds_until_the_next_keyframe():
    timeline = Dopesheet.parse("STEP,a::step-end,b:log:step,c\n0,1,1e-12,1\n4,3,7,3\n6,,,\n").timeline()
    assert timeline.table["a"].tolist() == [1, 1, 1, 1, 3, 3, 3]
    assert timeline.table["b"].tolist() == [1e-12] * 4 + [7] * 3
    assert timeline.table["c"][2] == 2


def test_phases_hold_until_the_next_and_know_their_first_and_last_step():
    timeline = Dopesheet.parse("STEP,PHASE,ACTION,a\n3,Warm,,1\n8,Train,save,2\n+0.5,,,\n20,,,\n").timeline()
    assert timeline.phases == (Phase("Warm", 3, 7), Phase("Train", 8, 20))
    assert [timeline.phase_at(step) for step in (2, 3, 7, 8, 20)] == [
        None,
        *[Phase("Warm", 3, 7)] * 2,
        *[Phase("Train", 8, 20)] * 2,
    ]
    assert timeline.actions == {8: ("save",)}


def test_a_schedule_without_phases_has_none():
    timeline = Dopesheet.parse("STEP,a\n5,1\n").timeline()
    assert timeline.phases == ()
    assert timeline.phase_at(5) is None


def test_a_timeline_cannot_be_changed():
    timeline = Dopesheet.parse("STEP,a\n0,1\n9,2\n").timeline()
    for changed in (timeline, timeline.retarget("a", step=3, value=0.0, arrive=5)):
        with pytest.raises(ValueError, match="read-only"):
            changed.table["a"][0] = 5.0
        with pytest.raises(TypeError):
            changed.table["b"] = np.zeros(10)  # pyright: ignore[reportIndexIssue] - that it is refused is the test
        with pytest.raises(TypeError):
            changed.actions[3] = ("x",)  # pyright: ignore[reportIndexIssue] - that it is refused is the test


@pytest.mark.parametrize("step", [-1, 10, 10**9])
def test_a_step_outside_the_timeline_is_refused(step: int):
    timeline = Dopesheet.parse("STEP,a\n0,1\n9,2\n").timeline()
    for ask in (timeline.at, timeline.phase_at):
        with pytest.raises(SettingError, match=f"from step 0 to 9; {step} came"):
            ask(step)
    with pytest.raises(SettingError, match=f"from step 0 to 9; {step} came"):
        timeline.retarget("a", step=step, value=1.0, arrive=step + 1)


def test_a_misspelt_property_is_answered_with_the_nearest():
    timeline = Dopesheet.parse("STEP,lr,reg-anchor\n0,1,1\n9,2,2\n").timeline()
    with pytest.raises(UnknownPropertyError, match=r"in this timeline\. Did you mean 'reg-anchor'"):
        timeline.table["reg-anchr"]
    with pytest.raises(UnknownPropertyError, match="Did you mean 'reg-anchor'"):
        timeline.retarget("reg-anchr", step=1, value=0.0, arrive=2)
    assert "reg-anchr" not in timeline.table
    assert timeline.table.get("reg-anchr") is None


KEYFRAMES = st.dictionaries(
    st.integers(0, 300),
    st.floats(-1e6, 1e6) | st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([0.0, 1.0]),
    min_size=1,
    max_size=6,
)
POSITIVE = st.dictionaries(st.integers(0, 300), st.floats(1e-10, 1e10), min_size=1, max_size=6)


def check(values: np.ndarray, keyframes: dict[int, float], slack: float):
    """Exact at the keyframes, still outside them, and monotone (so bounded) from each to the next."""
    steps = sorted(keyframes)
    assert all(values[step] == keyframes[step] for step in steps)
    assert (values[: steps[0]] == keyframes[steps[0]]).all()
    assert (values[steps[-1] :] == keyframes[steps[-1]]).all()
    for first, last in pairwise(steps):
        part = values[first : last + 1]
        low, high = sorted((keyframes[first], keyframes[last]))
        assert low <= part.min() <= part.max() <= high
        sign = 1 if keyframes[last] >= keyframes[first] else -1
        # Halves are compared, since the difference of two finite values may overflow.
        assert (sign * np.diff(part / 2) >= -slack * np.abs(part[1:])).all()


@FAST
@given(KEYFRAMES, st.sampled_from(["a", "a::linear", "a::step-end"]), st.integers(0, 50))
def test_between_keyframes_a_property_moves_monotonically_and_arrives_exactly(
    keyframes: dict[int, float], title: str, hold: int
):
    end = {"end": {max(keyframes) + hold: 0.0}}
    timeline = Dopesheet.from_keyframes({title: keyframes} | end).timeline()
    check(timeline.table["a"], keyframes, slack=0)


@FAST
@given(POSITIVE, st.sampled_from(["a:log", "a:log:linear", "a:log:step-end"]), st.integers(0, 50))
def test_in_log_space_too(keyframes: dict[int, float], title: str, hold: int):
    end = {"end": {max(keyframes) + hold: 0.0}}
    timeline = Dopesheet.from_keyframes({title: keyframes} | end).timeline()
    # The library's exponential is not monotone to the last bit.
    check(timeline.table["a"], keyframes, slack=1e-15)


def test_a_timeline_of_twenty_thousand_steps_is_cheap():
    sheet = Dopesheet.read_csv(SHEETS / "2.2.csv")
    sheet.timeline()
    times = []
    for _ in range(5):
        begin = time.perf_counter()
        sheet.timeline()
        times.append(time.perf_counter() - begin)
    # A few milliseconds are measured; a loop over steps in Python takes more than this limit.
    assert min(times) < 0.05
