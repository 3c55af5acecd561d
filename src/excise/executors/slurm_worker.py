"""What a Slurm job runs: one function, with all that it tells written to files that its caller reads."""

import sys
from dataclasses import dataclass
from pathlib import Path

from excise.executors.letters import LetterWriter
from excise.executors.work import Package, carry_out, sendable
from excise.extras import require

__all__ = ["Errand"]


@dataclass(frozen=True)
class Errand:
    """A packed function as what submitit calls in a job.

    The result and the function's own errors are written as messages too, after those that it calls back with. So they
    arrive in order, and errors as they were raised; what submitit itself reports is only how the job ended.

    Attributes:
        package: the function.
        paths: where the caller finds modules.
        stem: of the files that messages are written to (`letters`).
    """

    package: Package
    paths: tuple[str, ...]
    stem: Path

    def __call__(self) -> None:
        """Carry the function out."""
        sys.path[:] = self.paths
        writer = LetterWriter(self.stem)
        try:
            result = carry_out(self.package, lambda number, told: writer.write(("call", number, told)))
            writer.write(("result", result), last=True)
        except Exception as error:
            # Submitit raises its own error wherever the function is when a time limit comes, perhaps in mid-frame.
            writer.close()
            writer = LetterWriter(self.stem)
            if isinstance(error, _interruption()):
                writer.write(("interrupted",), last=True)
            else:
                writer.write(("error", sendable(error)), last=True)
        finally:
            writer.close()


def _interruption() -> type[Exception]:
    return require("submitit", "running Slurm jobs").core.utils.UncompletedJobError
