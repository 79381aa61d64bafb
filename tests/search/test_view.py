# ruff: noqa: SLF001 -- a storage is called with ids, and Optuna gives them no public name

from __future__ import annotations

import math

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, IntDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, NSGAIISampler, QMCSampler, TPESampler
from optuna.storages import BaseStorage, InMemoryStorage, RDBStorage
from optuna.trial import TrialState

from tests import conditional
from tuner.search.distributions import distributions, viewed
from tuner.search.sampler_view import SamplerView
from tuner.search.study_sampler import ask as ask_study
from tuner.spec.space import Parameter, SearchSpace

SPACE = SearchSpace(
    (
        Parameter("cpu", "float", "decision", 1.0, choices=(0.25, 0.5, 1.0, 2.0)),
        Parameter("net", "categorical", "scenario", "wifi", choices=("wifi", "cable")),
        Parameter("replicas", "int", "decision", 1, low=1, high=8),
    )
)
ASKED = {"cpu": 2.0, "net": "cable", "replicas": 5}


@pytest.fixture(params=["memory", "sqlite"])
def storage(request: pytest.FixtureRequest) -> BaseStorage:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return InMemoryStorage() if request.param == "memory" else RDBStorage("sqlite:///:memory:")


def started(storage: BaseStorage) -> optuna.Study:
    return optuna.create_study(study_name="s", storage=storage, directions=["minimize", "maximize"])


def measured(study: optuna.Study, params: dict[str, object], values: list[float]) -> None:
    study.enqueue_trial(params)
    study.tell(study.ask(distributions(SPACE)), values)


def viewing(storage: BaseStorage, sampler: BaseSampler | None = None) -> optuna.Study:
    return optuna.load_study(study_name="s", storage=SamplerView(storage, SPACE), sampler=sampler)


def test_the_view_has_logarithms_and_positions_the_storage_real_values(
    storage: BaseStorage,
) -> None:
    study = started(storage)
    measured(study, ASKED, [math.e**3, 0.0])
    (seen,) = viewing(storage).get_trials()
    assert seen.params == {"cpu": 3, "net": "cable", "replicas": 5}
    assert seen.distributions == {
        "cpu": IntDistribution(0, 3),
        "net": CategoricalDistribution(("wifi", "cable")),
        "replicas": IntDistribution(1, 8),
    }
    assert seen.values[0] == pytest.approx(3)
    assert math.isfinite(seen.values[1])
    assert seen.values[1] < math.log(1e-5)
    (real,) = study.get_trials()
    assert (real.params, real.values) == (ASKED, [math.e**3, 0.0])


def test_a_trial_is_seen_at_each_stage_of_its_life(storage: BaseStorage) -> None:
    study, view = started(storage), viewing(storage)
    trial = study.ask()
    assert view.get_trials()[0].params == {}
    trial.suggest_categorical("cpu", (0.25, 0.5, 1.0, 2.0))
    running = view.get_trials()[0]
    assert running.state == TrialState.RUNNING
    assert list(running.params) == ["cpu"]
    trial.set_constraint("memory", 3.0)
    study.tell(trial, [10.0, 1.0])
    complete = view.get_trials(states=(TrialState.COMPLETE,))[0]
    assert complete.values == [pytest.approx(math.log(10)), 0.0]
    assert complete.constraints == {"memory": 3.0}
    assert view.directions == study.directions
    assert view.get_trials(states=(TrialState.RUNNING,)) == []


def test_an_inactive_parameter_is_seen_at_its_default_and_stored_nowhere(
    storage: BaseStorage,
) -> None:
    study = started(storage)
    view = SamplerView(storage, conditional.BATCHING)
    off = {"cpu": 2.0, "batching": False, "net": "cable"}
    study.enqueue_trial(off)
    study.enqueue_trial({**off, "batching": True, "size": 4})
    asked = [ask_study(study, conditional.BATCHING)[1] for _ in range(2)]
    first, second = study.get_trials()
    assert [first.params, second.params] == asked == [off, {**off, "batching": True, "size": 4}]
    seen, other = view.get_all_trials(study._study_id)
    whole = {"cpu": 2, "batching": False, "size": 1, "padding": "none", "net": "cable"}
    assert seen.params == whole
    assert other.params == {**whole, "batching": True, "size": 0}
    assert seen.distributions == {p.name: viewed(p) for p in conditional.BATCHING}


def test_a_trial_that_is_half_asked_is_seen_as_far_as_it_is_known(storage: BaseStorage) -> None:
    study = started(storage)
    trial = study.ask()
    view = SamplerView(storage, conditional.BATCHING)
    trial.suggest_categorical("cpu", (0.5, 1.0, 2.0))
    assert list(view.get_trial(trial._trial_id).params) == ["cpu"]
    study.enqueue_trial({"batching": False})
    trial = study.ask()
    trial.suggest_categorical("batching", (False, True))
    known = view.get_trial(trial._trial_id).params
    assert known == {"batching": False, "size": 1, "padding": "none"}


def test_a_deep_copy_is_the_callers_own(storage: BaseStorage) -> None:
    study, view = started(storage), viewing(storage)
    measured(study, ASKED, [1.0, 1.0])
    view.get_trials(deepcopy=True)[0].params["cpu"] = 99
    assert view.get_trials(deepcopy=False)[0].params["cpu"] == 3


def test_what_samplers_remember_goes_through(storage: BaseStorage) -> None:
    study = started(storage)
    for replicas in range(1, 5):
        measured(study, {**ASKED, "replicas": replicas}, [replicas, 1.0])
    space = {p.name: viewed(p) for p in SPACE}
    trial = study.ask()

    def ask(sampler: BaseSampler) -> dict[str, object]:
        frozen = SamplerView(storage, SPACE).get_trial(trial._trial_id)
        return sampler.sample_relative(viewing(storage, sampler), frozen, space)

    proposal = ask(TPESampler(multivariate=True, n_startup_trials=2, seed=0))
    assert proposal["cpu"] in range(4)
    ask(NSGAIISampler(seed=0))
    with pytest.warns(ExperimentalWarning):
        sequence = QMCSampler(scramble=True, seed=0)
    assert ask(sequence) != ask(sequence)

    attributes = study.get_trials()[-1].system_attrs
    assert any(key.startswith("tpe:") for key in attributes)
    assert attributes["NSGAIISampler:generation"] == 0
    qmc = [v for k, v in storage.get_study_system_attrs(study._study_id).items() if "qmc" in k]
    assert qmc == [1]


def test_attributes_read_back_on_both_sides(storage: BaseStorage) -> None:
    study = started(storage)
    trial = study.ask()
    view = SamplerView(storage, SPACE)
    view.set_trial_system_attr(trial._trial_id, "a", 1)
    view.set_trial_user_attr(trial._trial_id, "b", 2)
    view.set_study_system_attr(study._study_id, "c", 3)
    view.set_study_user_attr(study._study_id, "d", 4)
    assert study.get_trials()[0].system_attrs["a"] == 1
    assert view.get_trial(trial._trial_id).user_attrs == {"b": 2}
    assert view.get_study_system_attrs(study._study_id)["c"] == 3
    assert study.user_attrs == view.get_study_user_attrs(study._study_id) == {"d": 4}
    assert [s.study_name for s in view.get_all_studies()] == ["s"]


def test_nothing_else_can_be_written(storage: BaseStorage) -> None:
    study = started(storage)
    trial = study.ask()
    view = viewing(storage)
    with pytest.raises(TypeError, match="real storage"):
        view.ask()
    with pytest.raises(TypeError, match="real storage"):
        view.tell(trial.number, [1.0, 1.0])
    with pytest.raises(TypeError, match="real storage"):
        optuna.delete_study(study_name="s", storage=SamplerView(storage, SPACE))
    assert study.get_trials()[0].state == TrialState.RUNNING
