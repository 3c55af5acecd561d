"""What each library holds after a run, read back with the library itself: wandb offline, TensorBoard, MLflow."""

import contextlib
import csv
import io
import json
import sqlite3
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from excise.trackers import Ended, Tracked, Tracking, make_trackers
from wandb_file import read_wandb_file

Rows = list[dict[str, float]]

ALT = "The loss falls to a fifth."


@pytest.fixture(scope="module")
def folder(run: Tracked, rows: Rows, end: Ended) -> Path:
    """The run directory after all three were told of the run at once."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("WANDB_MODE", "offline")
        for name in ("WANDB_DIR", "WANDB_DATA_DIR", "MLFLOW_TRACKING_URI"):
            patched.delenv(name, raising=False)
        with (
            warnings.catch_warnings(action="error"),
            Tracking(make_trackers(["wandb", "tensorboard", "mlflow"]), patience=120) as tracking,
        ):
            tracking.start(run)
            for row in rows:
                tracking.log(row)
            tracking.hand_over(numbers=end.numbers, tables=end.tables, figures=end.figures)
    return run.path


def test_each_writes_into_its_own_folder_of_the_run_and_prints_nothing(folder: Path):
    assert {path.name for path in folder.iterdir()} == {"figures", "wandb", "tensorboard"}
    assert {path.name for path in folder.parent.parent.iterdir()} == {"2.6", "mlflow", "mlflow.db"}


class Offline:
    """An offline run of wandb: its files and what its log holds."""

    def __init__(self, folder: Path) -> None:
        (self.folder,) = (folder / "wandb").glob("offline-run-*")
        (log,) = self.folder.glob("*.wandb")
        self.records = read_wandb_file(log)

    def of(self, kind: str) -> list[Any]:
        return [getattr(record, kind) for record in self.records if record.WhichOneof("record_type") == kind]

    @staticmethod
    def values(items: Any) -> dict[str, Any]:
        """By name, and where wandb wrote the parts of a value, "name.part"."""
        return {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in items}


@pytest.fixture(scope="module")
def offline(folder: Path) -> Offline:
    return Offline(folder)


def test_wandb_offline_holds_config_and_the_schedule(offline: Offline, run: Tracked):
    (begun,) = offline.of("run")
    assert (begun.project, begun.display_name, begun.run_group) == ("excise", "2.6 first", "2.6")
    config = offline.values(begun.config.update)
    assert {key: config[key] for key in run.config} == run.config
    assert config["seeds"] == [3]
    assert config["environment"] == {"python": "3.11"}
    assert (offline.folder / "files" / "dopesheet.csv").read_text() == run.dopesheet
    assert run.schedule is not None
    written = list(csv.reader(io.StringIO((offline.folder / "files" / "schedule.csv").read_text())))
    assert written == [list(run.schedule.columns), *(list(map(str, row)) for row in run.schedule.rows)]


def test_wandb_offline_holds_every_number_of_every_step(offline: Offline, rows: Rows):
    logged = [offline.values(history.item) for history in offline.of("history")]
    kept = [{key: row[key] for key in rows[0]} for row in logged if "loss" in row]
    assert kept == rows
    assert [row["_step"] for row in logged if "loss" in row] == [row["step"] for row in rows]


def test_wandb_offline_holds_the_final_table_the_figures_and_how_the_run_ended(
    offline: Offline, end: Ended, folder: Path
):
    last = next(
        values
        for history in offline.of("history")
        if "tables/errors.path" in (values := offline.values(history.item))
    )
    table = json.loads((offline.folder / "files" / last["tables/errors.path"]).read_text())
    assert table["columns"] == ["error", "baseline", "ablated"]
    assert table["data"] == [["max_mse", 0.5, 0.25], ["red", None, 0.125]]
    for key, file in (("figures/training", "training.png"), ("figures/training (dark)", "training.dark.png")):
        assert last[f"{key}.caption"] == ALT
        picture = offline.folder / "files" / last[f"{key}.path"]
        assert picture.read_bytes() == (folder / "figures" / file).read_bytes()
    summary: dict[str, Any] = {}
    for told in offline.of("summary"):
        summary |= offline.values(told.update)
    assert summary["ablated.max_mse"] == 0.25
    assert summary["status"] == "finished"
    assert [exited.exit_code for exited in offline.of("exit")] == [0]


def test_tensorboard_reads_back_every_scalar_figure_and_text(folder: Path, rows: Rows, run: Tracked):
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # Of its protobuf modules.
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        events = EventAccumulator(str(folder / "tensorboard"), size_guidance={"scalars": 0, "tensors": 0})
        events.Reload()
    for key in ("loss", "term/unit"):
        read = [(event.step, event.value) for event in events.Scalars(key)]
        assert read == [(row["step"], pytest.approx(row[key])) for row in rows]
    assert [event.value for event in events.Scalars("schedule/lr")] == pytest.approx(
        [0.1, 0.125, 0.15, 0.175, 0.2]
    )
    assert [event.value for event in events.Scalars("results/ablated.max_mse")] == [0.25]
    for name in ("training", "training.dark"):
        (image,) = events.Images(f"figures/{name}")
        assert image.encoded_image_string == (folder / "figures" / f"{name}.png").read_bytes()
        assert (image.width, image.height) == (1, 1)
    texts = {
        key.removesuffix("/text_summary"): events.Tensors(key)[0].tensor_proto.string_val[0].decode()
        for key in events.Tags()["tensors"]
    }
    assert texts["figures/training"] == ALT
    assert texts["status"] == "finished"
    assert "| max_mse | 0.5 | 0.25 |" in texts["tables/errors"]
    assert '"title": "Delete warmth"' in texts["config"]
    assert "    4,0.2" in texts["dopesheet"]
    assert events.Tags()["tensors"]


def test_mlflow_reads_back_metrics_parameters_and_artifacts(folder: Path, rows: Rows, run: Tracked):
    with warnings.catch_warnings(action="ignore"):  # What MLflow's own dependencies deprecate.
        from mlflow.tracking import MlflowClient

        client = MlflowClient(f"sqlite:///{folder.parent.parent / 'mlflow.db'}")
        experiment = client.get_experiment_by_name("excise 2.6")
        assert experiment is not None
        (found,) = client.search_runs([experiment.experiment_id])
        metrics: Mapping[str, list[Any]] = {
            key: client.get_metric_history(found.info.run_id, key) for key in ("loss", "term/unit")
        }
    assert (found.info.run_name, found.info.status) == ("2.6 first", "FINISHED")
    for key, history in metrics.items():
        read = sorted((metric.step, metric.value) for metric in history)
        assert read == [(row["step"], row[key]) for row in rows]
    assert found.data.metrics["ablated.max_mse"] == 0.25
    assert found.data.params["title"] == "Delete warmth"
    assert (found.data.params["grids.loss.1"], found.data.params["seeds"]) == ("3", "3")
    kept = folder.parent.parent / "mlflow" / found.info.run_id / "artifacts"
    assert json.loads((kept / "spec.json").read_text()) == run.config
    assert (kept / "dopesheet.csv").read_text() == run.dopesheet
    assert (kept / "schedule.csv").read_text().startswith("step,lr\n0,0.1\n")
    assert (kept / "tables" / "errors.csv").read_text().splitlines()[1] == "max_mse,0.5,0.25"
    assert json.loads((kept / "figures" / "alt.json").read_text()) == {"training": ALT}
    for name in ("training.png", "training.dark.png"):
        assert (kept / "figures" / name).read_bytes() == (folder / "figures" / name).read_bytes()


def test_runs_that_begin_together_share_a_database_that_none_of_them_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: Rows
):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    trackings = [Tracking(make_trackers(["mlflow"]), patience=120) for _ in range(3)]
    with warnings.catch_warnings(action="error"), contextlib.ExitStack() as stack:
        for count, tracking in enumerate(map(stack.enter_context, trackings)):
            path = tmp_path / f"run-{count}"
            path.mkdir()
            tracking.start(Tracked(name=path.name, recipe="2.6", path=path, shared=tmp_path))
            tracking.log(rows[0])
    with contextlib.closing(sqlite3.connect(tmp_path / "mlflow.db")) as database:
        ended = database.execute("select name, status from runs order by name").fetchall()
    assert ended == [(f"run-{count}", "FINISHED") for count in range(3)]
