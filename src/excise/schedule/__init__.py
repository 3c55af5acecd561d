"""Schedules: a dopesheet holds keyframes as an animator writes them, a timeline the value at every step.

A training that shapes a model goes through stages: let the task be learned, pull a concept to its place, let
go. Weights and learning rate follow curves through a few keyframes. Animators write such curves as a
dopesheet, a table with a row for each moment and a column for each thing that moves. Here it is a CSV
file, which can be edited in a spreadsheet, compared in a diff and saved with the run:

```python
sheet = Dopesheet.read_csv("2.6.csv")
timeline = sheet.timeline()
timeline.table["reg-anchor"]    # float64 [num_steps], read-only
timeline.at(1500)               # {"lr": ..., "reg-anchor": ...}
timeline.retarget("lr", step=1500, value=1e-3, arrive=2000)
```

`Dopesheet.parse` reads the same from a text, and `Dopesheet.from_keyframes` from values in code. Steps are
optimiser steps, counted from 0; row i applies to weights and learning rate alike. A property moves with the
least jerk by default, so that it sets in and fades without a kink. The table is computed once, and a training
loop only looks values up. How a dopesheet is written is said in `excise.schedule.dopesheet`.
"""

from excise.schedule.dopesheet import Dopesheet
from excise.schedule.timeline import Phase, Timeline
from excise.schedule.track import Column

__all__ = ["Column", "Dopesheet", "Phase", "Timeline"]
