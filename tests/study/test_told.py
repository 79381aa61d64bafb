from __future__ import annotations

import math

from optuna.trial import TrialState

from tests.study.small import FEASIBLE, run, specification
from tuner.load.parquet import read_samples
from tuner.measure.record import ATTRIBUTE, TrialRecord
from tuner.results.summary import summarise
from tuner.search.make_sampler import OWNER, WHY
from tuner.spec.load import results_directory
from tuner.spec.space import Configuration
from tuner.spec.study import Objective
from tuner.study.storage import records, study_record
from tuner.study.tell import imputed


def test_a_measured_trial_is_stored_for_people_and_for_programs() -> None:
    spec = specification(FEASIBLE)
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
        assert record.backend == "simulated"
        assert set(frozen.user_attrs) <= {ATTRIBUTE, "verdict", "outcome", OWNER, WHY}
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
    found = study_record(study)
    assert {t.environment for t in found.trials} == set(found.environments)
    assert list(found.environments.values()) == [found.environment]


def test_an_infeasible_trial_is_complete_imputed_and_never_on_a_front() -> None:
    study = run(specification(), more=20)
    trials = records(study)
    infeasible = [t for t in trials if t.outcome == "infeasible"]
    assert 0 < len(infeasible) < len(trials)
    for record in infeasible:
        frozen = study.get_trials()[record.number]
        assert frozen.state is TrialState.COMPLETE
        assert frozen.constraints == {"serves": 1.0}
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
    study = run(specification(("[8, 64, 256], default: 256", "[8], default: 8")))
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
