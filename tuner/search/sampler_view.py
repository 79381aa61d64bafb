"""The study as a sampler sees it: objectives in logarithms, ordered choices as their positions.

Both let TPE and Gaussian processes find a front in far fewer trials. The real storage keeps real
values, for people and dashboards; a sampler is given a study over this view of it instead.
"""

# ruff: noqa: ANN401, ARG002 -- the signatures are Optuna's

from __future__ import annotations

import copy
from collections.abc import Container, Sequence
from typing import Any, NoReturn

from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from tuner.model.pareto import logarithms
from tuner.search.distributions import snapped, to_view, viewed
from tuner.search.passed_on import PassedOn
from tuner.search.study_sampler import UNSTORED
from tuner.spec.space import SearchSpace


class SamplerView(PassedOn):
    """A storage whose trials are those of `storage` in a sampler's coordinates.

    Values become `log(value)` (metrics are never negative; see `pareto.logarithms` for zero),
    parameters of `space` become their `viewed` form, parameters that `space` does not know are left
    out. An inactive parameter has its default: every sampler finds every parameter in every trial,
    and what differs between two are parameters that are active in one of them. Everything else
    passes through unchanged in both directions, so the attributes by which samplers remember
    things (TPE's pending parameters, NSGA-II's generations, QMC's position) live in the real
    storage. Those of a trial that the storage does not have yet (`UNSTORED`) wait in
    `take_unstored`. Samplers write nothing but attributes: parameters, values and whole trials
    are read-only here (TypeError), which keeps the two coordinates from being mixed.

    Finished trials never change, so their translation is kept. Thread-safe as far as `storage` is.
    """

    def __init__(self, storage: BaseStorage, space: SearchSpace) -> None:
        super().__init__(storage)
        self._space = space
        self._parameters = {parameter.name: parameter for parameter in space}
        self._distributions = {parameter.name: viewed(parameter) for parameter in space}
        self._finished: dict[tuple[int, int], FrozenTrial] = {}
        self._unstored: dict[str, Any] = {}

    def translate(self, trial: FrozenTrial) -> FrozenTrial:
        """A copy of a real trial in a sampler's coordinates."""
        parameters = self._parameters
        values = self._space.filled(
            {n: snapped(parameters[n], v) for n, v in trial.params.items() if n in parameters}
        )
        translated = copy.copy(trial)
        translated.params = {n: to_view(parameters[n], value) for n, value in values.items()}
        translated.distributions = {name: self._distributions[name] for name in values}
        if trial.values is not None:
            translated.values = [float(value) for value in logarithms(trial.values)]
        return translated

    # Trials, translated.

    def get_trial(self, trial_id: int) -> FrozenTrial:
        return self.translate(self._storage.get_trial(trial_id))

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        trials = [
            self._translate_once(study_id, trial)
            for trial in self._storage.get_all_trials(study_id, deepcopy=False, states=states)
        ]
        return copy.deepcopy(trials) if deepcopy else trials

    def _translate_once(self, study_id: int, trial: FrozenTrial) -> FrozenTrial:
        if not trial.state.is_finished():
            return self.translate(trial)
        key = (study_id, trial.number)
        if key not in self._finished:
            self._finished[key] = self.translate(trial)
        return self._finished[key]

    # Attributes of a trial that is not stored yet.

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        if trial_id == UNSTORED:
            self._unstored[key] = value
        else:
            super().set_trial_system_attr(trial_id, key, value)

    def take_unstored(self) -> dict[str, Any]:
        """The system attributes that were set for it, once."""
        attributes, self._unstored = self._unstored, {}
        return attributes

    # Writes in the wrong coordinates, refused.

    def create_new_study(
        self, directions: Sequence[StudyDirection], study_name: str | None = None
    ) -> NoReturn:
        _refuse("create a study")

    def delete_study(self, study_id: int) -> NoReturn:
        _refuse("delete a study")

    def create_new_trial(
        self, study_id: int, template_trial: FrozenTrial | None = None
    ) -> NoReturn:
        _refuse("create a trial")

    def set_trial_param(
        self,
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
    ) -> NoReturn:
        _refuse("set a parameter")

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> NoReturn:
        _refuse("finish a trial")

    def set_trial_intermediate_value(
        self, trial_id: int, step: int, intermediate_value: float
    ) -> NoReturn:
        _refuse("report an intermediate value")


def _refuse(action: str) -> NoReturn:
    raise TypeError(f"cannot {action} through a sampler's view: write to the real storage")
