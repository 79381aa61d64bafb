"""What a study has measured so far, each trial read once however often it is asked for."""

from __future__ import annotations

from optuna.study import Study
from optuna.trial import TrialState

from tuner.measure.record import ATTRIBUTE, TrialRecord


class Done:
    """The records of a study's finished trials; `update` reads those that are new."""

    def __init__(self, study: Study) -> None:
        self._study = study
        self._complete: dict[int, TrialRecord] = {}
        self._failed: dict[int, float] = {}

    def update(self) -> None:
        finished = (TrialState.COMPLETE, TrialState.FAIL)
        for trial in self._study.get_trials(deepcopy=False, states=finished):
            if trial.number in self._complete or trial.number in self._failed:
                continue
            found = trial.user_attrs.get(ATTRIBUTE)
            record = None if found is None else TrialRecord.from_json(found)
            if trial.state == TrialState.COMPLETE:
                assert record is not None
                self._complete[trial.number] = record
            else:
                self._failed[trial.number] = 0.0 if record is None else record.seconds

    @property
    def records(self) -> list[TrialRecord]:
        """Those of complete trials, by number."""
        return [self._complete[number] for number in sorted(self._complete)]

    @property
    def seconds(self) -> float:
        """What complete trials took, and those that were measured and not trusted."""
        return sum(r.seconds for r in self._complete.values()) + sum(self._failed.values())
