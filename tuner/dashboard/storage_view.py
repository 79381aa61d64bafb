"""A storage as optuna-dashboard is shown it: what it does not know of, in the form that it knows.

Nothing of this is written. Attributes of finished trials could not be (Optuna refuses it), and what
is not written costs a running study nothing.
"""

# ruff: noqa: ARG002 -- the signatures are Optuna's

from __future__ import annotations

import copy
from collections.abc import Container, Mapping, Sequence
from typing import Any, NoReturn

from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial, TrialState

from tuner.dashboard.artifacts import Artifacts
from tuner.dashboard.attributes import attributes
from tuner.dashboard.live_note import LiveNote
from tuner.dashboard.study_attributes import study_attributes
from tuner.measure.record import ATTRIBUTE, TrialRecord
from tuner.search.passed_on import PassedOn
from tuner.spec.metrics import title
from tuner.study.storage import REASON, SPECIFICATION

_METRICS = "study:metric_names"
_NOTE_VERSION, _NOTE = "dashboard:note_ver", "dashboard:note_str:"
_CONSTRAINTS = "constraints"
"""Optuna's and optuna-dashboard's names of system attributes. Since version 5 Optuna has an
attribute `constraints:NAME` for each; optuna-dashboard 0.21 reads the list of before only."""


class StudyView(PassedOn):
    """`storage` as a dashboard reads it; `live_note` and `artifacts` are of study `study_id`.

    Studies of `tune` have metric names with units, and short texts for attributes. Their finished
    trials have their constraints as a list, readable attributes and artifacts. Those
    that have stand-ins in place of values are pruned and have none. The note is shown
    unless the study has one in the storage. What a dashboard writes goes to the storage, but for
    new studies and trials (TypeError): it would copy what is shown.
    """

    def __init__(
        self, storage: BaseStorage, study_id: int, live_note: LiveNote, artifacts: Artifacts
    ) -> None:
        super().__init__(storage)
        self._study_id = study_id
        self._live_note = live_note
        self._artifacts = artifacts
        self._objectives: dict[int, tuple[str, ...]] = {}
        self._finished: dict[int, tuple[FrozenTrial, FrozenTrial]] = {}

    # Studies.

    def get_all_studies(self) -> list[FrozenStudy]:
        return [
            FrozenStudy(
                study.study_name,
                None,
                self._user_attributes(study.user_attrs),
                self._system_attributes(study._study_id, study.user_attrs, study.system_attrs),  # noqa: SLF001 -- as optuna-dashboard does
                study._study_id,  # noqa: SLF001
                directions=study.directions,
            )
            for study in self._storage.get_all_studies()
        ]

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        return self._user_attributes(self._storage.get_study_user_attrs(study_id))

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        user = self._storage.get_study_user_attrs(study_id)
        return self._system_attributes(
            study_id, user, self._storage.get_study_system_attrs(study_id)
        )

    def _user_attributes(self, user: Mapping[str, Any]) -> dict[str, Any]:
        return study_attributes(user) if SPECIFICATION in user else dict(user)

    def _system_attributes(
        self, study_id: int, user: Mapping[str, Any], system: Mapping[str, Any]
    ) -> dict[str, Any]:
        shown = dict(system)
        if SPECIFICATION in user and _METRICS in shown:
            shown[_METRICS] = [title(metric) for metric in shown[_METRICS]]
        own = any(value for key, value in system.items() if key.startswith(_NOTE))
        if study_id == self._study_id and not own:
            # An unchanged version lets a user write a note while trials end.
            shown |= {
                _NOTE_VERSION: system.get(_NOTE_VERSION, 0),
                f"{_NOTE}0": self._live_note.text(),
            }
        return shown

    # Trials.

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        stored = self._storage.get_all_trials(study_id, deepcopy=False)
        trials = [self._shown(study_id, trial) for trial in stored]
        if states is not None:
            trials = [trial for trial in trials if trial.state in states]
        return copy.deepcopy(trials) if deepcopy else trials

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """The trial as the dashboard showed it last; else as it is stored."""
        cached = self._finished.get(trial_id)
        return cached[1] if cached else self._storage.get_trial(trial_id)

    def _shown(self, study_id: int, trial: FrozenTrial) -> FrozenTrial:
        identifier = trial._trial_id  # noqa: SLF001 -- as optuna-dashboard does
        if not trial.state.is_finished():
            return trial
        cached = self._finished.get(identifier)
        # Another object is another trial: that of a study in the place of a deleted one.
        if cached is None or cached[0] is not trial:
            cached = trial, self._translated(study_id, identifier, trial)
            self._finished[identifier] = cached
        return cached[1]

    def _translated(self, study_id: int, trial_id: int, trial: FrozenTrial) -> FrozenTrial:
        document = trial.user_attrs.get(ATTRIBUTE)
        user = {k: v for k, v in trial.user_attrs.items() if isinstance(v, str | int | float)}
        system = {k: v for k, v in trial.system_attrs.items() if not k.startswith(_CONSTRAINTS)}
        system[_CONSTRAINTS] = list(trial.constraints.values())
        state, values = trial.state, trial.values
        if document is not None:
            record = TrialRecord.from_json(document)
            reason = {REASON: user[REASON]} if REASON in user else {}
            user = {**reason, **attributes(record, self._objectives_of(study_id))}
            if record.imputed:
                # Plots draw any value among the measurements, and a pruned trial may have none.
                state, values = TrialState.PRUNED, None
            if study_id == self._study_id:
                system |= self._artifacts.described(trial_id, record)
        return FrozenTrial(
            number=trial.number,
            state=state,
            value=None,
            values=values,
            datetime_start=trial.datetime_start,
            datetime_complete=trial.datetime_complete,
            params=trial.params,
            distributions=trial.distributions,
            user_attrs=user,
            system_attrs=system,
            intermediate_values=trial.intermediate_values,
            trial_id=trial_id,
        )

    def _objectives_of(self, study_id: int) -> tuple[str, ...]:
        if study_id not in self._objectives:
            objectives = self._storage.get_study_system_attrs(study_id).get(_METRICS, ())
            self._objectives[study_id] = tuple(objectives)
        return self._objectives[study_id]

    # What needs no translation.

    def delete_study(self, study_id: int) -> None:
        self._storage.delete_study(study_id)

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        return self._storage.set_trial_state_values(trial_id, state, values)

    def set_trial_param(
        self,
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
    ) -> None:
        self._storage.set_trial_param(trial_id, param_name, param_value_internal, distribution)

    def set_trial_intermediate_value(
        self, trial_id: int, step: int, intermediate_value: float
    ) -> None:
        self._storage.set_trial_intermediate_value(trial_id, step, intermediate_value)

    # What would write what is shown.

    def create_new_study(
        self, directions: Sequence[StudyDirection], study_name: str | None = None
    ) -> NoReturn:
        _refuse("create a study")

    def create_new_trial(
        self, study_id: int, template_trial: FrozenTrial | None = None
    ) -> NoReturn:
        _refuse("create a trial")


def _refuse(action: str) -> NoReturn:
    raise TypeError(f"cannot {action} through what a dashboard is shown: write to the storage")
