"""What several recipes share: thresholds, levels, and the schedules that lie beside the source."""

from importlib.resources import files

__all__ = ["KEPT", "LOST", "SAME", "dopesheet"]

LOST = 0.3
"""An error of at least this many times the reference level counts as a lost colour."""

KEPT = 0.15
"""An error of at most this many times the reference level counts as a kept colour."""

SAME = 1e-6
"""Outputs that differ by at most this count as the same function in float32."""


def dopesheet(name: str) -> str:
    """The schedule of an experiment, as text."""
    return (files("excise.experiments") / "dopesheets" / f"{name}.csv").read_text(encoding="utf-8")
