"""Runs the command line: a mistake is a message and a status, a signal ends what runs."""

import signal
import sys
import warnings

from tyro.extras import SubcommandApp

from excise.cli.leaving import LEAVING
from excise.cli.looking import LOOKING
from excise.cli.machine import MACHINE
from excise.cli.running import RUNNING
from excise.cli.signals import Ended, ending_on_signals
from excise.cli.statuses import BY_SIGNAL, FAILED, USER_ERROR
from excise.cli.surgery import SURGERY
from excise.cli.telling import say, show_warning, silence_output
from excise.errors import ExciseError

__all__ = ["main"]

COMMANDS = RUNNING | LOOKING | LEAVING | SURGERY | MACHINE
"""Every command, in the order of the help."""


def main() -> None:
    """Run the command line; a user's mistake ends it with a message and status 2."""
    warnings.showwarning = show_warning
    try:
        with ending_on_signals(main.__code__):
            _app().cli(
                prog="excise",
                description="Put a concept where you can find it, cut it out, prove it is gone.",
            )
            if sys.stdout is not None:  # None where it was closed before the start.
                sys.stdout.flush()
    except ExciseError as error:
        say(f"error: {error}", error)
        sys.exit(USER_ERROR)
    except KeyboardInterrupt as interrupt:
        say("cancelled.", interrupt)
        sys.exit(BY_SIGNAL + (interrupt.number if isinstance(interrupt, Ended) else signal.SIGINT))
    except BrokenPipeError:
        silence_output()
        sys.exit(FAILED)
    except OSError as error:
        silence_output()
        say(f"error: {error}", error)
        sys.exit(USER_ERROR)


def _app() -> SubcommandApp:
    app = SubcommandApp()
    for name, command in COMMANDS.items():
        app.command(name=name)(command)
    return app
