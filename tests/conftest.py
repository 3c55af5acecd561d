"""Shape annotations are checked by beartype here, and only here."""

import sys
from collections.abc import Iterator
from types import ModuleType
from typing import TYPE_CHECKING

import pytest
from beartype import BeartypeConf, beartype
from jaxtyping import install_import_hook

if TYPE_CHECKING:
    from ray_cluster import ThreeNodes

# As for a type checker, a whole number will do where a float is asked for. The hook takes its checker by name.
_checker = ModuleType("excise_checker")
setattr(_checker, "check", beartype(conf=BeartypeConf(is_pep484_tower=True)))  # noqa: B010 - a module has no such name
sys.modules[_checker.__name__] = _checker
install_import_hook("excise", f"{_checker.__name__}.check")


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator["ThreeNodes"]:
    """Three nodes of Ray, for all tests that need them: to start them takes seconds."""
    from ray_cluster import ThreeNodes

    nodes = ThreeNodes()
    yield nodes
    nodes.stop()
