"""Every error that `tune` raises on purpose, named by what the caller does next.

TuneError                 says what happened and the mend; the CLI prints it and exits 2
|-- InputError            a file, key or argument is wrong: mend it and run again
|-- SetupError            engine, image or model is missing: set it up and run again
|-- TrialError            one trial did not end in a measurement
    |-- Infeasible        the configuration cannot serve: tell the study so, go on
    |-- TrialFailed       the world failed, not the configuration: tell FAIL, try again
"""

from __future__ import annotations

from typing import Literal

InfeasibleKind = Literal["out of memory", "never ready"]


class TuneError(Exception):
    """Base of all deliberate errors.

    `message` says what happened, `mend` (possibly empty) what to do about it.
    """

    def __init__(self, message: str, mend: str = "") -> None:
        super().__init__(f"{message}\n{mend}" if mend else message)
        self.message = message
        self.mend = mend


class InputError(TuneError):
    """Something the user wrote is wrong."""


class SetupError(TuneError):
    """Something that must be there before a trial is not."""


class TrialError(TuneError):
    """One trial ended without a measurement."""


class Infeasible(TrialError):  # noqa: N818 -- Vizier's word for it
    """The configuration cannot serve the model.

    `kind` is the reason in the words of the report; `log_tail` holds the last lines that the
    container wrote.
    """

    def __init__(self, kind: InfeasibleKind, message: str, log_tail: str = "") -> None:
        super().__init__(message)
        self.kind: InfeasibleKind = kind
        self.log_tail = log_tail


class TrialFailed(TrialError):  # noqa: N818 -- Optuna's state FAIL
    """The trial broke for a reason that says nothing about its configuration."""
