"""Whole numbers that remember which attribute of which module they are.

A forward pass may reshape to `self.n_heads` or split at `self.width`. When an edit makes that axis narrower, the
attribute must follow. While a pass is recorded, each whole number that a module holds is therefore a `NotedInt`; the
recorded arguments then tell which attribute a size came from. A number that was computed from several, or that stands
in the code as a literal, tells nothing.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, cast

from torch import nn

__all__ = ["NotedInt", "Origin", "origins_noted", "set_origin"]


class Origin(NamedTuple):
    """An attribute that holds a whole number: of a module, perhaps inside a tuple or list."""

    path: str
    attribute: str
    position: int | None = None

    def __str__(self) -> str:
        """As a user would write it."""
        inside = "" if self.position is None else f"[{self.position}]"
        return f"{self.path}.{self.attribute}{inside}" if self.path else f"{self.attribute}{inside}"


class NotedInt(int):
    """A whole number with its origin; arithmetic gives plain numbers."""

    origin: Origin

    @classmethod
    def of(cls, value: int, origin: Origin) -> "NotedInt":
        """`value`, noted to be of `origin`."""
        noted = cls(value)
        noted.origin = origin
        return noted


@contextmanager
def origins_noted(model: nn.Module) -> Iterator[None]:
    """Note, inside the block, the whole numbers that the modules of `model` hold (torch's own modules need none)."""
    changed: list[tuple[dict[str, object], str, object]] = []
    try:
        for path, module in model.named_modules():
            if type(module).__module__.startswith("torch.nn.") and not isinstance(module, nn.Unflatten):
                continue
            held = vars(module)
            for name, value in list(held.items()):
                noted = _noted(value, path, name)
                if noted is not None:
                    changed.append((held, name, value))
                    held[name] = noted
        yield
    finally:
        for held, name, value in changed:
            held[name] = value


def set_origin(model: nn.Module, origin: Origin, value: float) -> None:
    """Set the attribute that `origin` names."""
    module = model.get_submodule(origin.path)
    if origin.position is None:
        setattr(module, origin.attribute, value)
        return
    held = list(getattr(module, origin.attribute))
    held[origin.position] = value
    kind = type(getattr(module, origin.attribute))
    setattr(module, origin.attribute, kind(held))


def _noted(value: object, path: str, name: str) -> object:
    if type(value) is int:
        return NotedInt.of(value, Origin(path, name))
    if type(value) in (tuple, list):
        items = list(cast(Iterable[object], value))
        if items and all(type(item) is int for item in items):
            noted = (NotedInt.of(cast(int, item), Origin(path, name, at)) for at, item in enumerate(items))
            return tuple(noted) if isinstance(value, tuple) else list(noted)
    return None
