import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest
import torch

import excise as ex
from excise.errors import SettingError, TrackerWarning
from excise.trackers import Ended, Guard, Limits, Tracked, Tracking
from odd_trackers import Broken, Slow, Told

Rows = list[dict[str, float]]

QUICK = Limits(start=0.1, call=0.1)
"""Limits for tests of what hangs."""


def track(
    run: Tracked,
    rows: Rows,
    *trackers: Told,
    patience: float | None = 5.0,
    pause: float = 0.0,
    error: BaseException | None = None,
) -> float:
    """Tell the trackers of the whole run, which ends in the error, if any; how many seconds that took."""
    began = time.perf_counter()
    with Tracking(trackers, patience=patience, limits=QUICK) as tracking:
        tracking.start(run)
        for row in rows:
            tracking.log(row)
            time.sleep(pause)
        if error is not None:
            raise error
        tracking.hand_over(numbers={"error": 0.5, "lost": float("nan")})
    return time.perf_counter() - began


def test_every_tracker_is_told_all_in_order_in_a_thread_of_its_own(run: Tracked, rows: Rows):
    first, second = Told(), Told()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        track(run, rows, first, second)
    for told in (first, second):
        assert [kind for kind, _ in told.calls] == ["start", *["log"] * 5, "finish"]
        assert [content for kind, content in told.calls if kind == "log"] == rows
        assert told.calls[0][1] is run
        assert told.end == Ended(numbers={"error": 0.5})
    assert len(first.threads | second.threads) == 2
    assert all(thread.daemon for thread in first.threads | second.threads)


@pytest.mark.parametrize("error", [RuntimeError("no space left"), SystemExit("no space left")], ids=repr)
@pytest.mark.parametrize("call", ["start", "log", "finish"])
def test_a_tracker_that_raises_is_dropped_once_with_the_reason_and_the_run_goes_on(
    call: str, error: BaseException, run: Tracked, rows: Rows
):
    broken, told = Broken(call, error), Told()
    with pytest.warns(TrackerWarning) as warned:
        track(run, rows, broken, told, pause=0.01)
    assert len(warned) == 1
    assert "the tracker mine was dropped" in str(warned[0].message)
    assert f"{type(error).__name__}: no space left" in str(warned[0].message)
    assert told.steps == [0, 1, 2, 3, 4]
    assert told.end.status == "finished"
    assert [kind for kind, _ in broken.calls].count(call) == 1


@pytest.mark.parametrize("call", ["start", "log", "finish"])
def test_a_tracker_that_hangs_is_dropped_and_holds_up_neither_the_run_nor_its_end(
    call: str, run: Tracked, rows: Rows
):
    broken, told = Broken(call), Told()
    with pytest.warns(TrackerWarning, match=f"mine was dropped.*in '{call}'") as warned:
        seconds = track(run, rows, broken, told, patience=0.3, pause=0.05)
    broken.released.set()
    assert len(warned) == 1
    assert seconds < 1.5
    assert told.steps == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("call", ["start", "log"])
def test_a_tracker_that_hangs_is_dropped_while_the_run_still_goes_on(call: str, run: Tracked, rows: Rows):
    broken = Broken(call)
    guard = Guard(broken, QUICK)
    guard.start(run)
    guard.log(rows[0])
    assert guard.dropped is None
    deadline = time.monotonic() + 10
    while guard.check() and time.monotonic() < deadline:
        time.sleep(0.01)
    broken.released.set()
    assert guard.dropped == f"it hangs in {call!r} since 0.1 s"


def test_without_a_guard_the_same_tracker_ends_the_training():
    inputs = torch.rand(8, 3, generator=torch.Generator().manual_seed(0))
    stream = ex.TensorStream(inputs, {}, batch_size=4)

    def fit(observer: ex.Observer) -> None:
        ex.fit(torch.nn.Linear(3, 3), stream, steps=4, lr=0.1, observers=[observer], log_every=1)

    def fit_tracked(*trackers: Told) -> None:
        with Tracking(trackers, patience=5) as tracking:
            tracking.start(Tracked("mine", "mine", Path()))
            fit(tracking)

    broken = Broken("log", RuntimeError("no space left"))
    with pytest.raises(RuntimeError, match="no space left"):
        fit(lambda snapshot: broken.log(snapshot.row()))
    told = Told()
    with pytest.warns(TrackerWarning):
        fit_tracked(Broken("log", RuntimeError("no space left")), told)
    assert told.steps == [0, 1, 2, 3]


def test_a_tracker_behind_its_queue_has_all_rows_at_the_end_or_is_dropped(run: Tracked):
    rows: Rows = [{"step": step} for step in range(100)]
    slow = Slow()
    track(run, rows, slow)
    assert slow.steps == list(range(100))
    guard = Guard(Slow(), Limits(waiting=10))
    guard.start(run)
    for row in rows:
        guard.log(row)
    assert guard.dropped is not None
    assert guard.dropped.startswith("it cannot keep up: 11 logged steps wait")


def test_a_row_is_as_it_was_when_it_was_logged(run: Tracked):
    slow = Slow()
    row: dict[str, float] = {"step": 0.0}
    with Tracking([slow], patience=5) as tracking:
        tracking.start(run)
        for step in range(5):
            row["step"] = step
            tracking.log(row)
    assert slow.steps == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("error", "status"), [(KeyboardInterrupt(), "cancelled"), (ValueError("too hot"), "failed")], ids=repr
)
def test_trackers_are_told_how_a_run_ended_and_its_error_stays_what_it_is(
    error: BaseException, status: str, run: Tracked, rows: Rows
):
    told = Told()
    with pytest.raises(type(error)):
        track(run, rows, told, Broken("finish", OSError()), error=error)
    assert told.end.status == status
    assert told.end.error == ("ValueError: too hot" if status == "failed" else "")


def test_a_run_that_never_began_is_told_to_nobody(run: Tracked):
    told = Told()
    with pytest.raises(ValueError, match="early"), Tracking([told]):
        raise ValueError("early")
    assert told.calls == []


def test_python_exits_although_a_tracker_hangs():
    script = """
import time
from pathlib import Path
from excise.trackers import Tracked, Tracking
class Hangs:
    def start(self, run): time.sleep(60)
    log = finish = start
with Tracking([Hangs()]) as tracking:
    tracking.start(Tracked("mine", "mine", Path()))
    tracking.log({"step": 0})
print("over")
"""
    began = time.perf_counter()
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout == "over\n"
    assert "the tracker Hangs was dropped" in ran.stderr
    assert "it was still in 'start' when the run ended" in ran.stderr
    assert time.perf_counter() - began < 20


def test_the_end_waits_as_long_as_asked_for(run: Tracked, rows: Rows, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("EXCISE_TRACKER_PATIENCE", "0")
    with pytest.warns(TrackerWarning, match="when the run ended"):
        track(run, rows, Slow(), patience=None)
    for wrong in ("soon", "-1", "nan"):
        monkeypatch.setenv("EXCISE_TRACKER_PATIENCE", wrong)
        with pytest.raises(SettingError, match="number of seconds"):
            Tracking()
    with pytest.raises(SettingError, match="number of seconds"):
        Tracking(patience=-1.0)
