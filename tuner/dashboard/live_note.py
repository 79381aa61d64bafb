"""The note that is current whenever somebody looks."""

from __future__ import annotations

from collections import Counter
from threading import Lock

from optuna.storages import BaseStorage
from optuna.trial import TrialState

from tuner.pages.note import study_note
from tuner.render.markdown import to_markdown
from tuner.study.storage import optuna_study, study_record

FOOTER = (
    "*`tune dashboard` writes this while it is looked at, from the finished trials only. Edit it,"
    " and what you wrote is kept and shown in its place; empty it, and this returns.*"
)


def trial_address(name: str) -> str | None:
    """Where the dashboard shows a trial, seen from its note; None for anything else."""
    number = name.removeprefix("trial-")
    return f"trials?numbers={number}" if number.isdecimal() else None


class LiveNote:
    """The note of the study `name`, written anew when a trial began or ended since it was read.

    Who asks while it is being written gets the one before. Safe to use from several threads.
    """

    def __init__(self, storage: BaseStorage, name: str) -> None:
        self._storage, self._name = storage, name
        self._seen: Counter[TrialState] | None = None
        self._text = ""
        self._writing = Lock()

    def text(self) -> str:
        """In Markdown."""
        if not self._writing.acquire(blocking=False):
            return self._text
        try:
            study = optuna_study(self._name, self._storage)
            states = Counter(t.state for t in study.get_trials(deepcopy=False))
            if states != self._seen:
                page = study_note(study_record(study), states[TrialState.RUNNING])
                self._text = f"{to_markdown(page, trial_address)}\n\n{FOOTER}"
                self._seen = states
        finally:
            self._writing.release()
        return self._text
