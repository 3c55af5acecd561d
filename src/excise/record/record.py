"""The run directory: what one execution of a recipe was, did and found, readable without us.

```
spec.json  env.json  status.json  metrics.jsonl  model.safetensors  results.json  results.nc  figures/  report.html
```

`Record` writes one as the run goes; as a context manager it keeps `status.json` true: started, then finished,
failed (with the reason) or cancelled. `open_run` reads one, and never writes.
"""

import contextlib
import json
import shutil
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from excise.errors import RunError
from excise.record.files import read_json, strict, write_atomically, write_json
from excise.record.layout import EnvironmentFile, ResultsFile, StatusFile, SweepFile, TableFile, check_layout

if TYPE_CHECKING:
    import xarray as xr
    from torch import nn

__all__ = ["FORMAT", "Record", "Run", "new_run_path", "open_run", "save_arrays"]

FORMAT = 1
"""The version of the run directory's layout, in `status.json`."""


class Record(AbstractContextManager["Record", None]):
    """Writes a run directory as the run goes.

    Args:
        path: the directory; it is made, and must not hold a run yet.
        spec: the frozen recipe as JSON-ready data.
        environment: what the run runs on.
        resume: True goes on in a directory that holds an unfinished run.

    Raises:
        RunError: the directory cannot be made or written, or holds a run already.
    """

    def __init__(
        self, path: Path, spec: object, environment: Mapping[str, object], *, resume: bool = False
    ) -> None:
        self.path = path
        self._metrics: IO[str] | None = None
        self._status: dict[str, object] = {"format": FORMAT, "status": "started", "started": _now()}
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(
                f"cannot make the run directory {path}: {error.strerror or error}. "
                f"Choose a directory that you can write to with --out."
            ) from error
        if (path / "status.json").exists():
            if not resume:
                raise RunError(f"{path} holds a run already; choose another directory.")
            before = check_layout(read_json(path / "status.json"), StatusFile, path / "status.json")
            self._status |= {"started": before["started"], "continued": _now()}
        self._write_status()
        try:
            write_json(path / "spec.json", spec)
            write_json(path / "env.json", environment)
        except BaseException as error:
            self._end(error)
            raise

    def log(self, row: Mapping[str, float]) -> None:
        """Append one logged step to `metrics.jsonl`; it is with the operating system when this returns.

        Raises:
            RunError: the line cannot be written.
        """
        try:
            if self._metrics is None:
                self._metrics = (self.path / "metrics.jsonl").open("a", encoding="utf-8")
            self._metrics.write(json.dumps(strict(dict(row)), allow_nan=False) + "\n")
            self._metrics.flush()
        except OSError as error:
            raise RunError(
                f"cannot write {self.path / 'metrics.jsonl'}: {error.strerror or error}."
            ) from error

    def save_model(self, model: "nn.Module") -> None:
        """Write the weights to `model.safetensors`.

        Raises:
            RunError: the file cannot be written.
        """
        from safetensors import SafetensorError
        from safetensors.torch import save_model

        def write(path: Path) -> None:
            try:
                save_model(model, str(path))
            except SafetensorError as error:
                raise OSError(str(error)) from error
            # safetensors writes for the owner alone; weights are as readable as the rest of the run.
            shutil.copymode(self.path / "status.json", path)

        write_atomically(self.path / "model.safetensors", write)

    def save_results(self, results: Mapping[str, object], arrays: "xr.Dataset | None" = None) -> None:
        """Write the numbers to `results.json` and the labelled arrays, if any, to `results.nc`.

        Raises:
            RunError: a file cannot be written.
        """
        if arrays is not None:
            save_arrays(self.path, arrays)
        write_json(self.path / "results.json", results)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the run: finished, failed or cancelled.

        Raises:
            RunError: the block ended well, but its last lines of `metrics.jsonl` or the status cannot be written.
        """
        unwritten: RunError | None = None
        if self._metrics is not None:
            try:
                self._metrics.close()
            except OSError as closing:
                unwritten = RunError(f"cannot write {self.path / 'metrics.jsonl'}: {closing.strerror}.")
        self._end(error or unwritten)
        if error is None and unwritten is not None:
            raise unwritten

    def _end(self, error: BaseException | None) -> None:
        """Say in the status how the run ended; an error that is under way is not covered up by another."""
        self._status["ended"] = _now()
        if error is None:
            self._status["status"] = "finished"
            self._write_status()
            return
        if isinstance(error, KeyboardInterrupt):
            self._status["status"] = "cancelled"
        else:
            self._status["status"] = "failed"
            self._status["error"] = f"{type(error).__name__}: {error}"
        with contextlib.suppress(OSError):
            self._write_status()

    def _write_status(self) -> None:
        """Write the status; on a full disk, over the bytes of the old one, which need no new space."""
        path = self.path / "status.json"
        try:
            write_json(path, self._status)
        except RunError:
            if not path.exists():
                raise
            short = {key: value for key, value in self._status.items() if key != "error"}
            text = json.dumps(short).ljust(path.stat().st_size)
            try:
                with path.open("r+b", buffering=0) as file:
                    file.write(text.encode())
                    file.truncate()
            except OSError as error:
                raise RunError(f"cannot write {path}: {error.strerror or error}.") from error


def save_arrays(path: Path, arrays: "xr.Dataset") -> None:
    """Write labelled arrays to the `results.nc` of the run directory `path`.

    Raises:
        RunError: the file cannot be written.
    """
    write_atomically(
        path / "results.nc",
        lambda file: arrays.to_netcdf(file, engine="scipy", format="NETCDF3_64BIT"),
    )


@dataclass(frozen=True)
class Run:
    """A run directory, for reading.

    Attributes:
        path: where it is.
        spec: the recipe as it was run.
        status: "started", "finished", "failed" or "cancelled", with times.
        environment: what it ran on.
    """

    path: Path
    spec: dict[str, Any]
    status: dict[str, Any]
    environment: dict[str, Any]

    def results(self) -> dict[str, Any]:
        """The numbers of `results.json`.

        Raises:
            RunError: the run has none, because it did not finish, or they cannot be read.
        """
        self._require("results.json")
        path = self.path / "results.json"
        return check_layout(read_json(path), ResultsFile, path)

    def sweep(self) -> dict[str, Any] | None:
        """The content of `sweep.json`; None when this is a run of one seed.

        Raises:
            RunError: the file cannot be read.
        """
        path = self.path / "sweep.json"
        return check_layout(read_json(path), SweepFile, path) if path.exists() else None

    def arrays(self) -> "xr.Dataset":
        """The labelled arrays of `results.nc`, in memory.

        Raises:
            RunError: the run has none or they cannot be read.
        """
        import xarray as xr

        self._require("results.nc")
        try:
            with xr.open_dataset(self.path / "results.nc", engine="scipy") as arrays:
                return arrays.load()
        except Exception as error:  # the reader checks little: a damaged file can make it raise anything
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise RunError(f"cannot read {self.path / 'results.nc'}: {reason}") from error

    def metrics(self) -> dict[str, np.ndarray]:
        """What was logged: each key a float64 array `[logged]`, NaN where a step lacks it.

        Raises:
            RunError: there is no such file, no step was logged, or a line other than an unfinished last one is
                not JSON.
        """
        self._require("metrics.jsonl")
        path = self.path / "metrics.jsonl"
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        rows: list[dict[str, float]] = []
        for number, line in enumerate(lines, start=1):
            try:
                rows.append({key: np.nan if x is None else float(x) for key, x in json.loads(line).items()})
            except (ValueError, TypeError, AttributeError) as error:
                if number < len(lines):
                    raise RunError(f"{path}, line {number}, is no JSON table of numbers: {error}.") from error
        if not rows:
            raise RunError(f"{path} holds no logged step.")
        keys = dict.fromkeys(key for row in rows for key in row)
        return {key: np.array([row.get(key, np.nan) for row in rows], dtype=float) for key in keys}

    def _require(self, name: str) -> None:
        if not (self.path / name).exists():
            state = self.status.get("status", "unknown")
            raise RunError(f"{self.path} has no {name}: the run's status is {state!r}. Run the recipe again.")


def open_run(path: Path) -> Run:
    """Open a run directory for reading.

    Raises:
        RunError: there is no run at that path, it cannot be read, or its layout is of another version.
    """
    if not _exists(path / "status.json"):
        raise RunError(
            f"{path} is not a run directory: it has no status.json. A run is at runs/<recipe>/<run id>."
        )
    status = check_layout(read_json(path / "status.json"), StatusFile, path / "status.json")
    if status["format"] != FORMAT:
        raise RunError(
            f"{path} has layout {status['format']}, this version of excise reads layout {FORMAT}; "
            f"open it with the version named in its env.json."
        )
    tables = {"spec.json": TableFile, "env.json": EnvironmentFile}
    spec, environment = (
        check_layout(read_json(path / name), layout, path / name) for name, layout in tables.items()
    )
    return Run(path, spec, status, environment)


def new_run_path(out: Path, recipe: str, what: str) -> Path:
    """A path for a new run, `out/recipe/<time>-<what>`, that does not exist yet.

    Raises:
        RunError: nothing can be at such a path.
    """
    stem = f"{datetime.now():%Y%m%d-%H%M%S}-{what}"
    path = out / recipe / stem
    count = 2
    while _exists(path):
        path = out / recipe / f"{stem}-{count}"
        count += 1
    return path


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:
        raise RunError(f"cannot look at {path}: {error.strerror or error}.") from error


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
