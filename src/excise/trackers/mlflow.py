"""MLflow (`--track mlflow`): metrics, parameters and figures in a local SQLite file, or where MLFLOW_TRACKING_URI says.

MLflow rather than trackio, which brings gradio, whose pinned versions conflict with those of the other extras; the
part that is installed, mlflow-skinny, has no server and no data science packages. The file is `mlflow.db` in the
folder of all runs; `mlflow ui --backend-store-uri sqlite:///runs/mlflow.db` shows it, from a full MLflow.
"""

import contextlib
import logging
import os
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from excise.extras import require
from excise.trackers.base import Ended, Tracked, as_csv, flat

__all__ = ["MLflowTracker"]

_LONGEST_PARAMETER = 500
"""Characters that every version of MLflow takes; what is longer is in `spec.json` among the artifacts."""

_EVERY = 1.0
"""Seconds between two writes: a transaction a row would take longer than the training."""

_MOST_AT_ONCE = 1000
_MOST_PARAMETERS_AT_ONCE = 100
"""What MLflow takes in one call."""


class MLflowTracker:
    """Tells a run to MLflow."""

    name = "mlflow"

    def start(self, run: Tracked) -> None:
        """Open the store, make the recipe's experiment if it is not there, and begin a run in it."""
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_ENABLE_ASYNC_LOGGING", "false")
        require("mlflow-skinny", "tracking with MLflow")
        from mlflow.entities import Metric, Param, RunTag
        from mlflow.tracking import MlflowClient

        logging.getLogger("mlflow").setLevel(logging.WARNING)
        self._metric = Metric
        folder = (run.shared or run.path).resolve()
        asked = os.environ.get("MLFLOW_TRACKING_URI")
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or f"excise {run.recipe}"
        with contextlib.nullcontext() if asked else _alone(folder / "mlflow"):
            self._client: Any = MlflowClient(asked or f"sqlite:///{folder / 'mlflow.db'}")
            experiment = self._experiment(name, None if asked else folder)
        self._id: str = self._client.create_run(experiment, run_name=run.name).info.run_id
        self._waiting: list[Any] = []
        self._wrote = time.monotonic()
        settings = {**flat(run.config), "seeds": " ".join(map(str, run.seeds))}
        parameters = [
            Param(name, str(value))
            for name, value in settings.items()
            if len(str(value)) <= _LONGEST_PARAMETER
        ]
        for start in range(0, len(parameters), _MOST_PARAMETERS_AT_ONCE):
            self._client.log_batch(self._id, params=parameters[start : start + _MOST_PARAMETERS_AT_ONCE])
        self._client.log_batch(self._id, tags=[RunTag("run directory", str(run.path))])
        self._client.log_dict(self._id, dict(run.config), "spec.json")
        self._client.log_dict(self._id, dict(run.environment), "env.json")
        if run.dopesheet:
            self._client.log_text(self._id, run.dopesheet, "dopesheet.csv")
        if run.schedule is not None:
            self._client.log_text(self._id, as_csv(run.schedule), "schedule.csv")

    def log(self, row: Mapping[str, float]) -> None:
        """Log the step's numbers at that step, with others of the same second."""
        step, now = int(row["step"]), int(time.time() * 1000)
        self._waiting += [
            self._metric(name, value, now, step) for name, value in row.items() if name != "step"
        ]
        if time.monotonic() - self._wrote > _EVERY:
            self._write()

    def finish(self, end: Ended) -> None:
        """Log results, tables and figures with their alternative texts, and end the run."""
        now = int(time.time() * 1000)
        self._waiting += [self._metric(name, value, now, 0) for name, value in end.numbers.items()]
        self._write()
        for table in end.tables:
            self._client.log_text(self._id, as_csv(table), f"tables/{table.name}.csv")
        for figure in end.figures:
            for path in filter(None, (figure.light, figure.dark)):
                self._client.log_artifact(self._id, str(path), "figures")
        if end.figures:
            self._client.log_dict(
                self._id, {figure.name: figure.alt for figure in end.figures}, "figures/alt.json"
            )
        if end.error:
            self._client.set_tag(self._id, "error", end.error)
        states = {"finished": "FINISHED", "failed": "FAILED", "cancelled": "KILLED"}
        self._client.set_terminated(self._id, states[end.status])

    def _experiment(self, name: str, folder: Path | None) -> str:
        found = self._client.get_experiment_by_name(name)
        if found is not None:
            return found.experiment_id
        place = None if folder is None else (folder / "mlflow").as_uri()
        return self._client.create_experiment(name, artifact_location=place)

    def _write(self) -> None:
        for start in range(0, len(self._waiting), _MOST_AT_ONCE):
            self._client.log_batch(self._id, metrics=self._waiting[start : start + _MOST_AT_ONCE])
        self._waiting = []
        self._wrote = time.monotonic()


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the folder, so that of runs that begin together one makes the tables and the others find them made."""
    folder.mkdir(parents=True, exist_ok=True)
    if sys.platform == "win32":
        yield
        return
    import fcntl

    held = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # This file system has no locks.
            fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)
