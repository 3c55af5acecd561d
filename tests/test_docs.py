"""The page on interventions runs as printed, and what it says of the numbers is so."""

import re
from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import torch

PAGE = (Path(__file__).parent.parent / "docs" / "interventions.md").read_text(encoding="utf-8")
TEXT = " ".join(PAGE.split())
BLOCKS = re.findall(r"```python\n(.*?)```(?:\n\n```text\n(.*?)```)?", PAGE, flags=re.DOTALL)

PRINTED = 0.02
"""How far a number may be from the page: after a training, rounding differs from machine to machine."""


def numbers(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"-?\d+\.\d+", text)]


@pytest.fixture(scope="module")
def page() -> Iterator[tuple[dict[str, Any], list[str]]]:
    """What the blocks have defined after the last of them, and what each has printed."""
    namespace: dict[str, Any] = {"__name__": "page"}
    printed: list[str] = []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # A thread pool would take longer than the work.
    with torch.random.fork_rng(devices=[]):
        for code, _ in BLOCKS:
            with redirect_stdout(StringIO()) as output:
                exec(compile(code, "interventions.md", "exec"), namespace)
            printed.append(output.getvalue())
    yield namespace, printed
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def here(page: tuple[dict[str, Any], list[str]]) -> dict[str, Any]:
    return page[0]


def test_each_block_prints_what_stands_below_it(page: tuple[dict[str, Any], list[str]]):
    shown = [(text, printed) for (_, text), printed in zip(BLOCKS, page[1], strict=True) if text]
    assert len(shown) == 2
    for text, printed in shown:
        assert re.sub(r"\d+\.\d{3}", "#", printed) == re.sub(r"\d+\.\d{3}", "#", text)
        assert numbers(printed) == pytest.approx(numbers(text), abs=PRINTED)


def test_the_alignments_are_those_of_the_text_and_lie_apart(here: dict[str, Any]):
    mostly, some, none = here["alignments"].values()
    told = re.search(
        r"Here it is (.*?) to (.*?) for .* (\S+) to (\S+) for those with some, and below (\S+)", TEXT
    )
    assert told is not None
    found = [*mostly.aminmax(), *some.aminmax(), none.max()]
    assert [float(value) for value in found] == pytest.approx(
        [float(value) for value in told.groups()], abs=PRINTED
    )
    assert none.max() < some.max() < mostly.min()


def test_strength_buys_effect_and_the_mixtures_pay(here: dict[str, Any]):
    rows = [here["measured"][f"strength {strength}"] for strength in (0, 0.5, 1)]
    left, some, none = zip(*rows, strict=True)
    assert left[0] > left[1] > left[2]
    assert 0 == some[0] < some[1] < some[2]
    assert none == (0, 0, 0)
    with here["ex"].suppress(here["model"], "unit", here["direction"]):
        out = here["model"](here["x"])
    assert float(out[here["mostly"], :3].mean()) == left[2]
    assert torch.equal(here["model"](here["x"]), here["plain"])


def test_a_step_at_75_degrees_spares_the_mixtures_at_the_same_effect_and_a_power_costs_effect(
    here: dict[str, Any],
):
    full, step = here["measured"]["strength 1"], here["measured"]["75 degrees, power 0"]
    assert step[0] == pytest.approx(full[0], abs=1e-3)
    assert step[1] < full[1] / 10
    assert here["measured"]["75 degrees, power 1"][0] > step[0] + 0.1
    assert torch.tensor([75.0, 60.0]).deg2rad().cos().tolist() == pytest.approx([0.26, 0.5], abs=2e-3)


def test_repulsion_keeps_lengths_and_ends_at_its_end(here: dict[str, Any]):
    ex, model, direction = here["ex"], here["model"], here["direction"]
    with (
        ex.repel(model, "unit", direction, ex.BezierMapper(0, 0.2)),
        ex.capture(model, ["unit"]) as activations,
    ):
        model(here["x"])
    latents = activations["unit"]
    torch.testing.assert_close(latents.norm(dim=-1), torch.ones(len(latents)))
    assert (latents @ direction).max() <= 0.2 + 1e-6


def test_order_counts_sequences_are_edited_position_by_position_and_the_file_holds_the_edit(
    here: dict[str, Any],
):
    assert (here["both"] - here["swapped"]).abs().max() > 0.01
    torch.testing.assert_close(here["in_sequence"], here["both"])
    moved = (here["last_position_only"] - here["plain"].reshape(20, 100, 12)).abs().amax(dim=(0, 2))
    assert moved[:-1].max() < 1e-5  # Rounding, by the shape of the batch.
    assert moved[-1] > 0.1
    assert here["read"] == here["first"]


def test_the_cut_leaves_what_the_text_says_and_has_two_sides(here: dict[str, Any]):
    assert (here["turned"](here["x"]) - here["plain"]).abs().max() < 1e-4
    left, _, none = here["measured"]["pruned"]
    told = re.search(r"It leaves (\S+) of A.* moved by (\d\.\d+)", TEXT)
    assert told is not None
    assert [left, none] == pytest.approx([float(value) for value in told.groups()], abs=PRINTED)
    ex = here["ex"]
    with ex.intervene(here["turned"], "latent", ex.AxisAlignedSuppression([0])):
        suppressed = here["turned"](here["x"])
    torch.testing.assert_close(
        ex.prune(here["turned"], "latent", [0])(here["x"]), suppressed, rtol=0, atol=1e-5
    )


def test_a_probe_still_reads_what_the_text_says(here: dict[str, Any]):
    told = re.search(r"a linear probe explains (\d+) %", TEXT)
    assert told is not None
    assert 100 * here["explained"] == pytest.approx(float(told[1]), abs=5)
