"""The errors that `tune` raises on purpose, named by what the caller does next.

TuneError                 has a message and a mend; the CLI prints both and exits 2
|-- InputError            a file, key or argument is wrong: correct it and run again
|-- SetupError            engine, image, model or storage is missing or broken: mend it, run again
|   `-- Unreachable       what deploys answered before and does not now: wait, then try again
|-- TrialError            one trial did not end in a measurement
    |-- Infeasible        the configuration cannot serve: tell the study, then go on
    |-- TrialFailed       something else failed: tell FAIL, then try again
"""

from __future__ import annotations

from typing import Any, Literal

InfeasibleKind = Literal["out of memory", "never ready"]


class TuneError(Exception):
    """Base of all errors that are raised on purpose.

    `message` says what happened, `mend` (possibly empty) what to do.
    """

    def __init__(self, message: str, mend: str = "") -> None:
        super().__init__(f"{message}\n{mend}" if mend else message)
        self.message = message
        self.mend = mend

    def __reduce__(self) -> tuple[Any, ...]:
        """An error travels between hosts whatever its `__init__` takes, with all that it holds."""
        return _made_again, (type(self), self.args), self.__dict__


class InputError(TuneError):
    """A file, key or argument of the user is wrong."""


class SetupError(TuneError):
    """Something that a study needs is missing or broken: engine, image, model, storage."""


class Unreachable(SetupError):  # noqa: N818 -- a state of the world
    """What deploys does not answer, or has lost what all trials share. It may come back."""


class TrialError(TuneError):
    """One trial ended without a measurement."""


class Infeasible(TrialError):  # noqa: N818 -- Vizier's word for it
    """The configuration cannot serve the model.

    `kind` is the reason in the words of the report. `log_tail` has the last lines of the container.
    """

    def __init__(self, kind: InfeasibleKind, message: str, log_tail: str = "") -> None:
        super().__init__(message)
        self.kind: InfeasibleKind = kind
        self.log_tail = log_tail


class TrialFailed(TrialError):  # noqa: N818 -- Optuna's state FAIL
    """The trial failed for a reason that says nothing about its configuration."""


def _made_again(kind: type[TuneError], args: tuple[Any, ...]) -> TuneError:
    return kind.__new__(kind, *args)
