"""The command line: parses, calls, prints."""

from excise.cli.entry import main
from excise.cli.statuses import FAILED, USER_ERROR

__all__ = ["FAILED", "USER_ERROR", "main"]
