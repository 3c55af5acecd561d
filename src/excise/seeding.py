"""Randomness as a value: every draw of a run comes from a generator made here from the run's seed.

Purposes are independent of each other: drawing more initial weights does not shift the data that a run sees.
"""

import zlib

import numpy as np
import torch

from excise.errors import SettingError

__all__ = ["generator"]


def generator(seed: int, purpose: str) -> torch.Generator:
    """A CPU generator for one purpose of one run.

    Args:
        seed: the run's seed, at least 0.
        purpose: what the draws are for, such as "init" or "data"; another purpose gives independent draws.

    Raises:
        SettingError: the seed is negative.
    """
    if seed < 0:
        raise SettingError(f"a seed is a whole number of at least 0; {seed} came.")
    entropy = np.random.SeedSequence([seed, zlib.crc32(purpose.encode())])
    return torch.Generator().manual_seed(int(entropy.generate_state(1, np.uint64)[0]) >> 1)
