"""How commands end."""

__all__ = ["BY_SIGNAL", "FAILED", "USER_ERROR"]

FAILED = 1
USER_ERROR = 2
BY_SIGNAL = 128
"""The exit status of a command that a signal ended is this plus the signal's number, as shells have it."""
