"""The trackers that have a name on the command line, and what is found out about them before a run begins."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from excise.errors import TrackerError, nearest
from excise.extras import EXTRAS, require_installed
from excise.trackers.apart import Apart
from excise.trackers.base import Tracker
from excise.trackers.wandb import check_wandb

__all__ = ["TRACKERS", "make_trackers"]


@dataclass(frozen=True)
class _Known:
    target: str
    check: Callable[[], object] = bool


TRACKERS = {
    "wandb": _Known("excise.trackers.wandb:WandbTracker", check_wandb),
    "tensorboard": _Known("excise.trackers.tensorboard:TensorBoardTracker"),
    "mlflow": _Known("excise.trackers.mlflow:MLflowTracker"),
}
"""Names, which are those of their extras too."""


def make_trackers(asked: Iterable[str | Tracker]) -> list[Tracker]:
    """The trackers of these names; an object that is a tracker already stays as it is.

    Raises:
        TrackerError: a name is not known or came twice, what came is no tracker, or one lacks its credentials.
        MissingExtraError: the package of one is not installed.
    """
    if isinstance(asked, str) or not isinstance(asked, Iterable):
        raise TrackerError(f"trackers come as a list, such as ['wandb']; {asked!r} came.")
    made: list[Tracker] = []
    names: list[str] = []
    for each in asked:
        if not isinstance(each, str):
            if not isinstance(each, Tracker):
                raise TrackerError(f"a tracker has start(run), log(row) and finish(end); {each!r} came.")
            made.append(each)
            continue
        known = TRACKERS.get(each)
        if known is None:
            like = nearest(each, TRACKERS)
            raise TrackerError(
                f"there is no tracker {each!r}. "
                + (f"Did you mean {' or '.join(map(repr, like))}? " if like else "")
                + f"Known: {', '.join(TRACKERS)}."
            )
        if each in names:
            raise TrackerError(f"the tracker {each!r} came twice.")
        names.append(each)
        for package in EXTRAS[each].packages:
            require_installed(package, EXTRAS[each].adds)
        known.check()
        made.append(Apart(known.target, each))
    return made
