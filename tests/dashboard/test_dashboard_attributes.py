"""The attributes of a trial's page."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.dashboard.shown import Shown
from tuner.dashboard.attributes import attributes
from tuner.dashboard.study_attributes import study_attributes
from tuner.measure.record import TrialRecord
from tuner.spec.metrics import METRICS

OBJECTIVES = "art_ms", "cpu_percent"


@pytest.fixture
def measured(shown: Shown) -> TrialRecord:
    return next(t for t in shown.record.trials if t.measurement)


def test_metrics_are_numbers_with_units_in_their_usual_order(measured: TrialRecord) -> None:
    assert measured.measurement is not None
    found = attributes(measured, OBJECTIVES)
    numbers = [name for name, value in found.items() if isinstance(value, float)]
    known = [m.label for m in METRICS.values() if m.name in measured.measurement.metrics]
    assert [name.partition(" (")[0] for name in numbers] == known
    assert "throughput (requests/s)" in numbers


def test_the_summary_says_what_happened(measured: TrialRecord) -> None:
    assert measured.measurement is not None
    art = measured.measurement.metrics["art_ms"]
    said = attributes(measured, OBJECTIVES)["summary"]
    assert str(said).startswith(f"ART (ms) {art.value:.3g} (")
    assert str(said).endswith(measured.measurement.verdict)

    broken = replace(measured, violations={"p95_ms <= 5": 2.5, "serves": -1.0})
    found = attributes(broken, OBJECTIVES)
    assert "; infeasible, breaks p95_ms <= 5; " in str(found["summary"])
    assert found["constraints"] == "p95_ms <= 5 is broken by 2.5"

    short = attributes(replace(measured, cut_short="surely dominated"), OBJECTIVES)
    assert "cut short, so on no front: surely dominated" in str(short["summary"])


def test_where_the_deployment_came_from(measured: TrialRecord) -> None:
    def said(record: TrialRecord) -> object:
        return attributes(record, OBJECTIVES)["deployment"]

    assert said(replace(measured, deployment={})) == "fresh"
    stayed = replace(measured, deployment={"stayed": True, "since": "0004"})
    assert said(stayed) == "stayed up since trial 4"
    assert said(replace(measured, same_as=7)) == "not tried: its deployment is that of trial 7"


def test_why_doubts_and_what_made_it(measured: TrialRecord) -> None:
    record = replace(measured, why={"reason": "most hypervolume"}, attempts=2, backend="replay")
    found = attributes(record, OBJECTIVES)
    assert found["why it was proposed"] == "most hypervolume"
    assert "measured 2 times" in str(found["doubts"])
    assert "nothing was run" in str(found["backend"])
    assert "together" in str(found["time"])


def test_of_a_study_what_is_known_is_said() -> None:
    stored = {
        "specification": {
            "model": {"name": "mnist"},
            "seed": 0,
            "budget": {"trials": 5, "seconds": None},
        },
        "environment": {"host": {"name": "here", "cpus": 4}},
        "comparable": {"large": "document"},
    }
    assert study_attributes(stored) == {
        "model": "mnist",
        "seed": "0",
        "budget": "trials 5",
        "host": "name here, cpus 4",
    }
