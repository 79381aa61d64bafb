"""The project's own sampler in whole studies."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.exceptions import ExperimentalWarning
from optuna.storages import BaseStorage, RDBStorage
from optuna.trial import TrialState

from tuner.measure.measurement import Estimate, Measurement, Z
from tuner.measure.record import ATTRIBUTE, TrialRecord
from tuner.model.candidates import Candidates
from tuner.model.initial_design import initial_design
from tuner.model.pareto import hypervolume
from tuner.model.surrogate import Surrogate
from tuner.results.predicted_front import predicted_front
from tuner.search.distributions import configuration_of
from tuner.search.make_sampler import OWNER, WHY, StudySampler, make_sampler
from tuner.search.observed import observations
from tuner.search.study_sampler import ask
from tuner.spec.space import Configuration, Parameter, SearchSpace, Value
from tuner.spec.study import SamplerName, SearchSpec, SearchTarget

TARGETS: tuple[SearchTarget, ...] = ("overall", "per-scenario", "robust")
ONE_ALWAYS = [
    "per-scenario",
    *(pytest.param(target, marks=pytest.mark.thorough) for target in ("overall", "robust")),
]
SPACE = SearchSpace(
    (
        Parameter("concurrency", "int", "scenario", 4, choices=(1, 4, 16)),
        Parameter("cpu", "float", "decision", 1.0, choices=(0.25, 0.5, 1.0, 2.0)),
        Parameter("memory", "int", "decision", 256, choices=(64, 128, 256, 512)),
        Parameter("replicas", "int", "decision", 1, choices=(1, 2, 4, 6)),
        Parameter("loss", "float", "scenario", 0.0, choices=(0.0, 2.0)),
    )
)
CONTINUOUS = SearchSpace(
    (
        Parameter("concurrency", "int", "scenario", 4, low=1, high=64, log=True),
        Parameter("cpu", "float", "decision", 1.0, low=0.25, high=4.0, log=True),
        Parameter("replicas", "int", "decision", 1, low=1, high=8),
        Parameter("share", "float", "decision", 0.5, low=0.0, high=1.0),
    )
)
STARTUP = 6


def served(at: Mapping[str, Any]) -> bool:
    return bool(float(at.get("memory", 512)) > 50 + 10 * at["concurrency"] / at["replicas"])


def values(at: Mapping[str, Any], objectives: int) -> list[float]:
    cores = at["cpu"] * at["replicas"]
    waste = 1 + (at.get("share", 0.5) - 0.3) ** 2
    art = (2.0 + 12.0 * at["concurrency"] / cores) * waste + 8.0 * at.get("loss", 0)
    return [art, 10.0 * cores**0.7, 3.0 + at["replicas"]][:objectives]


def new_study(
    space: SearchSpace,
    search: SearchSpec,
    objectives: int = 2,
    storage: BaseStorage | None = None,
    seed: int = 0,
    worker: str | None = None,
) -> optuna.Study:
    study = optuna.create_study(
        study_name="s",
        storage=storage,
        load_if_exists=True,
        directions=["minimize"] * objectives,
        sampler=make_sampler("bayes", space, seed, startup=STARTUP, search=search, worker=worker),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        study.set_metric_names(["art_ms", "cpu_percent", "count"][:objectives])
    return study


def step(study: optuna.Study, space: SearchSpace, worker: str = "") -> Configuration:
    trial, at = ask(study, space)
    finish(study, trial, at, worker)
    return at


def expected_gain(study: optuna.Study) -> float:
    assert isinstance(study.sampler, StudySampler)
    found = study.sampler.expected_gain(study)
    assert found is not None
    return found


def finish(study: optuna.Study, trial: optuna.Trial, at: Configuration, worker: str = "") -> None:
    able = served(at)
    rng = np.random.default_rng([ord(c) for c in str(at)])
    trial.set_user_attr(OWNER, worker)
    found = np.array(values(at, len(study.directions)))
    told = found * np.exp(0.02 * rng.standard_normal(len(found))) if able else found * 0 + 500
    metrics = {
        name: Estimate(value, (1 - 0.02 * Z) * value, (1 + 0.02 * Z) * value)
        for name, value in zip(study.metric_names or (), told.tolist(), strict=True)
    }
    record = TrialRecord(
        number=trial.number,
        configuration=at,
        outcome="measured" if able else "infeasible",
        values=tuple(told.tolist()),
        violations={"serves": -1.0 if able else 1.0},
        phases={"deploy": 5.0, "burst": 2.0, "tear down": 0.0},
        started="",
        measurement=Measurement(metrics, (), 0, 0, 0.0, "", {}) if able else None,
        imputed=not able,
    )
    trial.set_user_attr(ATTRIBUTE, record.to_json())
    for text, violation in record.violations.items():
        trial.set_constraint(text, violation)
    study.tell(trial, told.tolist())


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("objectives", [1, 2, 3])
def test_every_target_with_any_number_of_objectives(target: SearchTarget, objectives: int) -> None:
    study = new_study(SPACE, SearchSpec(target=target), objectives)
    found = [step(study, SPACE) for _ in range(STARTUP + 4)]
    assert len(set(found)) == len(found)
    assert found[0] == SPACE.baseline()
    gain = expected_gain(study)
    assert 0 <= gain < 10


SERVED = [at for at in SPACE.grid() if served(at)]


def volume(some: Iterable[Configuration], scenario: Configuration | None = None) -> float:
    """True hypervolume of what serves, in a scenario or in all."""
    points = [
        np.log(values(at, 2))
        for at in some
        if served(at) and (scenario is None or SPACE.scenario_of(at) == scenario)
    ]
    reference = np.log([values(at, 2) for at in SERVED]).max(axis=0) + 0.01
    return hypervolume(points, reference) if points else 0.0


@pytest.mark.thorough
def test_it_finds_the_overall_front_sooner_than_chance() -> None:
    def share(name: SamplerName, seed: int) -> float:
        search = SearchSpec(target="overall", stay=False)
        study = new_study(SPACE, search)
        study.sampler = make_sampler(name, SPACE, seed, startup=STARTUP, search=search)
        return volume(step(study, SPACE) for _ in range(24)) / volume(SERVED)

    ours = [share("bayes", seed) for seed in range(3)]
    assert min(ours) > 0.97
    assert np.mean(ours) > np.mean([share("random", seed) for seed in range(3)])


def test_the_predicted_front_after_it_is_near_every_scenarios_front() -> None:
    study = new_study(SPACE, SearchSpec(target="per-scenario"))
    for _ in range(40):
        step(study, SPACE)
    model = Surrogate.fit(
        Candidates.of(SPACE),
        ("art_ms", "cpu_percent"),
        ("minimize", "minimize"),
        observations(SPACE, study.get_trials(), ("art_ms", "cpu_percent")),
    )
    for scenario in model.candidates.scenarios:
        found = [r.configuration for r in predicted_front(model, scenario)]
        assert volume(found, scenario) > 0.85 * volume(SERVED, scenario)


@pytest.mark.parametrize("target", ONE_ALWAYS)
def test_killed_and_resumed_it_proposes_what_it_would_have(target: SearchTarget) -> None:
    search = SearchSpec(target=target)
    whole = [step(study, SPACE) for study in [new_study(SPACE, search)] for _ in range(14)]
    storage = RDBStorage("sqlite:///:memory:")
    found = []
    for _ in range(14):
        study = new_study(SPACE, search, storage=storage)
        lost, _ = ask(study, SPACE)  # killed within this trial
        study.tell(lost, state=TrialState.FAIL)
        found.append(step(new_study(SPACE, search, storage=storage), SPACE))
    assert found == whole


def test_it_starts_with_the_start_configurations() -> None:
    study = new_study(SPACE, SearchSpec())
    found = [step(study, SPACE) for _ in range(STARTUP)]
    assert found == initial_design(SPACE, STARTUP, 0, each=2)
    assert "first configurations" in study.get_trials()[0].user_attrs[WHY]["reason"]


def test_a_trial_says_why() -> None:
    study = new_study(SPACE, SearchSpec(target="per-scenario"))
    for _ in range(STARTUP + 6):
        step(study, SPACE)
    for trial in study.get_trials()[STARTUP:]:
        why = trial.user_attrs[WHY]
        assert why["acquisition"] > 0
        assert len(why["mean"]) == len(why["sd"]) == 2
        assert 0 <= why["feasible"] <= 1
        assert "per second" in why["reason"]
        before = configuration_of(SPACE, study.get_trials()[trial.number - 1])
        at = configuration_of(SPACE, trial)
        assert before is not None
        assert at is not None
        if served(before):
            same = SPACE.deployment_of(before) == SPACE.deployment_of(at)
            assert why["stays"] == same == ("2.0 s instead of 7.0 s" in why["reason"])


@pytest.mark.thorough
def test_it_stays_where_deployments_are_dear_and_not_where_it_must_not() -> None:
    def moves(search: SearchSpec) -> int:
        study = new_study(SPACE, search)
        found = [SPACE.deployment_of(step(study, SPACE)) for _ in range(STARTUP + 12)]
        return sum(a != b for a, b in zip(found[STARTUP:], found[STARTUP + 1 :], strict=False))

    assert moves(SearchSpec(stay=True)) < moves(SearchSpec(stay=False))


def test_each_worker_has_its_own_deployment_up() -> None:
    storage = RDBStorage("sqlite:///:memory:")
    search = SearchSpec(target="per-scenario")
    for _ in range(STARTUP):
        step(new_study(SPACE, search, storage=storage), SPACE, "one")
    up = replace_values(SPACE.baseline(), cpu=2.0, memory=512, replicas=2)
    study = new_study(SPACE, search, storage=storage)
    study.enqueue_trial(dict(up))
    step(study, SPACE, "two")
    seen = study.get_trials()[-1]
    asked = {}
    for worker in ("one", "two", "three"):
        study = new_study(SPACE, search, storage=storage, worker=worker)
        trial, at = ask(study, SPACE)
        asked[worker] = (SPACE.deployment_of(at), study.get_trials()[-1].user_attrs[WHY]["stays"])
        study.tell(trial, state=TrialState.FAIL)
    assert configuration_of(SPACE, seen) == up
    for worker, (deployment, stays) in asked.items():
        # The third has none of its own: the study's last one counts.
        mine = SPACE.deployment_of(up) if worker != "one" else last_of(study, "one")
        assert stays == (deployment == mine)


def replace_values(configuration: Configuration, **values: Value) -> Configuration:
    return SPACE.effective({**configuration, **values})


def last_of(study: optuna.Study, worker: str) -> Configuration | None:
    last = [t for t in study.get_trials() if t.user_attrs.get(OWNER) == worker][-1]
    at = configuration_of(SPACE, last)
    return SPACE.deployment_of(at) if at is not None and served(at) else None


def test_pending_trials_are_counted_on() -> None:
    study = new_study(SPACE, SearchSpec(target="per-scenario", stay=False))
    for _ in range(STARTUP + 2):
        step(study, SPACE)
    before = expected_gain(study)
    running = [ask(study, SPACE) for _ in range(4)]
    assert len({at for _, at in running}) == 4
    assert expected_gain(study) < before
    for trial, at in running:
        finish(study, trial, at)


def test_a_space_without_scenarios_and_a_study_where_nothing_serves() -> None:
    space = SearchSpace((SPACE["cpu"], SPACE["memory"], SPACE["replicas"]))
    study = new_study(space, SearchSpec(target="per-scenario"))
    for _ in range(STARTUP + 4):
        trial, _ = ask(study, space)
        trial.set_constraint("serves", 1.0)
        study.tell(trial, [1000.0, 1000.0])
    assert len({configuration_of(space, t) for t in study.get_trials()}) == STARTUP + 4


@pytest.mark.parametrize("target", ONE_ALWAYS)
def test_continuous_spaces(target: SearchTarget) -> None:
    study = new_study(CONTINUOUS, SearchSpec(target=target))
    found = [step(study, CONTINUOUS) for _ in range(STARTUP + 6)]
    assert len(set(found)) == len(found)
    again = new_study(CONTINUOUS, SearchSpec(target=target))
    assert [step(again, CONTINUOUS) for _ in range(STARTUP + 6)] == found


def test_maximised_objectives_are_maximised() -> None:
    study = optuna.create_study(
        directions=["maximize", "minimize"],
        sampler=make_sampler(
            "bayes", SPACE, 0, startup=STARTUP, search=SearchSpec(target="overall", stay=False)
        ),
    )
    gains = []
    for _ in range(25):
        trial, at = ask(study, SPACE)
        gain = 1000.0 / values(at, 1)[0]
        trial.set_constraint("serves", -1.0)
        study.tell(trial, [gain, 1.0 + float(at["memory"]) / 1e4])
        gains.append(gain)
    every = [1000.0 / values(at, 1)[0] for at in SPACE.grid()]
    assert max(gains) > 0.99 * max(every)
