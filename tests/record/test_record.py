import errno
import json
import subprocess
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn

from excise.errors import NonFiniteError, RunError
from excise.record import Record, new_run_path, open_run
from excise.record import record as record_module

SPEC = {"name": "tiny"}
FULL = OSError(errno.ENOSPC, "No space left on device")
RESULTS = {
    "recipe": "tiny",
    "seed": 0,
    "conditions": {"baseline": {"max_mse": 0.5, "median_mse": 0.1, "named_colors": {"red": 0.2}}},
    "claims": [
        {
            "claim": "c", "measured": 1.0, "passed": True, "holds": "at most", "threshold": 2.0,
            "threshold_is": "x", "details": {},
        }
    ],
}  # fmt: skip


def status_of(path: Path) -> dict[str, Any]:
    return json.loads((path / "status.json").read_text(encoding="utf-8"))


def arrays_of(count: int = 3):
    return xr.Dataset({"error": ("seed", np.arange(count, dtype=np.float32))}, coords={"seed": range(count)})


def assert_whole(path: Path):
    """No file is half-written: all JSON can be read and no temporary file is left."""
    for file in path.rglob("*.json"):
        json.loads(file.read_text(encoding="utf-8"))
    assert not list(path.rglob("*.tmp"))


def test_a_run_is_started_while_it_goes_and_finished_with_times_after(tmp_path: Path):
    with Record(tmp_path / "run", SPEC, {"seed": 3}):
        assert status_of(tmp_path / "run")["status"] == "started"
        assert "ended" not in status_of(tmp_path / "run")
    status = status_of(tmp_path / "run")
    assert status["status"] == "finished"
    started, ended = (datetime.fromisoformat(status[key]) for key in ("started", "ended"))
    assert started <= ended
    assert started.utcoffset() is not None
    run = open_run(tmp_path / "run")
    assert (run.spec, run.environment, run.status) == (SPEC, {"seed": 3}, status)


@pytest.mark.parametrize(
    ("error", "state", "reason"),
    [
        (KeyboardInterrupt(), "cancelled", None),
        (
            NonFiniteError("reg-unit", 7, float("nan")),
            "failed",
            "NonFiniteError: 'reg-unit' became nan at step 7.",
        ),
        (ZeroDivisionError("a defect of ours"), "failed", "ZeroDivisionError: a defect of ours"),
    ],
    ids=["interrupt", "non-finite", "defect"],
)
def test_a_run_that_ends_early_says_how_and_keeps_its_metrics(
    tmp_path: Path, error: BaseException, state: str, reason: str | None
):
    def run():
        with Record(tmp_path / "run", SPEC, {}) as record:
            record.log({"step": 0, "loss": 0.5})
            raise error

    with pytest.raises(type(error)):
        run()
    status = status_of(tmp_path / "run")
    assert status["status"] == state
    assert "ended" in status
    assert ("error" in status) == (reason is not None)
    assert status.get("error", "").startswith(reason or "")
    np.testing.assert_array_equal(open_run(tmp_path / "run").metrics()["loss"], [0.5])


def test_each_logged_step_is_one_line_on_disk_at_once(tmp_path: Path):
    with Record(tmp_path / "run", SPEC, {}) as record:
        for step in range(3):
            record.log({"step": step, "loss": step / 2, **({"term/a": 1.0} if step else {})})
            lines = (tmp_path / "run" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
            assert len(lines) == step + 1
        record.log({"step": 3, "loss": float("nan")})
    metrics = open_run(tmp_path / "run").metrics()
    np.testing.assert_array_equal(metrics["step"], [0, 1, 2, 3])
    np.testing.assert_array_equal(metrics["loss"], [0, 0.5, 1, np.nan])
    np.testing.assert_array_equal(metrics["term/a"], [np.nan, 1, 1, np.nan])
    assert "NaN" not in (tmp_path / "run" / "metrics.jsonl").read_text(encoding="utf-8")


def test_weights_results_and_arrays_are_read_back_as_they_were(tmp_path: Path):
    from safetensors.torch import load_model

    torch.manual_seed(0)
    model, other = nn.Linear(3, 2), nn.Linear(3, 2)
    assert not torch.equal(model.weight, other.weight)
    with Record(tmp_path / "run", SPEC, {}) as record:
        record.save_model(model)
        record.save_results(RESULTS, arrays_of())
    load_model(other, tmp_path / "run" / "model.safetensors")
    assert torch.equal(model.weight, other.weight)
    run = open_run(tmp_path / "run")
    assert run.results() == RESULTS
    assert run.sweep() is None
    xr.testing.assert_identical(run.arrays(), arrays_of())


def test_a_directory_that_holds_a_run_is_not_written_over_unless_it_is_resumed(tmp_path: Path):
    with Record(tmp_path, SPEC, {}):
        pass
    before = (tmp_path / "status.json").read_text(encoding="utf-8")
    with pytest.raises(RunError, match="holds a run already"):
        Record(tmp_path, SPEC, {})
    assert (tmp_path / "status.json").read_text(encoding="utf-8") == before
    with Record(tmp_path, SPEC, {}, resume=True):
        assert status_of(tmp_path)["status"] == "started"


def test_new_paths_do_not_exist_yet(tmp_path: Path):
    paths = []
    for _ in range(3):
        paths.append(new_run_path(tmp_path, "2.6", "seed0"))
        paths[-1].mkdir(parents=True)
    assert len(set(paths)) == 3
    assert {path.parent for path in paths} == {tmp_path / "2.6"}
    with pytest.raises(RunError, match="too long"):
        new_run_path(tmp_path / ("a" * 300), "2.6", "seed0")


@pytest.mark.parametrize("name", ["spec.json", "env.json"])
def test_a_disk_that_is_full_from_the_start_leaves_no_run_that_says_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
):
    write_text = Path.write_text

    def refuse(self: Path, *args: Any, **settings: Any):
        if name in self.name:
            raise FULL
        return write_text(self, *args, **settings)

    monkeypatch.setattr(Path, "write_text", refuse)
    with pytest.raises(RunError, match="No space left"):
        Record(tmp_path, SPEC, {})
    assert status_of(tmp_path)["status"] == "failed"
    assert_whole(tmp_path)


@pytest.mark.parametrize("resume", [False, True])
def test_when_nothing_new_can_be_written_the_status_goes_over_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resume: bool
):
    if resume:
        with Record(tmp_path, SPEC, {}):
            pass

    def refuse(*_args: Any):
        raise RunError("cannot write: No space left on device.")

    record = None if resume else Record(tmp_path, SPEC, {})
    monkeypatch.setattr(record_module, "write_json", refuse)
    with pytest.raises(RunError, match="No space left"), record or Record(tmp_path, SPEC, {}, resume=True):
        raise RunError("cannot write results.json: No space left on device.")
    assert status_of(tmp_path)["status"] == "failed"
    assert "ended" in status_of(tmp_path)


def test_metrics_that_cannot_be_written_to_the_end_make_the_run_fail(tmp_path: Path):
    record = Record(tmp_path, SPEC, {})
    record.log({"step": 0})
    stream = record._metrics
    assert stream is not None

    class Full:
        def close(self):
            stream.close()
            raise FULL

    record._metrics = Full()  # pyright: ignore[reportAttributeAccessIssue] - a stand-in
    with pytest.raises(RunError, match=r"metrics\.jsonl"), record:
        pass
    assert status_of(tmp_path)["status"] == "failed"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    try:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(folder)],
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError as error:
        pytest.skip(f"mounting a small disk takes root and `mount`: {error}")
    if mounted.returncode:
        pytest.skip(f"mounting a small disk is not allowed here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def log_too_much(record: Record):
    for step in range(100, 100_000):
        record.log({"step": step, "loss": 0.5})


@pytest.mark.parametrize(
    "fill",
    [
        log_too_much,
        lambda record: record.save_model(nn.Linear(1000, 100)),
        lambda record: record.save_results(RESULTS, arrays_of(100_000)),
        lambda record: record.save_results({**RESULTS, "more": ["text"] * 100_000}, arrays_of()),
    ],
    ids=["metrics", "model", "arrays", "results"],
)
def test_a_full_disk_fails_the_run_and_keeps_what_was_written(
    small_disk: Path, fill: Callable[[Record], None]
):
    path = small_disk / "run"

    def run():
        with Record(path, SPEC, {}) as record:
            for step in range(100):
                record.log({"step": step, "loss": 0.5})
            fill(record)

    with pytest.raises(RunError, match="No space left"):
        run()
    assert status_of(path)["status"] == "failed"
    assert_whole(path)
    steps = open_run(path).metrics()["step"]
    assert len(steps) >= 100
    np.testing.assert_array_equal(steps, np.arange(len(steps)))
    assert not (path / "results.json").exists()


DAMAGES = {
    "half": '{"format": 1',
    "list": "[]",
    "number": "3",
    "empty": "{}",
}


@pytest.mark.parametrize("name", ["status.json", "spec.json", "env.json"])
@pytest.mark.parametrize("damage", ["half", "list", "number"])
def test_a_damaged_file_is_named_when_a_run_is_opened(tmp_path: Path, name: str, damage: str):
    with Record(tmp_path, SPEC, {}):
        pass
    open_run(tmp_path)
    (tmp_path / name).write_text(DAMAGES[damage], encoding="utf-8")
    with pytest.raises(RunError, match=name):
        open_run(tmp_path)


@pytest.mark.parametrize(
    "damage",
    [
        *DAMAGES.values(),
        json.dumps(RESULTS | {"conditions": {"baseline": {}}}),
        json.dumps(
            RESULTS | {"conditions": {"baseline": {"max_mse": "a", "median_mse": 1, "named_colors": {}}}}
        ),
        json.dumps(RESULTS | {"claims": [{"claim": "c"}]}),
    ],
    ids=[*DAMAGES, "no-numbers", "text-for-number", "half-claim"],
)
def test_damaged_results_are_named_when_they_are_read(tmp_path: Path, damage: str):
    with Record(tmp_path, SPEC, {}) as record:
        record.save_results(RESULTS, arrays_of())
    (tmp_path / "results.json").write_text(damage, encoding="utf-8")
    with pytest.raises(RunError, match=r"results\.json"):
        open_run(tmp_path).results()
    (tmp_path / "sweep.json").write_text(damage, encoding="utf-8")
    with pytest.raises(RunError, match=r"sweep\.json"):
        open_run(tmp_path).sweep()


def test_damaged_arrays_are_named_when_they_are_read(tmp_path: Path):
    with Record(tmp_path, SPEC, {}) as record:
        record.save_results(RESULTS, arrays_of(1000))
    whole = (tmp_path / "results.nc").read_bytes()
    for damage in (b"", b"CDF\x02", b"no netCDF at all", whole[: len(whole) // 2]):
        (tmp_path / "results.nc").write_bytes(damage)
        with pytest.raises(RunError, match=r"results\.nc"):
            open_run(tmp_path).arrays()


@pytest.mark.parametrize(
    "line", ["{", "[1]", '{"step": "a"}', "\udcff\udcfe"], ids=["half", "list", "text", "binary"]
)
def test_of_the_metrics_only_an_unfinished_last_line_is_forgiven(tmp_path: Path, line: str):
    with Record(tmp_path, SPEC, {}) as record:
        record.log({"step": 0})
    path = tmp_path / "metrics.jsonl"
    good = path.read_bytes()
    path.write_bytes(good + line.encode(errors="surrogateescape"))
    np.testing.assert_array_equal(open_run(tmp_path).metrics()["step"], [0])
    path.write_bytes(good + line.encode(errors="surrogateescape") + b"\n" + good)
    with pytest.raises(RunError, match=r"metrics\.jsonl, line 2"):
        open_run(tmp_path).metrics()


def test_a_path_without_a_run_an_unfinished_run_and_another_layout_are_told_apart(tmp_path: Path):
    with pytest.raises(RunError, match="is not a run directory"):
        open_run(tmp_path)
    Record(tmp_path, SPEC, {})
    with pytest.raises(RunError, match=r"no results\.json: the run's status is 'started'"):
        open_run(tmp_path).results()
    (tmp_path / "status.json").write_text(json.dumps(status_of(tmp_path) | {"format": 2}), encoding="utf-8")
    with pytest.raises(RunError, match="has layout 2"):
        open_run(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="is not a run directory"):
        open_run(tmp_path / "file")
    with pytest.raises(RunError, match="too long"):
        open_run(tmp_path / ("a" * 300))


ROW = {"seed": 1, "run": "seed-1", "passed": True, "failed_claims": [], "ablated.max_mse": 0.3}
SWEEP = {
    "recipe": "tiny", "rows": [ROW, {"seed": 2, "failed": "lost"}], "claims": [], "passed": 1, "chosen": 1,
    "summary": {"ablated.max_mse": {"median": 0.3, "min": 0.3, "max": 0.3, "sd": None}},
}  # fmt: skip


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"seed": 1}, "rows.0.*Field required"),
        (ROW | {"failed_claims": None}, "failed_claims"),
        ({"seed": 1, "failed": 1}, "valid string"),
        (
            {key: value for key, value in ROW.items() if "mse" not in key},
            "seed 1 has no number 'ablated.max_mse'",
        ),
        (ROW | {"ablated.max_mse": "a"}, "seed 1 has no number 'ablated.max_mse'"),
    ],
    ids=["bare", "null-claims", "number-for-reason", "no-number", "text-for-number"],
)
def test_a_damaged_row_of_a_sweep_is_named(tmp_path: Path, row: dict[str, Any], says: str):
    with Record(tmp_path, SPEC, {}):
        pass
    (tmp_path / "sweep.json").write_text(json.dumps(SWEEP), encoding="utf-8")
    assert open_run(tmp_path).sweep() == SWEEP
    (tmp_path / "sweep.json").write_text(json.dumps(SWEEP | {"rows": [row]}), encoding="utf-8")
    with pytest.raises(RunError, match=says):
        open_run(tmp_path).sweep()


@pytest.mark.parametrize(
    "damage", [{"seeds": 3}, {"seeds": None}, {"packages": None}, {"seed": "0"}], ids=str
)
def test_a_damaged_environment_is_named(tmp_path: Path, damage: dict[str, Any]):
    with Record(tmp_path, SPEC, {"seed": 0}):
        pass
    (tmp_path / "env.json").write_text(json.dumps({"seed": 0} | damage), encoding="utf-8")
    with pytest.raises(RunError, match=r"env\.json is damaged: " + next(iter(damage))):
        open_run(tmp_path)


def test_a_status_that_no_run_has_is_refused(tmp_path: Path):
    with Record(tmp_path, SPEC, {}):
        pass
    (tmp_path / "status.json").write_text(
        json.dumps(status_of(tmp_path) | {"status": "bogus"}), encoding="utf-8"
    )
    with pytest.raises(RunError, match=r"status\.json is damaged: status"):
        open_run(tmp_path)


def test_metrics_that_are_missing_or_empty_are_named(tmp_path: Path):
    with Record(tmp_path, SPEC, {}):
        pass
    with pytest.raises(RunError, match=r"no metrics\.jsonl"):
        open_run(tmp_path).metrics()
    (tmp_path / "metrics.jsonl").touch()
    with pytest.raises(RunError, match="holds no logged step"):
        open_run(tmp_path).metrics()


def test_a_resumed_run_keeps_when_it_was_started_and_weights_are_as_readable_as_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    hours = (f"2026-01-01T{hour:02d}:00:00.000+00:00" for hour in range(24))
    monkeypatch.setattr("excise.record.record._now", lambda: next(hours))
    with Record(tmp_path, SPEC, {}):
        first = status_of(tmp_path)["started"]
    with Record(tmp_path, SPEC, {}, resume=True) as record:
        record.save_model(nn.Linear(3, 2))
    status = status_of(tmp_path)
    assert status["started"] == first < status["continued"]
    modes = {(tmp_path / name).stat().st_mode for name in ("status.json", "model.safetensors")}
    assert len(modes) == 1
