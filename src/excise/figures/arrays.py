"""What a picture may be given: labelled arrays that fit, and how a place in them reads in words."""

import numpy as np
import xarray as xr

from excise.errors import SettingError, ShapeError
from excise.numerals import number

__all__ = ["at", "finite", "labelled", "same_places", "share"]


def labelled(array: xr.DataArray, dims: tuple[str, ...], what: str) -> xr.DataArray:
    """`array` with exactly these dims, brought into this order.

    Args:
        array: finite values.
        dims: the dims that it must have; one called "channel" in the last place must be three long.
        what: what the array is, as the beginning of a sentence ("true colours").

    Raises:
        ShapeError: it has other dims, a dim is empty, or colours do not have three channels.
        SettingError: a value is not finite.
    """
    if set(array.dims) != set(dims):
        raise ShapeError(f"{what} take the dims {dims}; dims with sizes {dict(array.sizes)} came.")
    if 0 in array.shape:
        raise ShapeError(f"{what} need at least one place along each dim; sizes {dict(array.sizes)} came.")
    finite(array.to_numpy(), what)
    return array.transpose(*dims)


def same_places(first: xr.DataArray, second: xr.DataArray, what: str) -> None:
    """Make sure that two arrays have the same length, and the same coordinates, along each dim they share.

    Raises:
        ShapeError: they are about different places, so that comparing them would be meaningless.
    """
    for dim in first.dims:
        if dim not in second.dims:
            continue
        if first.sizes[dim] != second.sizes[dim]:
            raise ShapeError(
                f"{what} differ along {dim!r}: {first.sizes[dim]} and {second.sizes[dim]} places came."
            )
        if dim not in first.coords or dim not in second.coords:
            continue
        ours, theirs = first[dim].to_numpy(), second[dim].to_numpy()
        numeric = np.issubdtype(ours.dtype, np.number) and np.issubdtype(theirs.dtype, np.number)
        if not (np.allclose(ours, theirs) if numeric else np.array_equal(ours, theirs)):
            raise ShapeError(f"{what} have other coordinates along {dim!r}: {ours} and {theirs} came.")


def finite(values: np.ndarray, what: str) -> None:
    """Refuse NaN and infinity, which no picture can show.

    Raises:
        SettingError: a value is not finite; the message says how many are not.
    """
    count = int(np.size(values) - np.isfinite(values).sum())
    if count:
        raise SettingError(
            f"{what} hold {count} values of {np.size(values)} that are NaN or infinite; "
            f"a picture needs finite ones. Look for what made them before drawing."
        )


def share(count: int, total: int) -> str:
    """How many of `total`, with the percentage where it says something: "none", "3", "65 (8%)"."""
    return f"{count} ({count / total:.0%})" if count / total >= 0.01 else str(count or "none")


def at(label: str, value: float) -> str:
    """A coordinate in words: "hue (degrees)" at 30 reads "hue 30 degrees", "value" at 1 reads "value 1"."""
    noun, _, unit = label.removesuffix(")").partition(" (")
    return f"{noun} {number(value, 3)} {unit}".rstrip()
