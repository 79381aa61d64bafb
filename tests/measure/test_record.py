from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.measure.measurement import Estimate, Finding, Measurement
from tuner.measure.record import FORMAT, StudyRecord, TrialRecord
from tuner.spec.space import Configuration, Parameter, SearchSpace
from tuner.spec.study import Objective

FORMAT_1 = Path(__file__).parents[1] / "data" / "records-format-1.json"

SPACE = SearchSpace(
    (
        Parameter("concurrency", "int", "scenario", 1, choices=(1, 4)),
        Parameter("cpu", "float", "decision", 1.0, choices=(0.5, 1.0, 2.0)),
    )
)


def trial(number: int, art_ms: float, cpu: float = 1.0, half: float = 0.02) -> TrialRecord:
    """A measured trial; the baseline has `cpu` 1. `half` the interval of ART is a share of it."""
    return TrialRecord(
        number=number,
        configuration=Configuration.of({"concurrency": 1, "cpu": cpu}),
        outcome="measured",
        values=(art_ms, 40.0),
        violations={"serves": -1.0},
        phases={"first attempt": 2.0, "deploy": 1.0, "burst": 3.0},
        started="2026-01-05T10:11:12+00:00",
        measurement=Measurement(
            metrics={
                "art_ms": Estimate(art_ms, (1 - half) * art_ms, (1 + half) * art_ms),
                "cpu_percent": Estimate(40.0, 39.0, 41.0),
                "p50_ms": Estimate(art_ms),
            },
            findings=(Finding("WARN", "slow", "Wait."),),
            requests=500,
            warmup_requests=10,
            window_seconds=3.0,
            stop_reason="precise",
            errors={"RESET": 1},
            saved_seconds=5.0,
            replicas=({"art_ms": art_ms, "cpu_cores": 0.4},),
            client={"cpus": [1], "namespace": None},
            source="cgroup v2",
        ),
        deployment={"limits": [{"cpu": cpu}]},
        samples="samples/a/trial-0000.parquet",
        attempts=2,
        discarded=(Finding("INVALID", "busy", "Free a CPU."),),
        grid_pass=1,
        why={"reason": "to learn", "stays": True},
    )


def study(*trials: TrialRecord) -> StudyRecord:
    objectives = (Objective("art_ms", "minimize"), Objective("cpu_percent", "minimize"))
    return StudyRecord("small", "mnist", SPACE, objectives, (), {}, {}, trials)


def test_what_was_cut_short_is_feasible_but_on_no_front() -> None:
    whole = trial(1, 5.0)
    assert whole.feasible
    assert whole.eligible
    short = replace(whole, cut_short="trial 0 is better in all")
    assert short.feasible
    assert not short.eligible
    assert TrialRecord.from_json(short.to_json()) == short


@pytest.mark.parametrize("outcome", ["measured", "infeasible", "invalid"])
def test_a_record_reads_back_from_its_json(outcome: str) -> None:
    record = replace(trial(3, 5.0), outcome=outcome)  # type: ignore[arg-type]
    if outcome == "infeasible":
        record = replace(record, measurement=None, imputed=True, reason="out of memory")
    document = record.to_json()
    assert document["format"] == FORMAT == 6
    assert TrialRecord.from_json(json.loads(json.dumps(document))) == record
    assert record.feasible == (outcome == "measured")
    assert record.seconds == 6.0


def test_records_of_the_first_format_are_still_read() -> None:
    measured, infeasible = (TrialRecord.from_json(d) for d in json.loads(FORMAT_1.read_text()))
    assert measured.configuration == Configuration.of(
        {"concurrency": 4, "cpu": 0.5, "memory": 192, "replicas": 2, "loss": 1.0}
    )
    assert (measured.outcome, measured.values) == ("measured", (9.31, 41.7))
    assert measured.metric("art_ms") == Estimate(9.31, 8.87, 9.75)
    assert measured.metric("cpu_percent") == Estimate(41.7)
    assert measured.metric("foreign_percent") is None
    assert measured.measurement is not None
    assert measured.measurement.verdict == "WARN"
    assert measured.measurement.replicas == ()
    assert (measured.attempts, measured.discarded) == (1, ())
    assert measured.seconds == pytest.approx(7.6571)
    assert measured.feasible
    assert (infeasible.outcome, infeasible.reason) == ("infeasible", "out of memory")
    assert infeasible.imputed
    assert infeasible.measurement is None
    for record in (measured, infeasible):
        assert TrialRecord.from_json(record.to_json()) == record, "written in today's format"


def test_a_format_of_the_future_is_refused() -> None:
    document = {**trial(0, 5.0).to_json(), "format": FORMAT + 1}
    with pytest.raises(ValueError, match=f"format {FORMAT + 1}, expected {FORMAT}"):
        TrialRecord.from_json(document)


def test_the_baseline_is_the_first_one_that_was_measured() -> None:
    broken = replace(trial(0, 5.0), outcome="infeasible", measurement=None)
    found = study(broken, trial(1, 5.0, cpu=2.0), trial(2, 6.0), trial(3, 7.0)).baseline
    assert found is not None
    assert found.number == 2
    assert study(broken).baseline is None


def test_before_enough_repeats_the_burst_s_own_interval_is_stated() -> None:
    found = study(trial(0, 5.0), trial(1, 9.0, cpu=2.0), trial(2, 6.0))
    assert found.repeatability == {}
    assert found.estimate(found.trials[0], "art_ms") == found.trials[0].metric("art_ms")


def test_what_differs_between_repeats_is_in_the_stated_interval_of_every_trial() -> None:
    """Of repeats of any configuration; of objectives only."""
    repeats = [trial(n, art, cpu=2.0) for n, art in enumerate((9.0, 10.0, 11.0, 10.0))]
    other = trial(9, 100.0, cpu=0.5, half=0.01)
    found = study(*repeats, other)
    assert found.repeatability["art_ms"].degrees == 3
    assert found.repeatability["art_ms"].relative_sd == pytest.approx(0.0815, abs=0.003)
    assert found.repeatability["cpu_percent"].relative_sd == 0
    stated = found.estimate(other, "art_ms")
    assert stated is not None
    assert stated.value == 100
    assert stated.low == pytest.approx(100 - 3.18 * 8.15, abs=1.0)
    assert found.estimate(other, "p50_ms") == Estimate(100.0)
    assert found.estimate(other, "p99_ms") is None
    infeasible = replace(other, measurement=None, outcome="infeasible")
    assert found.estimate(infeasible, "art_ms") is None


@given(st.lists(st.floats(0.1, 100), min_size=1, max_size=12))
def test_a_stated_interval_is_never_narrower_than_the_burst_s_own(arts: list[float]) -> None:
    found = study(*(trial(number, art) for number, art in enumerate(arts)))
    for one in found.trials:
        own, stated = one.metric("art_ms"), found.estimate(one, "art_ms")
        assert own is not None
        assert stated is not None
        assert None not in (own.low, own.high, stated.low, stated.high)
        assert stated.low <= own.low * (1 + 1e-9)  # type: ignore[operator]
        assert stated.high >= own.high * (1 - 1e-9)  # type: ignore[operator]


def test_a_trial_is_in_doubt_where_the_baseline_was_off() -> None:
    arts = {0: 10.0, 4: 10.1, 8: 15.0, 12: 9.9, 16: 10.0}
    found = study(*(trial(n, arts.get(n, 50.0), cpu=1.0 if n in arts else 2.0) for n in range(18)))
    assert [t.number for t in found.trials if found.drift(t)] == list(range(5, 12))
    assert "art_ms of the baseline was +50% in trial 8" in found.drifts[0].what


def test_the_precision_that_was_asked_for_is_no_drift() -> None:
    some = [trial(n, art) for n, art in enumerate((10.0, 10.0, 11.0))]
    assert study(*some).drifts[0].last == math.inf
    assert replace(study(*some), precision=0.2).drifts == ()


def test_invalid_trials_say_nothing_of_drift_or_repeats() -> None:
    """They are not among a study's trials; infeasible ones have no measurement."""
    steady = [trial(0, 10.0), trial(1, 10.0)]
    broken = replace(trial(2, 99.0), outcome="infeasible", measurement=None)
    assert study(*steady, broken).drifts == ()
