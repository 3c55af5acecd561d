"""TensorBoard (`--track tensorboard`): scalars, figures, settings and tables, in the run's folder `tensorboard`.

They are written by tensorboardX, which needs neither TensorFlow nor torch. `tensorboard --logdir runs` shows all runs.
"""

import importlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from excise.extras import require
from excise.trackers.base import Cell, Ended, Figure, Table, Tracked, flat

__all__ = ["TensorBoardTracker"]


class TensorBoardTracker:
    """Writes a run's events for TensorBoard."""

    name = "tensorboard"

    def start(self, run: Tracked) -> None:
        """Open the file of events, and write the settings and the schedule."""
        package = require("tensorboardX", "tracking with TensorBoard")
        self._writer: Any = package.SummaryWriter(str(run.path / "tensorboard"))
        self._step = 0
        self._config = {name: cell for name, cell in flat(run.config).items() if name != "dopesheet"}
        self._writer.add_text("config", _as_code(json.dumps(run.config, indent=1, ensure_ascii=False)), 0)
        self._writer.add_text("environment", _as_code(json.dumps(run.environment, indent=1)), 0)
        if run.dopesheet:
            self._writer.add_text("dopesheet", _as_code(run.dopesheet), 0)
        if run.schedule is not None:
            for row in run.schedule.rows:
                for name, value in zip(run.schedule.columns[1:], row[1:], strict=True):
                    self._writer.add_scalar(f"schedule/{name}", value, row[0])

    def log(self, row: Mapping[str, float]) -> None:
        """Write each number as a scalar at that step."""
        self._step = int(row["step"])
        for name, value in row.items():
            if name != "step":
                self._writer.add_scalar(name, value, self._step)

    def finish(self, end: Ended) -> None:
        """Write results, tables and figures, and close the file."""
        for table in end.tables:
            self._writer.add_text(f"tables/{table.name}", _as_markdown(table), self._step)
        for figure in end.figures:
            self._write_figure(figure)
        self._writer.add_text("status", f"{end.status} {end.error}".strip(), self._step)
        for name, value in end.numbers.items():
            self._writer.add_scalar(f"results/{name}", value, self._step)
        self._write_hparams(end.numbers)
        self._writer.close()

    def _write_figure(self, figure: Figure) -> None:
        """The file's own bytes as an image: nothing is decoded and drawn anew."""
        messages = importlib.import_module("tensorboardX.proto.summary_pb2")
        for name, path in ((figure.name, figure.light), (f"{figure.name}.dark", figure.dark)):
            if path is None:
                continue
            content = path.read_bytes()
            # A PNG's header holds width and height as big-endian integers at bytes 16 to 24.
            width, height = (int.from_bytes(content[start : start + 4], "big") for start in (16, 20))
            image = messages.Summary.Image(
                height=height, width=width, colorspace=4, encoded_image_string=content
            )
            value = messages.Summary.Value(tag=f"figures/{name}", image=image)
            self._writer.file_writer.add_summary(messages.Summary(value=[value]), self._step)
        self._writer.add_text(f"figures/{figure.name}", figure.alt, self._step)

    def _write_hparams(self, numbers: Mapping[str, float]) -> None:
        """Settings and results of the run, for the table over runs that TensorBoard shows."""
        from tensorboardX.summary import hparams

        settings = {name: "" if cell is None else cell for name, cell in self._config.items()}
        for summary in hparams(settings, {f"results/{name}": value for name, value in numbers.items()}):
            self._writer.file_writer.add_summary(summary)


def _as_code(text: str) -> str:
    """Text that Markdown leaves as it is: each line indented."""
    return "\n".join(f"    {line}" for line in text.splitlines())


def _as_markdown(table: Table) -> str:
    def line(cells: Sequence[Cell]) -> str:
        return f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in cells)} |"

    return "\n".join([line(table.columns), line(["---"] * len(table.columns)), *map(line, table.rows)])
