import contextlib
import errno
import io
import re

import pytest
from rich.console import Console

from excise.anchoring import Anchoring, Term, Unitarity
from excise.color import NormalizedMLP, hsv_stream
from excise.seeding import generator
from excise.training import Snapshot, fit
from excise.training.progress import LiveProgress, PlainProgress, SilentProgress, progress_for

CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch):
    for name in (
        "FORCE_COLOR",
        "NO_COLOR",
        "TTY_COMPATIBLE",
        "TTY_INTERACTIVE",
        "JUPYTER_COLUMNS",
        "COLUMNS",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


def snapshot(step: int, num_steps: int, terms: dict[str, float] | None = None):
    return Snapshot(
        step=step,
        num_steps=num_steps,
        loss=0.0123,
        objective=0.01,
        lr=0.05,
        terms={"reg-anchor": 0.25} if terms is None else terms,
        weights={"reg-anchor": 1.0},
        seconds=(step + 1) / 50,
    )


def lines_of(num_steps: int, log_every: int = 1):
    file = io.StringIO()
    progress = PlainProgress(file)
    for step in range(num_steps):
        if step % log_every == 0 or step == num_steps - 1:
            progress(snapshot(step, num_steps))
    return file.getvalue().splitlines()


@pytest.mark.parametrize(
    ("num_steps", "log_every"), [(3001, 10), (1501, 10), (600, 1), (120, 7), (20_001, 10)]
)
def test_plain_progress_prints_about_a_dozen_lines_with_the_first_and_the_last_step(
    num_steps: int, log_every: int
):
    lines = lines_of(num_steps, log_every)
    assert 10 <= len(lines) <= 14
    assert lines[0].startswith(f"step 1/{num_steps} ")
    assert lines[-1].startswith(f"step {num_steps}/{num_steps} ")


def test_plain_progress_prints_each_step_of_a_short_training():
    assert len(lines_of(5)) == 5


def test_a_plain_line_tells_loss_rate_terms_speed_and_time_left():
    file = io.StringIO()
    PlainProgress(file)(snapshot(99, 1000))
    assert file.getvalue() == (
        "step 100/1000  loss 1.23e-02  lr 5.0e-02  reg-anchor 2.50e-01  50 steps/s  18 s left\n"
    )


def test_plain_progress_starts_anew_with_each_training_and_names_stages():
    file = io.StringIO()
    with PlainProgress(file, lines=2) as progress:
        for _ in range(2):
            for step in range(10):
                progress(snapshot(step, 10))
            progress.stage("editing")
    shown = [line.split("  ")[0] for line in file.getvalue().splitlines()]
    assert shown == ["step 1/10", "step 6/10", "step 10/10", "editing"] * 2


def test_a_training_tells_plain_progress_its_numbers():
    file = io.StringIO()
    anchoring = Anchoring([Term("unit", Unitarity(), "encoder")])
    model = NormalizedMLP(generator=generator(0, "init"))
    history = fit(
        model, hsv_stream({}), anchoring, steps=5, lr=0.01, log_every=1, observers=[PlainProgress(file)]
    )
    number = r"\d\.\d\de[-+]\d\d"
    lines = file.getvalue().splitlines()
    for i, line in enumerate(lines):
        # The first step holds the set-up too: a time left computed from it would be many times the truth.
        speed = r"  \d+ steps/s  \d+ s left" if i else ""
        assert re.fullmatch(rf"step {i + 1}/5  loss {number}  lr 1.0e-02  unit {number}{speed}", line)
        assert f"loss {history.table['loss'][i]:.2e}" in line
    assert len(lines) == 5


def drawn(terminal: Terminal):
    return CONTROL.sub("", terminal.getvalue())


def test_live_progress_draws_bar_loss_rate_terms_speed_and_stages_in_place():
    terminal = Terminal()
    with LiveProgress(Console(file=terminal, width=120)) as progress:
        progress(snapshot(249, 1000))
        progress._live.refresh()
        shown = drawn(terminal)
        for part in ("training", "25%", "50 steps/s", "loss 1.23e-02", "lr 5.00e-02", "reg-anchor 2.50e-01"):
            assert part in shown
        before = len(shown)
        progress.stage("editing and evaluating")
        progress._live.refresh()
        after = drawn(terminal)[before:]
        assert "editing and evaluating" in after
        assert "loss" not in after
        assert "%" not in after
        assert not re.search(r"\d:\d\d", after), "nobody knows how long a stage takes"
    assert "\x1b[2K" in terminal.getvalue(), "lines are erased and drawn again, not appended"


def test_live_progress_gives_the_terminal_back_after_an_error():
    hide, show = "\x1b[?25l", "\x1b[?25h"
    terminal = Terminal()
    with contextlib.suppress(KeyboardInterrupt), LiveProgress(Console(file=terminal)) as progress:
        progress(snapshot(0, 10))
        assert terminal.getvalue().rfind(hide) > terminal.getvalue().rfind(show)
        raise KeyboardInterrupt
    assert terminal.getvalue().rfind(show) > terminal.getvalue().rfind(hide)


def test_live_progress_shows_every_number_whole_on_a_terminal_of_80_columns():
    terminal = Terminal()
    terms: dict[str, float] = dict.fromkeys(("reg-unit", "reg-anchor", "reg-separate", "reg-planar"), 0.25)
    with LiveProgress(Console(file=terminal, width=80)) as progress:
        progress(snapshot(0, 10, terms))
        progress._live.refresh()
    for name in terms:
        assert f"{name} 2.50e-01" in drawn(terminal)


def test_live_progress_draws_names_as_they_are():
    """Brackets are markup to rich, which would swallow some names and raise an error at others."""
    terminal = Terminal()
    with LiveProgress(Console(file=terminal, width=120)) as progress:
        progress.stage("note: term '[bold]' and [/]")
        progress._live.refresh()
        progress(snapshot(0, 10, {"reg[red]": 1.0, "[/x]": 2.0}))
        progress._live.refresh()
    shown = drawn(terminal)
    assert "note: term '[bold]' and [/]" in shown
    assert "reg[red] 1.00e+00" in shown
    assert "[/x] 2.00e+00" in shown


def test_silent_progress_shows_nothing_and_lets_errors_pass(capsys: pytest.CaptureFixture[str]):
    progress = SilentProgress()

    def fail():
        with progress:
            progress(snapshot(0, 10))
            progress.stage("editing")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert capsys.readouterr() == ("", "")


def test_progress_for_chooses_bars_for_a_terminal_and_lines_elsewhere(monkeypatch: pytest.MonkeyPatch):
    assert isinstance(progress_for(Terminal()), LiveProgress)
    assert isinstance(progress_for(io.StringIO()), PlainProgress)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(progress_for(Terminal()), PlainProgress), "a terminal that cannot redraw gets lines"


def test_progress_for_writes_to_the_standard_error_of_the_moment():
    redirected = io.StringIO()
    with contextlib.redirect_stderr(redirected):
        progress_for().stage("editing")
    assert redirected.getvalue() == "editing\n"


class Gone(io.StringIO):
    """Where nothing can be written: a pipe whose reader has closed it, a full disk."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def flush(self) -> None:
        raise OSError(self.number, "gone")


@pytest.mark.parametrize("number", [errno.EPIPE, errno.ENOSPC])
def test_progress_that_cannot_be_written_does_not_end_the_training(number: int):
    progress = PlainProgress(Gone(number))
    progress(snapshot(0, 10))
    progress.stage("evaluating")


def test_a_note_is_printed_and_stays_while_the_training_goes_on():
    text = "note: term '[a]' has no column in the schedule: its weight is 1 at every step"
    file, terminal = io.StringIO(), Terminal()
    PlainProgress(file).note(text)
    assert file.getvalue() == f"{text}\n"
    with LiveProgress(Console(file=terminal, width=120)) as progress:
        progress(snapshot(5, 10))
        progress.note(text)
        progress(snapshot(6, 10))
        progress._live.refresh()
    shown = drawn(terminal)
    assert shown.count(text) == 1, "printed once above the bar, not drawn again with it"
    assert "training" in shown[shown.index(text) :]


def test_live_progress_says_in_which_stage_a_training_is():
    terminal = Terminal()
    console = Console(file=terminal, force_terminal=True, width=100, height=20)
    with LiveProgress(console) as progress:
        progress.stage("seed 3 (4 of 20)")
        progress(snapshot(0, 10))
        progress._live.refresh()
    assert "seed 3 (4 of 20): training" in CONTROL.sub("", terminal.getvalue())
