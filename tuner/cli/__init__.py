"""The command line: parse, call, print, exit code. Heavy imports live inside the verbs."""

from __future__ import annotations

import sys

from tuner.interrupts import handled_interrupts

BAD_INPUT = 2
NOTHING_FEASIBLE = 3
NOT_AS_PREDICTED = 4
CANNOT_SAY = 5
CONSTRAINT_FAILS = 6
INTERRUPTED = 130


def main() -> None:
    """Run `tune`; the entry point of the installed command.

    Exit codes: 0 done, 2 bad input or something missing, 3 nothing feasible was found, 4 what
    was verified is not as predicted, 5 it cannot be said whether it is, 6 it breaks a constraint,
    130 interrupted.
    """
    with handled_interrupts():
        from tuner.cli.app import app
        from tuner.errors import TuneError

        try:
            app()
        except TuneError as error:
            print(f"tune: {error.message}", file=sys.stderr)
            if error.mend:
                print(f"  mend: {error.mend}", file=sys.stderr)
            sys.exit(BAD_INPUT)
        except KeyboardInterrupt:
            sys.exit(INTERRUPTED)
        except BrokenPipeError:
            # The reader (`head`, a pager) went away; that is no error.
            sys.stderr.close()
            sys.exit(0)
