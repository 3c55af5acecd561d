"""Look at runs: `open` one and read all that it holds, or `find` every one in a folder.

Nothing here writes or waits: a run that another process is writing is read as it is at that moment.
"""

from excise.runs.digest import Digest, Verdict, digests_in
from excise.runs.figures import SavedFigure
from excise.runs.finding import Unreadable, find
from excise.runs.saved import SavedRun
from excise.runs.saved import open_saved as open
from excise.runs.seeds import Seeds

__all__ = [
    "Digest",
    "SavedFigure",
    "SavedRun",
    "Seeds",
    "Unreadable",
    "Verdict",
    "digests_in",
    "find",
    "open",
]
