"""Which pictures a run that draws shapes has, made from its labelled arrays and nothing else."""

from dataclasses import replace

import numpy as np
import xarray as xr

from excise.figures import Picture, ring_maps, strength_lines, strength_lobes

__all__ = ["pictures_of_shapes"]


def pictures_of_shapes(arrays: xr.Dataset) -> list[Picture]:
    """Suppressions as lobes, as lines and on a ring of latents; repulsions as lines and on the ring."""
    pictures = []
    alignment = arrays["alignment"].to_numpy()
    toward = alignment >= 0
    note = " What points away, with an alignment below 0, is not shown: nothing happens there."
    if suppressions := _names(arrays, "suppression"):
        curves = [
            (name, alignment, arrays["strength"].sel(suppression=name).to_numpy()) for name in suppressions
        ]
        lines = strength_lines(
            [(name, alignment[toward], strength[toward]) for name, _, strength in curves],
            name="strength",
            title="Suppression: strength by alignment",
        )
        pictures += [
            strength_lobes(curves, name="lobes", title="Suppression: strength in every direction"),
            replace(lines, caption=lines.caption + note),
            _rings(arrays, suppressions, name="suppressed", title="Suppression: where latents go"),
        ]
    if repulsions := _names(arrays, "repulsion"):
        curves = [
            (name, alignment[toward], arrays["new_alignment"].sel(repulsion=name).to_numpy()[toward])
            for name in repulsions
        ]
        lines = strength_lines(
            curves,
            name="new-alignment",
            title="Repulsion: new alignment by old",
            ylabel="new alignment",
            identity=True,
        )
        pictures += [
            replace(lines, caption=lines.caption + note),
            _rings(arrays, repulsions, name="repelled", title="Repulsion: where latents go"),
        ]
    return pictures


def _rings(arrays: xr.Dataset, names: list[str], *, name: str, title: str) -> Picture:
    angle = arrays["angle"].to_numpy()
    rings: list[tuple[str, np.ndarray, np.ndarray]] = [
        (shape, angle, arrays["after"].sel(shape=shape).transpose("angle", "axis").to_numpy())
        for shape in names
    ]
    return ring_maps(rings, name=name, title=title)


def _names(arrays: xr.Dataset, dim: str) -> list[str]:
    return [str(name) for name in arrays[dim].to_numpy()]
