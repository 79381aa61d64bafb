"""A study that is none of `tune` is shown as it is: Optuna's own suite for storages says so."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Container, Sequence

import pytest
from optuna.distributions import FloatDistribution
from optuna.storages import BaseStorage, InMemoryStorage
from optuna.study import StudyDirection
from optuna.testing.pytest_storages import StorageTestCase
from optuna.trial import FrozenTrial, TrialState, create_trial

from tuner.dashboard.artifacts import Artifacts
from tuner.dashboard.live_note import LiveNote
from tuner.dashboard.storage_view import StudyView


class Filled(StudyView):
    """A view through which a test may write studies and trials.

    The list of constraints, which a view adds to finished trials, is taken off again.
    """

    # The view itself refuses both.
    def create_new_study(  # type: ignore[override]
        self, directions: Sequence[StudyDirection], study_name: str | None = None
    ) -> int:
        return self._storage.create_new_study(directions, study_name)

    def create_new_trial(  # type: ignore[override]
        self, study_id: int, template_trial: FrozenTrial | None = None
    ) -> int:
        return self._storage.create_new_trial(study_id, template_trial)

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        return [_without_list(t) for t in super().get_all_trials(study_id, deepcopy, states)]


def _without_list(trial: FrozenTrial) -> FrozenTrial:
    plain = copy.copy(trial)
    plain.system_attrs = {**trial.system_attrs}
    if trial.state.is_finished():
        assert plain.system_attrs.pop("constraints") == []
    return plain


class TestShownToADashboard(StorageTestCase):
    @pytest.fixture
    def storage(self) -> BaseStorage:
        storage = InMemoryStorage()
        nothing = Artifacts(storage, lambda _: None)
        return Filled(storage, -1, LiveNote(storage, "another study"), nothing)

    def test_pickle_storage(self, storage: BaseStorage) -> None:
        """It stays in the process that serves the dashboard."""
        with pytest.raises(TypeError, match="cannot pickle"):
            pickle.dumps(storage)

    def test_get_all_trials(self, storage: BaseStorage) -> None:
        """Attributes of a finished trial are shown where they are texts or numbers."""
        study = storage.create_new_study([StudyDirection.MINIMIZE])
        short = {"text": "a", "number": 1.5}
        written = create_trial(
            value=2.0,
            params={"x": 0.5},
            distributions={"x": FloatDistribution(0, 1)},
            user_attrs={**short, "nothing": None, "document": {"tags": ["b"]}},
            system_attrs={"of Optuna": {"c": None}},
        )
        written.number, written._trial_id = 0, storage.create_new_trial(study, written)  # noqa: SLF001
        assert written.user_attrs != short
        written.user_attrs = short
        assert storage.get_all_trials(study) == [written]
