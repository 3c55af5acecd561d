"""Weights & Biases (`--track wandb`): config, schedule, every logged number, final tables and figures.

`WANDB_MODE` and the other variables of wandb are honoured. Offline, the run folder below the run directory holds all
of it, and `wandb sync` uploads it later. wandb is asked to tell nothing of its own: neither of the machine nor of the
process, which is not the one that trains, nor errors to its makers, unless its variables say so.
"""

import configparser
import netrc
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from excise.errors import TrackerError, nearest
from excise.extras import require
from excise.trackers.base import Ended, Tracked, as_csv

__all__ = ["WandbTracker", "check_wandb"]

_MODES = ("online", "offline", "disabled", "shared", "run", "dryrun")
_LOCAL = ("offline", "disabled", "dryrun")


class WandbTracker:
    """Tells a run to Weights & Biases."""

    name = "wandb"

    def start(self, run: Tracked) -> None:
        """Begin a run of wandb, with its config and the schedule."""
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        folder = Path(os.environ.get("WANDB_DIR") or run.path)
        os.environ.setdefault(
            "WANDB_DATA_DIR", str(folder / "wandb" / "data")
        )  # else it is in the user's home
        self._wandb = require("wandb", "tracking with Weights & Biases")
        asked = os.environ.get
        self._run: Any = self._wandb.init(
            project=asked("WANDB_PROJECT") or "excise",
            name=asked("WANDB_NAME") or run.name,
            group=asked("WANDB_RUN_GROUP") or run.recipe,
            config={**run.config, "seeds": list(run.seeds), "environment": dict(run.environment)},
            dir=str(folder),
            settings=self._wandb.Settings(
                console="off",
                silent=True,
                disable_git=True,
                save_code=False,
                x_disable_meta=True,
                x_disable_stats=True,
                x_disable_machine_info=True,
                x_save_requirements=False,
            ),
        )
        self._run.define_metric("*", step_metric="step")
        if run.dopesheet:
            self._save("dopesheet.csv", run.dopesheet)
        if run.schedule is not None:
            self._save("schedule.csv", as_csv(run.schedule))

    def log(self, row: Mapping[str, float]) -> None:
        """Log the step's numbers at that step."""
        self._run.log(dict(row), step=int(row["step"]))

    def finish(self, end: Ended) -> None:
        """Log results, tables and figures, and close the run; one that failed or was cancelled is marked so."""
        image, table = self._wandb.Image, self._wandb.Table
        last: dict[str, Any] = {}
        for found in end.tables:
            last[f"tables/{found.name}"] = table(
                columns=list(found.columns), data=[list(row) for row in found.rows], allow_mixed_types=True
            )
            self._save(f"{found.name}.csv", as_csv(found))
        for figure in end.figures:
            last[f"figures/{figure.name}"] = image(str(figure.light), caption=figure.alt)
            if figure.dark is not None:
                last[f"figures/{figure.name} (dark)"] = image(str(figure.dark), caption=figure.alt)
        if last:
            self._run.log(last)
        self._run.summary.update({**end.numbers, "status": end.status, "error": end.error})
        self._run.finish(exit_code=0 if end.status == "finished" else 1)

    def _save(self, name: str, text: str) -> None:
        """Put a file into the run's folder, from where wandb uploads it, now or in `wandb sync`."""
        path = Path(self._run.dir) / name
        path.write_text(text, encoding="utf-8")
        self._run.save(str(path), base_path=self._run.dir, policy="now")


def check_wandb(environment: Mapping[str, str] = os.environ) -> None:
    """Find out before a run whether wandb could begin, without importing it: it would ask for a key in the middle.

    Raises:
        TrackerError: wandb would go online and there are no credentials, or its mode is none.
    """
    saved = _settings(environment)
    mode = environment.get("WANDB_MODE") or saved.get("mode") or "online"
    if mode not in _MODES:
        like = nearest(mode, _MODES)
        raise TrackerError(
            f"WANDB_MODE is one of {', '.join(_MODES[:3])}; {mode!r} came."
            + (f" Did you mean {like[0]!r}?" if like else "")
        )
    if mode in _LOCAL or any(environment.get(key) for key in ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE")):
        return
    host = urlsplit(
        environment.get("WANDB_BASE_URL") or saved.get("base_url") or "https://api.wandb.ai"
    ).netloc
    if not _has_login(host, environment):
        raise TrackerError(
            f"wandb has no credentials for {host}. Log in with `wandb login`, or set WANDB_API_KEY; or track "
            f"without an account and upload later: WANDB_MODE=offline."
        )


def _settings(environment: Mapping[str, str]) -> dict[str, str]:
    """What `wandb offline`, `wandb login` and the like have saved; what cannot be read says nothing."""
    home = Path(environment.get("WANDB_CONFIG_DIR") or Path.home() / ".config" / "wandb")
    local = Path(environment.get("WANDB_DIR") or ".") / "wandb"
    found = configparser.ConfigParser()
    for folder in (home, local):
        try:
            found.read(folder / "settings", encoding="utf-8")
        except (configparser.Error, OSError, ValueError):
            continue
    return dict(found["default"]) if found.has_section("default") else {}


def _has_login(host: str, environment: Mapping[str, str]) -> bool:
    """Whether `wandb login` has left a key for the host, where that command leaves it."""
    named = environment.get("NETRC")
    for path in [Path(named).expanduser()] if named else [Path.home() / ".netrc", Path.home() / "_netrc"]:
        try:
            entry = netrc.netrc(path).authenticators(host)
        except (OSError, netrc.NetrcParseError):
            continue
        if entry is not None and entry[2]:
            return True
    return False
