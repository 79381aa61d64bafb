from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import pytest
from optuna.study import Study
from optuna.trial import TrialState

from tuner.backend import BACKENDS, Backend
from tuner.deploy.protocol import Deployment
from tuner.errors import InputError, TrialFailed, TuneError
from tuner.load.parquet import read_samples
from tuner.record import ATTRIBUTE, TrialRecord
from tuner.spec.host import Host
from tuner.spec.load import load_study, results_directory
from tuner.spec.space import Configuration
from tuner.spec.study import DeploymentSpec, Objective, StudySpec
from tuner.study.loop import (
    REASON,
    Event,
    Failed,
    Finished,
    Started,
    goal,
    imputed,
    repeat,
    run_study,
)
from tuner.study.storage import (
    default_url,
    open_storage,
    records,
    start_or_resume,
    study_record,
)
from tuner.study.summary import summarise

STUDY = """\
model: mnist
search_space:
  concurrency: {role: scenario, type: int, choices: [1, 4], default: 4}
  cpu: {role: decision, type: float, choices: [0.25, 0.5, 1], default: 1}
  memory: {role: decision, type: int, choices: MEMORY, default: DEFAULT}
  replicas: {role: decision, type: int, low: 1, high: 2, default: 1}
  loss: {role: scenario, type: float, choices: [0], default: 0}
load: {min_seconds: 0.5, max_seconds: 1, min_requests: 50}
objectives: [art_ms, cpu_percent]
constraints: [error_rate <= 0.01]
budget: {trials: 8}
seed: 3
"""


@pytest.fixture(autouse=True)
def _workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def specification(memory: tuple[int, ...] = (8, 64, 256)) -> StudySpec:
    path = Path("studies/small/study.yaml")
    path.parent.mkdir(parents=True, exist_ok=True)
    text = STUDY.replace("MEMORY", str(list(memory))).replace("DEFAULT", str(memory[-1]))
    path.write_text(text)
    return load_study("small", Host.this())


def opened(spec: StudySpec) -> Study:
    url = default_url(results_directory(spec), "simulated")
    return start_or_resume(spec, open_storage(url, create=True), "simulated")


def run(
    spec: StudySpec,
    more: int | None = None,
    repeats: tuple[int, ...] = (),
    backend: Backend | None = None,
    observe: Callable[[Event], None] = lambda _: None,
) -> Study:
    study = opened(spec)
    for number in repeats:
        repeat(spec, study, number)
    until = goal(spec, study, more, len(repeats))
    backend = backend or BACKENDS["simulated"](spec)
    run_study(spec, study, backend, results_directory(spec), until, observe)
    return study


def test_the_budget_is_completed_exactly_and_resuming_adds_nothing() -> None:
    spec = specification()
    first = records(run(spec))
    assert [t.number for t in first] == list(range(8))
    assert first[0].configuration == spec.search_space.baseline()
    assert len({t.configuration for t in first}) == 8
    events: list[Event] = []
    study = run(spec, observe=events.append)
    assert records(study) == first
    assert len(study.get_trials()) == 8
    assert events == []


def test_more_trials_are_beyond_what_is_there_and_new() -> None:
    spec = specification()
    run(spec, more=2)
    run(spec, more=3)
    trials = records(opened(spec))
    assert len(trials) == 5
    assert len({t.configuration for t in trials}) == 5


def test_a_budget_of_seconds_ends_the_run() -> None:
    spec = specification()
    spec = replace(spec, budget=replace(spec.budget, trials=None, seconds=1e-9))
    assert len(records(run(spec))) == 1


def test_a_repeat_measures_the_same_configuration_once_more() -> None:
    spec = specification()
    run(spec)
    study = run(spec, repeats=(0, 3))
    trials = records(study)
    assert len(trials) == 10
    assert [t.configuration for t in trials[8:]] == [trials[i].configuration for i in (0, 3)]
    assert study.get_trials()[9].user_attrs["repeat of"] == 3


def test_a_trial_that_is_not_there_cannot_be_repeated() -> None:
    spec = specification()
    with pytest.raises(InputError, match="no complete trial 5"):
        repeat(spec, opened(spec), 5)


def test_events_tell_each_trial_from_start_to_end() -> None:
    events: list[Event] = []
    study = run(specification((256,)), more=2, observe=events.append)
    trials = records(study)
    assert [e for e in events if isinstance(e, Started)] == [
        Started(t.number, t.configuration) for t in trials
    ]
    assert [e.record for e in events if isinstance(e, Finished)] == trials
    assert [e for e in events if isinstance(e, str)] == [
        "deploy", "connect", "impair", "burst", "tear down",
    ] * 2  # fmt: skip
    assert set(trials[0].phases) == {"deploy", "connect", "impair", "burst", "tear down"}


def test_a_measured_trial_is_stored_for_people_and_for_programs() -> None:
    spec = specification((256,))
    study = run(spec)
    results = results_directory(spec)
    for frozen, record in zip(study.get_trials(), records(study), strict=True):
        assert frozen.state is TrialState.COMPLETE
        assert TrialRecord.from_json(record.to_json()) == record
        assert TrialRecord.from_json(frozen.user_attrs[ATTRIBUTE]) == record
        assert tuple(frozen.values) == record.values
        assert record.measurement is not None
        assert frozen.user_attrs["verdict"] == record.measurement.verdict
        assert frozen.user_attrs["outcome"] == record.outcome == "measured"
        assert frozen.user_attrs["backend"] == record.backend == "simulated"
        for name, estimate in record.measurement.metrics.items():
            assert frozen.user_attrs[name] == estimate.value
        for index, objective in enumerate(spec.objectives):
            assert record.values[index] == record.measurement.metrics[objective.metric].value
        assert frozen.constraints == record.violations
        assert set(record.violations) == {"error_rate <= 0.01", "serves"}
        assert record.samples is not None
        recording = read_samples(results / record.samples)
        assert recording.concurrency == record.configuration["concurrency"]
        assert len(recording.samples.start_ns) >= record.measurement.requests > 0
    assert study.metric_names == ["art_ms", "cpu_percent"]
    assert study.user_attrs["environment"]["backend"] == "simulated"


def test_an_infeasible_trial_is_complete_imputed_and_never_on_a_front() -> None:
    study = run(specification(), more=20)
    trials = records(study)
    infeasible = [t for t in trials if t.outcome == "infeasible"]
    assert 0 < len(infeasible) < len(trials)
    for record in infeasible:
        frozen = study.get_trials()[record.number]
        assert frozen.state is TrialState.COMPLETE
        assert frozen.constraints == {"serves": 1.0}
        assert "imputed" in frozen.user_attrs
        assert frozen.user_attrs["outcome"] == record.reason == "out of memory"
        assert record.imputed
        assert not record.feasible
        assert all(map(math.isfinite, record.values))
        assert record.detail
        assert TrialRecord.from_json(record.to_json()) == record
    summary = summarise(study_record(study))
    assert summary.infeasible == len(infeasible)
    assert summary.front
    on_fronts = [*summary.front, *(t for s in summary.scenarios for t in s.front)]
    assert all(t.outcome == "measured" for t in on_fronts)


def test_a_study_in_which_nothing_can_serve_still_has_finite_values() -> None:
    study = run(specification((8,)))
    assert len(records(study)) == 8
    assert all(math.isfinite(v) for t in records(study) for v in t.values)
    assert summarise(study_record(study)).front == ()


def test_imputed_is_the_worst_that_was_measured() -> None:
    def record(values: tuple[float, float], *, imputed: bool) -> TrialRecord:
        return TrialRecord(
            number=0,
            configuration=Configuration.of({"cpu": 1.0}),
            outcome="infeasible" if imputed else "measured",
            values=values,
            violations={},
            phases={},
            started="2025-01-01T00:00:00+00:00",
            imputed=imputed,
        )

    objectives = (Objective("art_ms", "minimize"), Objective("throughput_rps", "maximize"))
    measured = [record((2.0, 50.0), imputed=False), record((3.0, 80.0), imputed=False)]
    assert imputed(objectives, [*measured, record((9e9, 0.0), imputed=True)]) == (3.0, 50.0)
    assert all(map(math.isfinite, imputed(objectives, [])))


def test_an_exhausted_space_ends_the_run() -> None:
    spec = specification((256,))
    study = run(spec, more=100)
    trials = records(study)
    assert {t.configuration for t in trials} == set(spec.search_space.grid())
    assert len(trials) == spec.search_space.size() == 12
    assert {t.state for t in study.get_trials()} == {TrialState.COMPLETE}


@pytest.mark.parametrize("sampler", ["tpe", "random", "nsga2", "qmc", "grid"])
def test_every_sampler_completes_the_budget_without_a_repeat(sampler: Any) -> None:  # noqa: ANN401 -- a Literal
    trials = records(run(replace(specification(), sampler=sampler)))
    assert len({t.configuration for t in trials}) == len(trials) == 8


class UnreachableEngine:
    """A deployer whose next `failures` deployments break, whatever they ask for."""

    name = "simulated"

    def __init__(self, spec: StudySpec, failures: int) -> None:
        self._inner = BACKENDS["simulated"](spec).deployer
        self._failures = failures

    def __enter__(self) -> Self:
        self._inner.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._inner.__exit__(*exc)

    def environment(self) -> Mapping[str, Any]:
        return self._inner.environment()

    @contextmanager
    def deploy(self, spec: DeploymentSpec, label: str) -> Iterator[Deployment]:
        if self._failures:
            self._failures -= 1
            raise TrialFailed("the engine went away")
        with self._inner.deploy(spec, label) as deployment:
            yield deployment


def breaking(spec: StudySpec, failures: int) -> Backend:
    backend = BACKENDS["simulated"](spec)
    return replace(backend, deployer=UnreachableEngine(spec, failures))


def test_three_broken_trials_in_a_row_end_the_run_and_a_mended_one_goes_on() -> None:
    spec = specification()
    events: list[Event] = []
    with pytest.raises(TuneError, match="3 trials in a row broke") as caught:
        run(spec, backend=breaking(spec, 3), observe=events.append)
    assert "the engine went away" in caught.value.message
    assert caught.value.mend
    failed = [e for e in events if isinstance(e, Failed)]
    assert [e.reason for e in failed] == ["the engine went away"] * 3
    tried = [t for t in opened(spec).get_trials() if t.state is not TrialState.WAITING]
    assert [t.state for t in tried] == [TrialState.FAIL] * 3
    assert {t.user_attrs[REASON] for t in tried} == {"the engine went away"}
    trials = records(run(spec))
    assert len(trials) == 8
    assert spec.search_space.baseline() in {t.configuration for t in trials}


def test_a_broken_trial_is_tried_again() -> None:
    spec = specification()
    study = run(spec, backend=breaking(spec, 2))
    trials = records(study)
    assert len({t.configuration for t in trials}) == len(trials) == 8
    failed = study.get_trials(states=(TrialState.FAIL,))
    assert len(failed) == 2
    assert all(Configuration.of(t.params) in {r.configuration for r in trials} for t in failed)


def test_a_configuration_that_breaks_every_time_is_given_up_but_not_the_baseline() -> None:
    spec = specification()
    run(spec)
    for number, waiting in ((1, 0), (0, 1)):
        with pytest.raises(TuneError, match="3 trials in a row broke"):
            run(spec, repeats=(number,), backend=breaking(spec, 3))
        assert len(opened(spec).get_trials(states=(TrialState.WAITING,))) == waiting
