"""Whether an edit took what it should: does the error go with how much of the concept a sample has?"""

import numpy as np
import xarray as xr

from excise.errors import SettingError, ShapeError

__all__ = ["selectivity"]


def selectivity(
    error: xr.DataArray | np.ndarray, similarity: xr.DataArray | np.ndarray, power: float
) -> float:
    """How much of an edit's damage is explained by the concept that it should remove.

    It is the squared Pearson correlation between the error and similarity^power over all samples: the share of the
    error's variance that a straight line in similarity^power accounts for. At 1 the damage follows the concept
    alone; at 0 it has nothing to do with it. Neither the scale of the error nor its sign counts: look at the error
    itself to see that the concept is gone.

    Args:
        error: the edited model's error for each sample, of any shape.
        similarity: how much of the concept each sample has, at least 0, in the shape of the errors. Two labelled
            arrays are matched by the names of their dims, in whatever order these stand.
        power: above 0; the higher, the closer to the concept a sample must be for its damage to be expected.

    Returns:
        In [0, 1]. NaN where an error is not finite, or where all errors or all similarities^power are the same:
        what does not vary correlates with nothing.

    Raises:
        ShapeError: the two differ in shape, dims or coordinates, or have fewer than 3 samples.
        SettingError: the power is not above 0 and finite, or a similarity is negative or not finite.
    """
    if not 0 < power < np.inf:
        raise SettingError(f"selectivity takes a finite power above 0; {power} came.")
    errors, degrees = _matched(error, similarity)
    if errors.size < 3:
        raise ShapeError(f"selectivity takes at least 3 samples; {errors.size} came.")
    if not (np.isfinite(degrees) & (degrees >= 0)).all():
        raise SettingError("similarities are finite and at least 0; one that is not came.")
    if not np.isfinite(errors).all():
        return float("nan")
    # A correlation does not change with scale; dividing first keeps powers and squares of small numbers above 0.
    expected = (degrees / (degrees.max() or 1)) ** power
    if np.ptp(errors) == 0 or np.ptp(expected) == 0:
        return float("nan")
    correlation = float(_standard(errors) @ _standard(expected))
    return min(correlation**2, 1.0)


def _matched(
    error: xr.DataArray | np.ndarray, similarity: xr.DataArray | np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Both as flat float64 arrays, sample beside sample."""
    if isinstance(error, xr.DataArray) and isinstance(similarity, xr.DataArray):
        if set(error.dims) != set(similarity.dims):
            raise ShapeError(
                f"the errors have dims {error.dims}, the similarities {similarity.dims}; "
                f"each sample needs one of both."
            )
        similarity = similarity.transpose(*error.dims)
        try:
            xr.align(error, similarity, join="exact", copy=False)
        except ValueError as mismatch:
            raise ShapeError(
                f"the errors {dict(error.sizes)} and the similarities {dict(similarity.sizes)} "
                f"are of different samples: {mismatch}"
            ) from mismatch
    if error.shape != similarity.shape:
        raise ShapeError(
            f"selectivity takes a similarity for each error; {similarity.shape} came for {error.shape}."
        )
    errors, degrees = (np.asarray(each, dtype=np.float64).reshape(-1) for each in (error, similarity))
    return errors, degrees


def _standard(values: np.ndarray) -> np.ndarray:
    """Values that vary, moved to mean 0 and stretched to length 1."""
    centred = values - values.mean()
    centred = centred / np.abs(centred).max()
    return centred / np.linalg.norm(centred)
