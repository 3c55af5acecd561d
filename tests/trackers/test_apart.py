import time
from collections.abc import Callable
from pathlib import Path

import pytest

from excise.errors import TrackerWarning
from excise.trackers import Apart, Tracked, Tracking

SUPPORT = Path(__file__).parent.parent / "support"

Rows = list[dict[str, float]]


@pytest.fixture(autouse=True)
def support(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(SUPPORT))


def track(run: Tracked, rows: Rows, tracker: Apart, *, patience: float = 20.0) -> None:
    with Tracking([tracker], patience=patience) as tracking:
        tracking.start(run)
        for row in rows:
            tracking.log(row)


def comes_true(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def test_a_tracker_that_ends_its_process_is_dropped(run: Tracked, rows: Rows):
    with pytest.warns(TrackerWarning, match=r"dying was dropped.*its process ended \(exit status 3\)"):
        track(run, rows, Apart("odd_trackers:Dying", "dying"))


def test_what_a_tracker_raises_is_told_and_what_it_prints_is_kept_in_a_file(
    run: Tracked, rows: Rows, capfd: pytest.CaptureFixture[str]
):
    with pytest.warns(TrackerWarning, match="failing was dropped.*SystemExit: the key is wrong"):
        track(run, rows, Apart("odd_trackers:Failing", "failing"))
    assert capfd.readouterr() == ("", "")
    assert (run.path / "trackers" / "failing.log").read_text() == "what a library prints\n"


def test_a_tracker_that_is_not_there_is_dropped(run: Tracked, rows: Rows):
    with pytest.warns(TrackerWarning, match="lost was dropped.*no_such_module"):
        track(run, rows, Apart("no_such_module:Tracker", "lost"))


def test_a_tracker_that_needs_longer_than_the_run_waits_finishes_by_itself(run: Tracked, rows: Rows):
    began = time.monotonic()
    tracker = Apart("odd_trackers:Late", "late")
    with pytest.warns(TrackerWarning, match="late was not done when the run ended; it goes on by itself"):
        track(run, rows, tracker, patience=0.5)
    assert time.monotonic() - began < 1.0
    assert not (run.path / "finished").exists()
    assert comes_true((run.path / "finished").exists)
    assert comes_true(lambda: not (run.path / "trackers" / "late.log").exists())


def test_a_tracker_whose_run_was_killed_is_told_that_it_failed(run: Tracked, rows: Rows):
    tracker = Apart("odd_trackers:Late", "left")
    tracker.start(run)
    tracker.log(rows[0])
    assert tracker._process is not None
    assert tracker._process.stdin is not None
    (run.path / "finished").unlink(missing_ok=True)
    tracker._process.stdin.close()
    assert comes_true((run.path / "finished").exists)
    assert comes_true(tracker._ended.is_set)


def test_a_tracker_that_is_dropped_has_no_process_any_more(run: Tracked, rows: Rows):
    tracker = Apart("odd_trackers:Late", "stopped")
    tracker.start(run)
    tracker.abandon()
    assert comes_true(tracker._ended.is_set)
