"""The command line: parse, call, print, exit code. Heavy imports live inside the verbs."""

from __future__ import annotations

import signal
import sys
from contextlib import suppress
from pathlib import Path

from tuner.cli.output import OutputLostError, discard_output, guarded_output
from tuner.errors import InputError, TuneError
from tuner.interrupts import NOTHING_LEFT, SIGNALS, handled_interrupts
from tuner.render.legible import legible

BAD_INPUT = 2
NOTHING_FEASIBLE = 3
NOT_AS_PREDICTED = 4
CANNOT_SAY = 5
CONSTRAINT_FAILS = 6
INTERRUPTED = 130

_STOPPED = f"tune: interrupted; {NOTHING_LEFT}"


def whole_process() -> None:
    """Run `tune` and nothing after it; the entry point of the installed command."""
    try:
        main()
    finally:
        # What ends the process has its exit code by now, which no second Ctrl-C may change.
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)


def main() -> None:
    """Run `tune`.

    Exit codes: 0 done, 2 bad input or something missing, 3 nothing feasible was found, 4 what
    was verified is not as predicted, 5 it cannot be said whether it is, 6 it breaks a constraint,
    130 interrupted.
    """
    with handled_interrupts():
        try:
            with guarded_output():
                from tuner.cli.app import app

                app()
        except TuneError as error:
            _refuse(error)
        except KeyboardInterrupt:
            _say(_STOPPED)
            sys.exit(INTERRUPTED)
        except SystemExit as ended:
            # Within a verb Typer turns an interrupt into an exit code, and says nothing.
            if isinstance(getattr(ended.__context__, "__cause__", None), KeyboardInterrupt):
                _say(_STOPPED)
            raise
        except OutputLostError as lost:
            discard_output()
            if lost.terminal_closed:  # an interrupt, for whoever waits for the exit code
                sys.exit(INTERRUPTED)
            if lost.reader_left:  # `head`, or a pager: that is no error
                sys.exit(0)
            _refuse(
                InputError(
                    f"standard output cannot be written: {lost.reason}",
                    "free space there, or write to somewhere else",
                )
            )
        except OSError as error:
            _refuse(_of_the_system(error))


def _refuse(error: TuneError) -> None:
    rest = error.message.lstrip()
    # No message begins with white space, but for that of a name.
    lead = error.message.removesuffix(rest).encode("unicode_escape").decode()
    _say(f"tune: {lead}{rest}" + (f"\n  mend: {error.mend}" if error.mend else ""))
    sys.exit(BAD_INPUT)


def _say(text: str) -> None:
    with suppress(OSError):  # of standard error, of which nobody can be told
        print(legible(text), file=sys.stderr, flush=True)


def _of_the_system(error: OSError) -> InputError:
    """What the operating system refuses, where the code that asked for it says nothing better."""
    try:
        Path.cwd()
    except FileNotFoundError:
        return InputError("the working directory was deleted", "change to a directory that exists")
    reason = error.strerror or str(error)
    return InputError(
        reason if error.filename is None else f"{error.filename}: {reason}",
        "check the path, its permissions, and the space on its disk",
    )
