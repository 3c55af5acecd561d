"""What Ray raises, as the errors of excise that say what to do."""

import re
from types import ModuleType

from excise.errors import ExecutorError, UnreachableError, WorkerDiedError, WorkerMismatchError

__all__ = ["translated"]

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")

_OUT_OF_MEMORY = (
    "a worker was out of memory, and Ray ended it. Give each function less to hold (of a sweep, fewer seeds: more "
    "slots make smaller chunks), or take machines with more memory"
)
_DIED = (
    "a worker died in the middle of its work, also when it was begun again: it was killed, as when its machine runs "
    "out of memory (then give each function less to hold; of a sweep, fewer seeds by more slots), or its machine is "
    "gone"
)
_NO_EXCISE = (
    "a worker has no excise, or another one. Install there what `excise freeze --extras ray` lists here, or give "
    "RayExecutor a runtime_env that does"
)


def translated(error: Exception, ray: ModuleType) -> Exception:
    """The error for the caller; what a function raises does not come this way."""
    kinds = ray.exceptions
    text = " ".join(_COLOURS.sub("", str(error)).split())
    if isinstance(error, kinds.RayTaskError) and "No module named 'excise" in text:
        return WorkerMismatchError(f"{_NO_EXCISE}. Ray says: {text[-400:]}")
    meanings = (
        (kinds.OutOfMemoryError, WorkerDiedError, _OUT_OF_MEMORY),
        (kinds.TaskCancelledError, WorkerDiedError, "the function was cancelled on the cluster"),
        (kinds.RuntimeEnvSetupError, WorkerMismatchError, "the workers' environment could not be set up"),
        (kinds.RayTaskError, ExecutorError, "the function could not be begun on the cluster"),
        (kinds.WorkerCrashedError, WorkerDiedError, _DIED),
        (kinds.NodeDiedError, WorkerDiedError, _DIED),
        (kinds.ObjectLostError, WorkerDiedError, _DIED),
        (kinds.RayActorError, WorkerDiedError, _DIED),
        (kinds.LocalRayletDiedError, WorkerDiedError, _DIED),
        (kinds.RayError, UnreachableError, "the connection to the Ray cluster was lost"),
        (ConnectionError, UnreachableError, "the connection to the Ray cluster was lost"),
    )
    for kind, ours, meaning in meanings:
        if isinstance(error, kind):
            return ours(f"{meaning}. Ray says: {text}")
    return error
