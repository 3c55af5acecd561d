"""Shape annotations are checked by beartype here, and only here."""

import sys
from types import ModuleType

from beartype import BeartypeConf, beartype
from jaxtyping import install_import_hook

# As for a type checker, a whole number will do where a float is asked for. The hook takes its checker by name.
_checker = ModuleType("excise_checker")
setattr(_checker, "check", beartype(conf=BeartypeConf(is_pep484_tower=True)))  # noqa: B010 - a module has no such name
sys.modules[_checker.__name__] = _checker
install_import_hook("excise", f"{_checker.__name__}.check")
