"""What travels between a caller and a worker arrives whole, whatever a function or its caller does."""

import functools
import time

import pytest

import errands
from excise.errors import ExecutorError, SettingError
from excise.executors import Processes
from excise.executors.ray_failures import translated
from excise.executors.work import Inbox, carry_out, pack, sendable

WAIT = 30.0


def test_calls_back_from_several_threads_all_arrive_whole():
    told: list[tuple[int, int, str]] = []
    with Processes(1) as executor:
        assert executor.submit(errands.count_in_threads, 8, 100, on_call=told.append).result(WAIT) == 8
    by_thread = {thread: [number for which, number, _ in told if which == thread] for thread in range(8)}
    assert by_thread == {thread: list(range(100)) for thread in range(8)}


def test_what_is_called_back_after_the_end_reaches_no_other_function():
    told: list[object] = []
    with Processes(1) as executor:
        assert executor.submit(errands.tell_too_late).result(WAIT) == "ended"
        assert executor.submit(errands.sleep, 0.5).result(WAIT) == 0.5
        assert executor.submit(errands.count, 2, on_call=told.append).result(WAIT) == 2
        assert told == [0, 1]
    called: list[object] = []
    carry_out(pack(errands.tell_too_late, (), {}), lambda number, _message: called.append(number))
    time.sleep(0.3)
    assert called == []


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_who_is_called_back_cannot_end_the_executor(kind: type[BaseException]):
    def leave(_message: object) -> None:
        raise kind

    with Processes(1) as executor:
        with pytest.raises(ExecutorError, match=f"called back.*{kind.__name__}"):
            executor.submit(errands.count, 2, on_call=leave).result(WAIT)
        assert executor.submit(errands.square, 3).result(WAIT) == 9
    with pytest.raises(LookupError):
        Inbox(lambda _message: {}["its own error"]).take(0, "told")


def test_a_function_that_leaves_its_process_is_no_worker_that_died():
    with Processes(1) as executor:
        with pytest.raises(ExecutorError, match=r"the function ended its process: SystemExit\(3\)") as raised:
            executor.submit(errands.leave).result(WAIT)
        assert type(raised.value) is ExecutorError
        assert executor.submit(errands.square, 3).result(WAIT) == 9


def test_a_function_that_reads_its_standard_input_finds_it_empty():
    with Processes(1) as executor:
        assert executor.submit(errands.read_input).result(WAIT) == ""
        assert executor.submit(errands.square, 3).result(WAIT) == 9


def test_an_error_that_cannot_be_sent_keeps_where_it_was_raised():
    with Processes(1) as executor, pytest.raises(RuntimeError, match="OddError") as raised:
        executor.submit(errands.fail_oddly).result(WAIT)
    assert "in fail_oddly" in "".join(raised.value.__notes__)
    assert sendable(ValueError("as it is")).args == ("as it is",)


class OfTheScript:
    """Stands for a class of the script that is run, which workers do not find."""


def test_what_workers_do_not_find_is_said_to_belong_into_a_module(monkeypatch: pytest.MonkeyPatch):
    package = pack(errands.square, (OfTheScript(),), {})
    monkeypatch.delitem(globals(), "OfTheScript")
    with pytest.raises(ExecutorError, match=r"OfTheScript.*modules that workers can import"):
        carry_out(package, lambda _number, _message: None)


class Unwilling:
    """Raises an error of its own when it is pickled."""

    def __getstate__(self) -> object:
        raise ValueError("not me")


def test_an_argument_that_refuses_to_be_pickled_is_refused():
    with pytest.raises(SettingError, match="square cannot be sent to another process: not me"):
        pack(errands.square, (Unwilling(),), {})
    assert carry_out(pack(functools.partial(errands.square, 3), (), {}), lambda _n, _m: None) == 9


def test_what_ray_says_is_said_without_colours():
    import ray
    from ray import exceptions

    said = str(translated(exceptions.RaySystemError("\x1b[36mray::work()\x1b[39m is lost"), ray))
    assert "ray::work() is lost" in said
    assert "\x1b" not in said
