"""Percentiles are measured from the first try, or it is said beforehand where they cannot be."""

from __future__ import annotations

import pytest

from tests.study.small import FEASIBLE, checked, opened, run, specification
from tuner.errors import InputError
from tuner.pages.run_page import failure_line, trial_line
from tuner.results.percentile_needs import percentile_needs
from tuner.study.loop import Failed
from tuner.study.plan import plan_study
from tuner.study.storage import study_record

TAIL = ("objectives: [art_ms, cpu_percent]", "objectives: [p99_ms, cpu_percent]")
AT_ONCE = (
    "constraints: [error_rate <= 0.01]",
    "constraints: [p99_ms <= 0.001, error_rate <= 0.01]",
)
LONG = ("max_seconds: 1,", "max_seconds: 20,")


def test_a_burst_lasts_until_its_percentile_is_known() -> None:
    trials = study_record(run(specification(TAIL, FEASIBLE, LONG), more=4)).trials
    assert len(trials) == 4
    for trial in trials:
        assert trial.measurement is not None
        assert trial.measurement.requests >= 662
        assert not any("known roughly" in f.what for f in trial.measurement.findings)


def test_a_percentile_that_is_short_of_requests_is_known_roughly_and_fails_nothing() -> None:
    record = study_record(run(specification(TAIL, FEASIBLE)))
    assert len(record.trials) == 8
    assert record.failed == ()
    slow = [t for t in record.trials if t.measurement and t.measurement.requests < 662]
    assert slow
    for trial in slow:
        estimate = trial.metric("p99_ms")
        assert trial.measurement is not None
        assert estimate is not None
        assert estimate.low is not None
        assert estimate.high is not None
        assert estimate.low <= estimate.value < estimate.high
        doubt = next(f for f in trial.measurement.findings if "known roughly" in f.what)
        assert doubt.remedy.startswith("Raise load.max_seconds to ")


def test_plan_and_check_say_where_a_percentile_cannot_be_had() -> None:
    spec = specification(TAIL, FEASIBLE, ("max_seconds: 1,", "max_seconds: 0.6,"))
    before = plan_study(spec, ()).percentiles
    assert before is not None
    assert str(before) == (
        "p99_ms: 662 requests, which is 1104 requests/s within load.max_seconds (0.6 s)"
    )
    done = study_record(run(spec)).trials
    after = percentile_needs(spec, done)
    assert after is not None
    assert {str(each.scenario) for each in after.slow} >= {"concurrency=1 loss=0"}
    assert "Known roughly only at concurrency=1 loss=0" in str(after)
    assert "load.max_seconds: " in str(after)
    said = checked(spec)
    assert "1104 requests/s" in said["percentiles"].found
    assert percentile_needs(specification(), ()) is None


def test_an_open_loop_knows_its_rate_beforehand() -> None:
    spec = specification(
        TAIL,
        (
            "  replicas:",
            "  rate: {role: scenario, type: float, choices: [50, 5000], default: 50}\n  replicas:",
        ),
        ("load: {", "load: {arrivals: poisson, "),
    )
    needs = percentile_needs(spec, ())
    assert needs is not None
    assert [str(each.scenario) for each in needs.slow] == ["rate=50"]
    assert str(needs).endswith("load.max_seconds: 14 would do")


def test_a_trial_line_names_the_constraint_that_is_broken_and_its_value() -> None:
    record = study_record(run(specification(AT_ONCE, FEASIBLE), more=1))
    line = trial_line(record, record.trials[0])
    assert "breaks p99_ms <= 0.001" in line
    assert "p99 " in line


def test_the_mend_of_a_trial_that_failed_is_in_its_line() -> None:
    assert failure_line(Failed(3, "it broke", "Mend it.")).endswith("it broke. Mend it.")


def test_what_the_backend_cannot_measure_is_refused_before_the_first_trial() -> None:
    spec = specification(("[art_ms, cpu_percent]", "[energy_j_per_request, art_ms]"))
    with pytest.raises(InputError, match=r"energy_j_per_request: .*RAPL") as caught:
        run(spec)
    assert "cpu_ms_per_request" in caught.value.mend
    assert opened(spec).get_trials() == []


def test_check_says_no_for_a_metric_that_the_host_cannot_measure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spec = specification(("[art_ms, cpu_percent]", "[energy_j_per_request, art_ms]"))
    monkeypatch.setattr("tuner.measure.powercap.energy", lambda _: {})
    said = checked(spec)
    assert not said["metrics"].ok
    assert "RAPL" in said["metrics"].found
    assert "cpu_ms_per_request" in said["metrics"].mend
