"""What every part of a recipe is: a frozen table whose keys are known."""

from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict, model_validator

from excise.errors import UnknownNameError

__all__ = ["Frozen", "require_name"]


class Frozen(BaseModel):
    """A table that cannot be changed and refuses keys it does not know, naming the nearest."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _keys_are_known(cls, data: object) -> object:
        for key in data if isinstance(data, dict) else ():
            if key not in cls.model_fields:
                raise UnknownNameError(str(key), cls.model_fields, f"in the {cls.__name__} of a recipe")
        return data


def require_name(name: str, known: Iterable[str], where: str) -> None:
    """Refuse a name that matches nothing.

    Raises:
        UnknownNameError: it is not among those known; the nearest are named.
    """
    if name not in (names := tuple(known)):
        raise UnknownNameError(name, names, where)
