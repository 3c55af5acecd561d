"""How models of the transformers library come into the zoo: tiny, random, from a config."""

import warnings
from collections.abc import Callable
from typing import Any

from torch import nn

__all__ = ["SMALL", "hf"]

# Wide enough in its weights that a missing feature shows.
SMALL: dict[str, Any] = {"initializer_range": 0.3}


def hf(name: str, kind: str, **settings: Any) -> Callable[[], nn.Module]:
    """A model of a family, such as "Llama", of some kind, such as "ForCausalLM"."""

    def build() -> nn.Module:
        with warnings.catch_warnings():
            # What the library says about its own dependencies is not ours to judge.
            warnings.simplefilter("ignore")
            import transformers

            return getattr(transformers, name + kind)(getattr(transformers, name + "Config")(**settings))

    return build
