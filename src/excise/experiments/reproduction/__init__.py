"""Our figures beside the published ones, row by row, with a verdict.

`reproduce` runs what the published figures are of (or takes it where it lies finished), and `Reproduction` holds the
comparison: criteria in `criteria`, rows in `of_runs`, `of_sweeps` and `of_colors`.
"""

from excise.experiments.reproduction.criteria import LEVEL, Verdict
from excise.experiments.reproduction.parts import Part, parts_of
from excise.experiments.reproduction.reproduce import (
    Carried,
    Reproduction,
    open_reproduction_path,
    read_reproduction,
    reproduce,
)
from excise.experiments.reproduction.rows import Row, Section

__all__ = [
    "LEVEL",
    "Carried",
    "Part",
    "Reproduction",
    "Row",
    "Section",
    "Verdict",
    "open_reproduction_path",
    "parts_of",
    "read_reproduction",
    "reproduce",
]
