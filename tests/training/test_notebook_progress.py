"""In a notebook the progress stands in one place, which is replaced; a fake notebook takes what is shown."""

import io
import sys
from types import ModuleType, SimpleNamespace

import pytest

from excise.training import Snapshot
from excise.training.progress import NotebookProgress, PlainProgress, notebook, progress_for


def snapshot(step: int, steps: int = 100) -> Snapshot:
    return Snapshot(
        step, steps, loss=0.5, objective=0.25, lr=0.01, terms={"<b>": 0.13}, weights={}, seconds=1.0
    )


def fake(name: str, monkeypatch: pytest.MonkeyPatch, **contents: object) -> None:
    module = ModuleType(name)
    vars(module).update(contents)
    monkeypatch.setitem(sys.modules, name, module)


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("marimo", "IPython"):
        monkeypatch.delitem(sys.modules, name, raising=False)


def test_steps_losses_stages_and_notes_are_drawn_in_place(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(notebook.time, "monotonic", iter(range(1000)).__next__)
    shown: list[str] = []
    with NotebookProgress(shown.append) as progress:
        progress(snapshot(49))
        assert "training: step 50 of 100" in shown[-1]
        assert '<progress value="0.5000" aria-label="50 %">' in shown[-1]
        assert "loss 0.5, lr 0.01, &lt;b&gt; 0.13; 50 steps/s, 1 s left" in shown[-1]
        progress.note("a note & more")
        progress.stage("evaluating")
        assert "evaluating" in shown[-1]
        assert "<progress" not in shown[-1]
    assert "done: 50 steps in 1.0 s" in shown[-1]
    assert "a note &amp; more" in shown[-1], "notes stay"


def test_an_error_is_not_called_done():
    shown: list[str] = []
    with pytest.raises(KeyError), NotebookProgress(shown.append):
        raise KeyError
    assert "stopped" in shown[-1]


def test_it_is_drawn_a_few_times_a_second_and_at_the_last_step(monkeypatch: pytest.MonkeyPatch):
    clock = iter(0.01 * tick for tick in range(1000))
    monkeypatch.setattr(notebook.time, "monotonic", clock.__next__)
    shown: list[str] = []
    progress = NotebookProgress(shown.append)
    for step in range(100):
        progress(snapshot(step))
    assert 5 <= len(shown) <= 7
    assert "step 100 of 100" in shown[-1]


@pytest.mark.usefixtures("nowhere")
def test_in_marimo_the_output_of_the_cell_is_replaced(monkeypatch: pytest.MonkeyPatch):
    shown: list[str] = []
    fake(
        "marimo", monkeypatch,
        running_in_notebook=lambda: True, Html=lambda text: text, output=SimpleNamespace(replace=shown.append),
    )  # fmt: skip
    progress_for().stage("evaluating")
    assert "evaluating" in shown[-1]


@pytest.mark.usefixtures("nowhere")
def test_in_jupyter_one_display_is_updated(monkeypatch: pytest.MonkeyPatch):
    shown: list[str] = []
    handle = SimpleNamespace(update=shown.append)
    display = SimpleNamespace(HTML=lambda text: text, display=lambda _html, display_id: handle)
    fake("IPython", monkeypatch, display=display, get_ipython=lambda: SimpleNamespace(kernel=object()))
    progress_for().stage("evaluating")
    assert "evaluating" in shown[-1]


@pytest.mark.usefixtures("nowhere")
def test_elsewhere_there_are_plain_lines(monkeypatch: pytest.MonkeyPatch):
    assert isinstance(progress_for(io.StringIO()), PlainProgress)
    fake("marimo", monkeypatch, running_in_notebook=lambda: False)
    fake("IPython", monkeypatch, get_ipython=lambda: None)
    assert not isinstance(progress_for(), NotebookProgress)
    fake("IPython", monkeypatch, get_ipython=SimpleNamespace)  # IPython in a terminal
    assert not isinstance(progress_for(), NotebookProgress)
