"""What Modal runs gives all that happens in order, and leaves the process as it was."""

import logging
import pickle
import re
import sys
from typing import Any

import modal
import pytest

import errands
from excise.errors import WorkerMismatchError
from excise.executors.modal_worker import work
from excise.executors.work import pack


def events(fn: Any, *args: Any, volumes: tuple[str, ...] = ()) -> list[tuple[Any, ...]]:
    return [pickle.loads(content) for content in work(pack(fn, args, {}), volumes)]


def test_calls_back_come_in_order_and_then_the_result():
    assert events(errands.count, 3) == [("call", 0, 0), ("call", 1, 1), ("call", 2, 2), ("result", 3)]


def test_what_is_printed_and_logged_comes_as_whole_lines_between_them(capsys: pytest.CaptureFixture[str]):
    told = events(errands.tell_all)
    logged = told.pop(3)
    assert told == [
        ("output", "first"),
        ("output", "second"),
        ("call", 0, "between"),
        ("output", "to the other"),
        ("output", "no end"),
        ("result", "done"),
    ]
    assert re.fullmatch(r"[-\d]+ [\d:,]+ INFO study: logged", logged[1])
    assert capsys.readouterr().out == "first\nsecond\nno end", "Modal's own logs have it too"


def test_the_guards_of_a_call_leave_the_process_as_it_was():
    root = logging.getLogger()
    before = (sys.stdout, sys.stderr, root.level, list(root.handlers))
    events(errands.tell_all)
    events(errands.fail, "no good")
    assert before == (sys.stdout, sys.stderr, root.level, list(root.handlers))


@pytest.mark.parametrize(
    ("fn", "kind", "says"),
    [
        (lambda: errands.fail, ValueError, "no good"),
        (lambda: errands.fail_unpicklably, RuntimeError, "ValueError: unpicklable"),
        (lambda: errands.leave, RuntimeError, r"ended its process: SystemExit\(3\)"),
        (lambda: errands.give_unpicklable, Exception, "pickle"),
    ],
    ids=["error", "unpicklable error", "exit", "unpicklable result"],
)
def test_an_error_is_the_last_event(fn: Any, kind: type[Exception], says: str):
    function = fn()
    ((ends, error),) = events(function, *(["no good"] if function is errands.fail else []))
    assert ends == "error"
    with pytest.raises(kind, match=says):
        raise error


def test_a_worker_of_another_version_says_so_before_it_runs_anything():
    asked, content = pack(errands.square, (3,), {})
    ((ends, error),) = (pickle.loads(one) for one in work((asked | {"torch": "1.0"}, content)))
    assert ends == "error"
    with pytest.raises(WorkerMismatchError, match=r"instead of 1\.0"):
        raise error


def test_what_was_written_to_a_volume_is_kept_after_the_call_also_of_one_that_fails(
    monkeypatch: pytest.MonkeyPatch,
):
    kept: list[str] = []

    class Volume:
        def __init__(self, name: str) -> None:
            self.name = name

        @classmethod
        def from_name(cls, name: str) -> "Volume":
            return cls(name)

        def commit(self) -> None:
            kept.append(self.name)

    monkeypatch.setattr(modal, "Volume", Volume)
    events(errands.square, 3)
    assert kept == []
    events(errands.square, 3, volumes=("study",))
    events(errands.fail, "no good", volumes=("study",))
    assert kept == ["study", "study"]
