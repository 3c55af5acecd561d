import subprocess
import sys

import numpy as np
import pytest
import torch

from excise.errors import SettingError
from excise.seeding import generator

PURPOSES = ("init", "data", "labels", "a", "b", "")


def draws(seed: int, purpose: str, count: int = 1000):
    return torch.randn(count, generator=generator(seed, purpose))


@pytest.mark.parametrize("purpose", PURPOSES)
def test_the_same_seed_and_purpose_give_the_same_draws(purpose: str):
    assert torch.equal(draws(3, purpose), draws(3, purpose))


def test_seeds_and_purposes_give_independent_draws():
    rows = torch.stack([draws(seed, purpose) for seed in range(8) for purpose in PURPOSES])
    correlations = torch.corrcoef(rows) - torch.eye(len(rows))
    # Of 1,128 pairs of 1,000 independent normal draws each correlates with standard deviation 1/sqrt(1,000).
    assert correlations.abs().max() < 5 / 1000**0.5
    twice = torch.corrcoef(torch.stack([draws(0, "init"), draws(0, "init")]))
    assert twice[0, 1] > 0.999, "control"


def test_no_two_of_many_seeds_and_purposes_collide():
    made = {generator(seed, purpose).initial_seed() for seed in range(2000) for purpose in PURPOSES}
    assert len(made) == 2000 * len(PURPOSES)


def test_drawing_more_for_one_purpose_does_not_shift_another():
    one, other = generator(0, "init"), generator(0, "data")
    torch.randn(10_000, generator=one)
    assert torch.equal(torch.randn(1000, generator=other), draws(0, "data"))


@pytest.mark.parametrize("seed", [0, 1, 2**31, 2**32, 2**63, 2**64 - 1, 2**100])
def test_seeds_of_any_size_are_taken(seed: int):
    assert torch.equal(draws(seed, "data"), draws(seed, "data"))
    assert not torch.equal(draws(seed, "data"), draws(seed + 1, "data"))


def test_a_negative_seed_is_refused():
    with pytest.raises(SettingError, match="at least 0; -1 came"):
        generator(-1, "data")


def test_the_global_generator_stays_untouched_and_does_not_matter():
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = draws(0, "data")
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    assert torch.equal(draws(0, "data"), first)


def test_another_process_draws_the_same():
    code = "from excise.seeding import generator; print(generator(7, 'data').initial_seed())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) == generator(7, "data").initial_seed()


class FirstNumpyInteger(np.uint64):
    """An unsigned integer of numpy 1, which promises nothing exact when shifted by a Python integer."""

    def __rshift__(self, other: object):
        raise TypeError("ufunc 'right_shift' not supported for the input types")


def test_integers_of_the_oldest_numpy_allowed_make_the_same_generator(monkeypatch: pytest.MonkeyPatch):
    expected = draws(7, "data")
    real = np.random.SeedSequence

    class FirstNumpySequence:
        def __init__(self, entropy: list[int]) -> None:
            self.words = real(entropy).generate_state(1, np.uint64)

        def generate_state(self, *_how: object) -> list[FirstNumpyInteger]:
            return [FirstNumpyInteger(word) for word in self.words]

    monkeypatch.setattr(np.random, "SeedSequence", FirstNumpySequence)
    assert torch.equal(draws(7, "data"), expected)
