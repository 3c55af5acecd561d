"""The rules, by the names of the operations."""

import reprlib
from collections.abc import Callable

from excise.errors import SettingError
from excise.surgery.flow import Rule

__all__ = ["find_rule", "rule"]

_RULES: dict[str, Rule] = {}


def rule(*names: str, replace: bool = False) -> Callable[[Rule], Rule]:
    """Register what some operations do to features that come to them.

    Args:
        names: plain names of operations, as a refusal prints them: "linear", "add".
        replace: whether rules that there are may be replaced.

    Raises:
        SettingError: no name, what is no name, or one that has a rule, without `replace`.
    """
    if not names:
        raise SettingError("a rule is for at least one operation, as in `@rule('fft_fft')`; no name came.")
    if not all(isinstance(name, str) for name in names):
        raise SettingError(
            f"a rule is for operations by their names, as in `@rule('fft_fft')`; {reprlib.repr(names[0])} came."
        )
    taken = [name for name in names if name in _RULES and not replace]
    if taken:
        raise SettingError(
            f"there are rules for {', '.join(taken)} already; pass replace=True to put yours in their place."
        )

    def register(function: Rule) -> Rule:
        for name in names:
            _RULES[name] = function
        return function

    return register


def find_rule(name: str) -> Rule | None:
    """The rule of an operation; None where there is none."""
    return _RULES.get(name)
