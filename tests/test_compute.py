from collections.abc import Iterator

import pytest
import torch
from torch import nn

from excise.compute import suited_to

SUITED = (1, False, True)


def settings() -> tuple[int, bool, bool]:
    """Threads, oneDNN, and whether a subnormal number is rounded to 0."""
    flushes = (torch.tensor([1e-39]) * 0.5).item() == 0
    return torch.get_num_threads(), bool(torch.backends.mkldnn.enabled), flushes


def choose(threads: int, onednn: bool, flushes: bool) -> bool:
    torch.set_num_threads(threads)
    torch.backends.mkldnn.enabled = onednn
    return torch.set_flush_denormal(flushes)


def parameters(count: int) -> nn.Module:
    module = nn.Module()
    module.weight = nn.Parameter(torch.empty(count, device="meta"))
    return module


def tiny() -> nn.Module:
    return parameters(263)


@pytest.fixture(autouse=True, params=[(3, True, False), (2, False, True)], ids=["usual", "unusual"])
def before(request: pytest.FixtureRequest) -> Iterator[tuple[int, bool, bool]]:
    """Settings that a user has made; those of the test process come back afterwards."""
    found = settings()
    if not choose(*request.param):
        pytest.skip("this processor cannot flush subnormal numbers")
    yield request.param
    choose(*found)


def test_a_tiny_model_gets_one_thread_no_onednn_and_no_subnormals(before: tuple[int, bool, bool]):
    assert settings() == before
    with suited_to(tiny()):
        assert settings() == SUITED
    assert settings() == before


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_settings_come_back_after_an_exception_too(
    error: type[BaseException], before: tuple[int, bool, bool]
):
    with pytest.raises(error), suited_to(tiny()):
        raise error
    assert settings() == before


def test_settings_that_the_block_itself_changed_come_back(before: tuple[int, bool, bool]):
    with suited_to(tiny()):
        torch.set_num_threads(4)
        torch.backends.mkldnn.enabled = True
        torch.set_flush_denormal(False)
    assert settings() == before


def test_blocks_within_blocks_come_back_one_by_one(before: tuple[int, bool, bool]):
    with suited_to(tiny()):
        with suited_to(tiny()):
            assert settings() == SUITED
        assert settings() == SUITED
    assert settings() == before


def test_a_big_model_is_left_as_it_is(before: tuple[int, bool, bool]):
    with suited_to(parameters(1_000_000)):
        assert settings() == before
    with suited_to(parameters(999_999)):
        assert settings() == SUITED
    with suited_to(tiny(), parameters(999_900)):
        assert settings() == before, "models count together"
    with pytest.raises(ValueError, match="own"), suited_to(parameters(1_000_000)):
        raise ValueError("the block's own")
    assert settings() == before
