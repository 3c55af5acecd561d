"""What every intervention asks of its settings: plain numbers, so that it can be compared, hashed and saved."""

import numbers
import operator

import torch
from torch import Tensor

from excise.errors import SettingError

__all__ = ["keep_real", "real", "whole", "widened"]


def real(value: object, place: str) -> float:
    """`value` as a float; `place` starts the message ("BoundedFalloff takes a number as start").

    Raises:
        SettingError: it is no real number, or too large; a truth value is none either.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise SettingError(f"{place}; {value!r} came.")
    try:
        return float(value)
    except OverflowError as error:
        raise SettingError(f"{place}; one that is too large came.") from error


def keep_real(description: object, *names: str) -> None:
    """Turn attributes of a frozen description into floats.

    Raises:
        SettingError: one of them is no real number.
    """
    for name in names:
        place = f"{type(description).__name__} takes a number as {name}"
        object.__setattr__(description, name, real(getattr(description, name), place))


def whole(value: object, place: str) -> int:
    """`value` as a whole number; `place` starts the message ("AxisAlignedSuppression takes dims that").

    Raises:
        SettingError: it is none; a truth value, as in a mask, is none either.
    """
    truth = isinstance(value, bool) or str(getattr(value, "dtype", "")).endswith("bool")
    try:
        if not truth:
            return operator.index(value)  # pyright: ignore[reportArgumentType] - what has no index raises TypeError, which is told
    except TypeError:
        pass
    raise SettingError(f"{place} are whole numbers; {value!r} came.")


def widened(activations: Tensor) -> Tensor:
    """The activations in at least float32, in which an edit of half-precision ones is computed."""
    return activations.to(torch.promote_types(activations.dtype, torch.float32))
